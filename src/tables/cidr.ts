/** tables/cidr.ts: cidr tables (cidr_table(5)): `net/len value`, `!net/len value`, `if [!]net/len … endif`; linear, first match.
 *  The key is a whole address; anything else is not found. */
import { parseNetwork } from "../base/cidr.ts";
import { type Condition, compileRules, type Rule, type RuleSource } from "./rules.ts";
import { type LookupTable, TableError } from "./table.ts";

const NO_GROUPS: readonly string[] = [];

/** Throws TableError when the table cannot be used; single bad rules are skipped with a warning. */
export function openCidr(ref: string, source: Omit<RuleSource, "parse">): LookupTable {
  return { ref, partialKeys: false, ...compileRules({ ...source, parse: parseCidrRule }) };
}

function parseCidrRule(text: string): Rule {
  const word = /^endif\b(.*)$/i.exec(text);
  if (word && (word[1] ?? "").trim() !== "") throw new TableError("garbage after ENDIF");
  if (word) return { kind: "endif" };
  const condition = /^if(?:\s+|(?=!))(.*)$/i.exec(text);
  if (condition) return { kind: "if", when: networkCondition(condition[1] ?? "") };
  const m = /^(!?\s*\S+)(?:\s+(.*))?$/.exec(text);
  const value = m?.[2];
  if (value === undefined) throw new TableError("no lookup result");
  const pattern = m?.[1] ?? "";
  return { kind: "value", when: networkCondition(pattern), value: () => value, shown: { pattern, value } };
}

function networkCondition(pattern: string): Condition {
  const negated = pattern.startsWith("!");
  const result = parseNetwork(negated ? pattern.slice(1).trim() : pattern);
  if (result.kind === "invalid") throw new TableError(result.text);
  return (key) => (result.network.matches(key) !== negated ? NO_GROUPS : undefined);
}
