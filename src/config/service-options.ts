/** config/service-options.ts: the words behind a master.cf command: `-o` assignments in all their spellings, and the rest.
 *  Postfix reads `-o name=value`, `-oname=value`, `-vo name=value` and `-o { name = value }`. Files of 2005 also have
 *  `-o name = value, more words`, which Postfix refuses when the service starts: it is read as meant, with a warning. */
import { endsInComma, splitNameValue } from "./main-cf.ts";
import type { Assignment, Problem, SourceRef } from "./snapshot.ts";

/** A word of a logical line and where it stands. */
export interface Word {
  readonly text: string;
  readonly offset: number;
  /** It was written in `{ … }`; `text` is what stood between. */
  readonly braced: boolean;
}

export interface OptionContext {
  readonly command: string;
  /** Where a word stands. */
  readonly at: (word: Word) => SourceRef;
  /** Findings are appended here. */
  readonly problems: Problem[];
}

/** These take arguments of their own, so a word behind `-o name=value` is not a lost part of the value. */
const WITH_ARGUMENTS = new Set(["pipe", "spawn"]);

/** Parts options from arguments. As getopt("+") does, the first word that is no option ends the options. */
export function readServiceOptions(
  words: readonly Word[],
  context: OptionContext,
): { readonly overrides: readonly Assignment[]; readonly args: readonly string[] } {
  const overrides: Assignment[] = [];
  const args: string[] = [];
  let i = 0;
  while (i < words.length) {
    const word = words[i] as Word; // i < length
    const option = word.braced ? null : /^-([A-Za-np-z]*)o(.*)$/s.exec(word.text);
    if (!option) {
      if (!isOption(word)) break;
      args.push(word.text);
      i++;
      continue;
    }
    if (option[1]) args.push(`-${option[1]}`);
    const attached = option[2] ?? "";
    const first = attached === "" ? words[i + 1] : { ...word, text: attached };
    const from = attached === "" ? i + 1 : i;
    if (!first) {
      context.problems.push({ severity: "error", at: context.at(word), text: "option requires an argument -- o" });
      break;
    }
    const end = endOfValue(words, from, context.command, first);
    readAssignment(word, [first, ...words.slice(from + 1, end)], { context, overrides });
    i = end;
  }
  args.push(...words.slice(i).map((word) => word.text));
  return { overrides, args };
}

function isOption(word: Word): boolean {
  return !word.braced && /^-[A-Za-z]/.test(word.text);
}

/** The index behind the last word that was meant as part of the value. */
function endOfValue(words: readonly Word[], from: number, command: string, first: Word): number {
  let end = from + 1;
  if (first.braced) return end;
  if (!WITH_ARGUMENTS.has(command)) {
    while (end < words.length && !isOption(words[end] as Word)) end++;
    return end;
  }
  // Before arguments only `=`, one word, and what a comma promises belong to the value.
  const second = words[end]?.text;
  if (first.text.includes("=") || !second?.startsWith("=")) {
    while (words[end - 1]?.text.endsWith(",") && words[end]) end++;
    return end;
  }
  end += second === "=" ? 2 : 1;
  while (words[end - 1]?.text.endsWith(",") && words[end]) end++;
  return Math.min(end, words.length);
}

function readAssignment(
  option: Word,
  parts: readonly Word[],
  out: { readonly context: OptionContext; readonly overrides: Assignment[] },
): void {
  const { context, overrides } = out;
  const at = context.at(option);
  const written = parts.map((part) => (part.braced && parts.length > 1 ? `{${part.text}}` : part.text)).join(" ");
  const result = splitNameValue(written);
  if ("error" in result) {
    const text = `invalid "-o ${written}" option value: ${result.error}`;
    context.problems.push({ severity: "error", at, text });
    return;
  }
  const { name, value } = result;
  if (parts.length > 1) {
    context.problems.push({
      severity: "warning",
      at,
      text: `"-o ${written}" is read as one value; Postfix refuses blanks here when the service starts`,
      hint: `write -o { ${name} = ${value} }`,
    });
  }
  if (value.endsWith(",")) context.problems.push(endsInComma(name, at));
  if (overrides.some((earlier) => earlier.name === name)) {
    context.problems.push({ severity: "warning", at, text: `overriding earlier -o option: ${name}=${value}` });
  }
  overrides.push({ name, value, at });
}
