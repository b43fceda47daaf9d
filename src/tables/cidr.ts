/** tables/cidr.ts: cidr tables (cidr_table(5)): `net/len value`, `!net/len value`, `if [!]net/len … endif`; linear, first match.
 *  The key is a whole address; anything else is not found. */
import { parseNetwork } from "../base/cidr.ts";
import { type Condition, compileRules, type Rule } from "./rules.ts";
import type { SourceLine } from "./source-lines.ts";
import { type LookupTable, TableError } from "./table.ts";

const NO_GROUPS: readonly string[] = [];

/** Throws TableError when a rule is bad. `where` names file or reference for messages. */
export function openCidr(ref: string, where: string, lines: readonly SourceLine[]): LookupTable {
  return { ref, partialKeys: false, get: compileRules(lines, where, parseCidrRule) };
}

function parseCidrRule(text: string): Rule {
  if (/^endif$/i.test(text)) return { kind: "endif" };
  const condition = /^if\s+(.*)$/i.exec(text);
  if (condition) return { kind: "if", when: networkCondition(condition[1] ?? "") };
  const m = /^(!?\s*\S+)\s+(.*)$/.exec(text);
  if (!m) throw new TableError(`no address result value: "${text}"`);
  const value = m[2] ?? "";
  return { kind: "value", when: networkCondition(m[1] ?? ""), value: () => value };
}

function networkCondition(pattern: string): Condition {
  const negated = pattern.startsWith("!");
  const result = parseNetwork(negated ? pattern.slice(1).trim() : pattern);
  if (result.kind === "invalid") throw new TableError(result.text);
  return (key) => (result.network.matches(key) !== negated ? NO_GROUPS : undefined);
}
