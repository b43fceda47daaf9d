/** test/postfix/report.ts: the outcome as text: a table by group, and each difference with both sides. */
import type { Found } from "./compare.ts";
import type { Allowed } from "./differences.ts";

export interface Outcome {
  readonly group: string;
  /** `file:line service: title` */
  readonly where: string;
  readonly found: readonly Found[];
}

/** Counts of dialogues by group. */
export function formatTable(outcomes: readonly Outcome[]): string {
  const lines = [row("group", "dialogues", "equal", "listed", "different")];
  for (const group of [...new Set(outcomes.map((outcome) => outcome.group)), "total"]) {
    const those = outcomes.filter((outcome) => group === "total" || outcome.group === group);
    const different = those.filter(isDifferent).length;
    const equal = those.filter(({ found }) => found.length === 0).length;
    lines.push(row(group, those.length, equal, those.length - equal - different, different));
  }
  return `${lines.join("\n")}\n`;
}

function row(group: string, ...cells: readonly (string | number)[]): string {
  return `${group.padEnd(16)}${cells.map((cell) => String(cell).padStart(11)).join("")}`;
}

export function isDifferent({ found }: Outcome): boolean {
  return found.some(({ allowed }) => allowed === undefined);
}

/** The unlisted differences of one dialogue. */
export function formatDifferences({ where, found }: Outcome): string {
  const lines = found
    .filter(({ allowed }) => allowed === undefined)
    .map(
      ({ step, postfix, postern }) => `  ${step.slice(0, 96)}\n${side("Postfix", postfix)}${side("Postern", postern)}`,
    );
  return `${where}\n${lines.join("")}`;
}

function side(name: string, text: string): string {
  return text
    .split("\r\n")
    .map((line, i) => `    ${(i === 0 ? name : "").padEnd(9)}${show(line)}\n`)
    .join("");
}

/** Controls visible. */
function show(line: string): string {
  return JSON.stringify(line).slice(1, -1).replaceAll('\\"', '"');
}

/** The listed differences, with how many dialogues showed each. */
export function formatListed(allowed: readonly Allowed[], outcomes: readonly Outcome[]): string {
  const lines = allowed.map((entry) => {
    const seen = outcomes.filter(({ found }) => found.some((one) => one.allowed === entry)).length;
    return `${String(seen).padStart(5)}  ${entry.id}: ${entry.reason}`;
  });
  return `Listed differences, with the number of dialogues that show them:\n${lines.join("\n")}\n`;
}

/** Entries that cover nothing any more. */
export function stale(allowed: readonly Allowed[], outcomes: readonly Outcome[]): readonly Allowed[] {
  return allowed.filter((entry) => !outcomes.some(({ found }) => found.some((one) => one.allowed === entry)));
}
