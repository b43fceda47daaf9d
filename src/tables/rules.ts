/** tables/rules.ts: ordered rule lists with `if … endif`, as cidr and regexp tables have them. The first match answers.
 *  A bad rule makes the whole table unusable: to skip it, as Postfix does, could let through what it was to refuse. */
import type { SourceLine } from "./source-lines.ts";
import { TableError } from "./table.ts";

/** A compiled condition: undefined for no match, else what a value may refer to (`$1` is index 1). */
export type Condition = (key: string) => readonly string[] | undefined;

/** One parsed line. */
export type Rule =
  | { readonly kind: "value"; readonly when: Condition; readonly value: (groups: readonly string[]) => string }
  | { readonly kind: "if"; readonly when: Condition }
  | { readonly kind: "endif" };

type Step =
  | Extract<Rule, { kind: "value" }>
  | { readonly kind: "if"; readonly when: Condition /** Index of the step behind its endif. */; readonly end: number };

/** Compiles the lines; `parse` throws TableError with the reason only, file and line are added here. */
export function compileRules(
  lines: readonly SourceLine[],
  where: string,
  parse: (text: string) => Rule,
): (key: string) => string | undefined {
  const steps: Step[] = [];
  const open: number[] = [];
  for (const { text, line } of lines) {
    const fail = (why: string, cause?: unknown) => new TableError(`${where}, line ${line}: ${why}`, { cause });
    const rule = parseRule(text, parse, fail);
    if (rule.kind === "value") steps.push(rule);
    else if (rule.kind === "if") open.push(steps.push({ ...rule, end: -1 }) - 1);
    else closeIf(steps, open, fail);
  }
  if (open.length > 0) throw new TableError(`${where}: IF has no matching ENDIF`);
  return (key) => evaluate(steps, key);
}

function parseRule(
  text: string,
  parse: (text: string) => Rule,
  fail: (why: string, cause?: unknown) => TableError,
): Rule {
  try {
    return parse(text);
  } catch (cause) {
    if (cause instanceof TableError) throw fail(cause.message, cause);
    throw cause;
  }
}

function closeIf(steps: Step[], open: number[], fail: (why: string) => TableError): void {
  const start = open.pop();
  const step = start === undefined ? undefined : steps[start];
  if (start === undefined || step?.kind !== "if") throw fail("ENDIF without matching IF");
  steps[start] = { ...step, end: steps.length };
}

function evaluate(steps: readonly Step[], key: string): string | undefined {
  let at = 0;
  while (at < steps.length) {
    const step = steps[at];
    if (step === undefined) break;
    const groups = step.when(key);
    if (groups && step.kind === "value") return step.value(groups);
    at = step.kind === "if" && !groups ? step.end : at + 1;
  }
  return undefined;
}
