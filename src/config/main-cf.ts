/** config/main-cf.ts: `name = value` lines (postconf(5)). Values stay unexpanded and unchecked: names may be anybody's
 *  own, and what a value means is the registry's to say. */
import { readLogicalLines } from "./logical-lines.ts";
import type { Assignment, Problem, SourceRef } from "./snapshot.ts";

export type NameValue =
  | { readonly name: string; readonly value: string }
  /** Postfix's words for what is wrong. */
  | { readonly error: string };

/** Splits `name = value`; white space around both is dropped, the value may be empty. */
export function splitNameValue(text: string): NameValue {
  const trimmed = text.trim();
  const name = /^[^\s=]*/.exec(trimmed)?.[0] ?? "";
  if (name === "") return { error: `missing attribute name: "${trimmed}"` };
  const rest = trimmed.slice(name.length).trimStart();
  if (!rest.startsWith("=")) return { error: `missing '=' after attribute name: "${trimmed}"` };
  return { name, value: rest.slice(1).trim() };
}

/** All assignments in file order, the overridden ones included; Parameters lets the last one win. */
export function parseMainCf(
  input: string | Uint8Array,
  file: string,
): { readonly assignments: readonly Assignment[]; readonly problems: readonly Problem[] } {
  const { lines, problems: lineProblems } = readLogicalLines(input, file);
  const problems = [...lineProblems];
  const assignments: Assignment[] = [];
  const earlier = new Map<string, Assignment>();
  for (const { text, line } of lines) {
    const at = { file, line };
    const result = splitNameValue(text);
    if ("error" in result) {
      const last = assignments.at(-1);
      const open = last !== undefined && (last.value === "" || last.value.endsWith(",")) ? last : undefined;
      const hint = open && `if it belongs to ${open.name} of line ${open.at.line}, begin it with white space`;
      problems.push({ severity: "error", at, text: result.error, ...(hint !== undefined && { hint }) });
      continue;
    }
    const { name, value } = result;
    if (value.endsWith(",")) problems.push(endsInComma(name, at));
    const before = earlier.get(name);
    if (before !== undefined && before.value !== value) {
      const text = `overriding earlier entry: ${name}=${before.value}`;
      problems.push({ severity: "warning", at, text, hint: `it is set in line ${before.at.line}` });
    }
    const assignment = { name, value, at };
    earlier.set(name, assignment);
    assignments.push(assignment);
  }
  return { assignments, problems };
}

/** The next word was commented out, or its line has lost its white space. */
export function endsInComma(name: string, at: SourceRef): Problem {
  const text = `${name} ends in a comma: what should follow is missing`;
  return { severity: "warning", at, text, hint: "lines that continue a value begin with white space" };
}
