/** tables/cidr.ts: cidr tables (cidr_table(5)): `net/len value`, `!net/len value`, `if [!]net/len … endif`; linear, first match.
 *  The key is a whole address; anything else is not found. */
import { type IpAddress, parseAddress, parseNetwork } from "../base/cidr.ts";
import { type Condition, compileRules, type Rule, type RuleSource } from "./rules.ts";
import { type LookupTable, TableError } from "./table.ts";

const NO_GROUPS: readonly string[] = [];

/** Rules of one table mostly ask for the same key: it is parsed once. */
type KeyParser = (key: string) => IpAddress | undefined;

/** Throws TableError when the table cannot be used; single bad rules are skipped with a warning. */
export function openCidr(ref: string, source: Omit<RuleSource, "parse">): LookupTable {
  const parseKey = rememberLast();
  const parse = (text: string) => parseCidrRule(text, parseKey);
  return { ref, partialKeys: false, ...compileRules({ ...source, parse }) };
}

function rememberLast(): KeyParser {
  let last: { readonly key: string; readonly address: IpAddress | undefined } | undefined;
  return (key) => {
    if (last?.key !== key) last = { key, address: parseAddress(key) };
    return last.address;
  };
}

function parseCidrRule(text: string, parseKey: KeyParser): Rule {
  const word = /^endif\b(.*)$/i.exec(text);
  if (word && (word[1] ?? "").trim() !== "") throw new TableError("garbage after ENDIF");
  if (word) return { kind: "endif" };
  const condition = /^if(?:\s+|(?=!))(.*)$/i.exec(text);
  if (condition) return { kind: "if", when: networkCondition(condition[1] ?? "", parseKey) };
  const m = /^(!?\s*\S+)(?:\s+(.*))?$/.exec(text);
  const value = m?.[2];
  if (value === undefined) throw new TableError("no lookup result");
  const pattern = m?.[1] ?? "";
  return { kind: "value", when: networkCondition(pattern, parseKey), value: () => value, shown: { pattern, value } };
}

/** An address of the other family matches nothing, neither a network nor its negation. */
function networkCondition(pattern: string, parseKey: KeyParser): Condition {
  const negated = pattern.startsWith("!");
  const result = parseNetwork(negated ? pattern.slice(1).trim() : pattern);
  if (result.kind === "invalid") throw new TableError(result.text);
  const { network } = result;
  return (key) => {
    const address = parseKey(key);
    if (address?.family !== network.family) return undefined;
    return network.matches(address) !== negated ? NO_GROUPS : undefined;
  };
}
