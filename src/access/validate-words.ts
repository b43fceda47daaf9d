/** access/validate-words.ts: what can be said about single words of compiled lists: old names, and tables that say OK where
 *  that is not allowed. Warnings only; what cannot work at all the compiler has reported. */
import type { Parameters } from "../config/parameters.ts";
import type { Problem } from "../config/snapshot.ts";
import { printableAscii } from "../mail/printable.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";
import type { Stage } from "./access.ts";
import { parseAction } from "./action.ts";
import type { Rule } from "./restriction.ts";

/** Restrictions under names that their owner chooses (forbid-permit.ts). */
const OK_FORBIDDEN =
  /^check_(?:reverse_client_hostname|(?:client|reverse_client_hostname|helo|sender|recipient)_(?:a|mx|ns))_access$/;

/** Postfix's own words about what it will remove. */
const DEPRECATED: ReadonlyMap<string, string> = new Map([
  [
    "permit_mx_backup",
    'support for restriction "permit_mx_backup" will be removed from Postfix; instead, use "relay_domains"',
  ],
]);

/** Reported for each table. */
const MAX_ENTRIES_SHOWN = 3;

/** Warnings, in the order of the lists; each once. */
export function checkWords(
  lists: Readonly<Record<Stage, readonly Rule[]>>,
  scope: { readonly params: Parameters; readonly tables: TableOpener },
): readonly Problem[] {
  const problems = new Map<string, Problem>();
  for (const rule of allRules(Object.values(lists))) {
    for (const problem of [...nameProblems(rule), ...tableProblems(rule, scope.tables)]) {
      const text = `${rule.ref.parameter}: ${problem.text}`;
      const at = scope.params.source(rule.ref.parameter);
      problems.set(`${rule.ref.at} ${text}`, { ...problem, severity: "warning", at, text });
    }
  }
  return [...problems.values()];
}

/** Every rule once, those of classes too. */
function allRules(lists: readonly (readonly Rule[])[]): ReadonlySet<Rule> {
  const rules = new Set<Rule>();
  const visited = new Set<readonly Rule[]>();
  const waiting = [...lists].reverse();
  for (let list = waiting.pop(); list !== undefined; list = waiting.pop()) {
    if (visited.has(list)) continue;
    visited.add(list);
    for (const rule of list) {
      rules.add(rule);
      if (rule.rules) waiting.push(rule.rules);
    }
  }
  return rules;
}

/** Whether any list has a restriction that asks what SPF or DMARC say of a message. */
export function asksAuthentication(lists: Readonly<Record<Stage, readonly Rule[]>>): boolean {
  for (const { word } of allRules(Object.values(lists))) {
    if (word === "reject_spf_fail" || word === "reject_dmarc_fail") return true;
  }
  return false;
}

type Finding = Pick<Problem, "text" | "hint">;

function nameProblems({ word, ref }: Rule): readonly Finding[] {
  const deprecated = DEPRECATED.get(word);
  if (deprecated !== undefined) return [{ text: deprecated }];
  const written = ref.text.split(" ")[0]?.toLowerCase() ?? "";
  // A bare type:table stands for its word, and what is broken or a class has no other name.
  if (written === word || written.includes(":") || word === "class" || word === "error") return [];
  return [{ text: `restriction "${written}" is an old name`, hint: `write "${word}"` }];
}

function tableProblems({ word, argument }: Rule, tables: TableOpener): readonly Finding[] {
  if (argument === undefined || !OK_FORBIDDEN.test(word)) return [];
  return permittedKeys(tables.open(argument)).map((key) => ({
    text: `restriction ${word} returns OK for "${printableAscii(key)}" (${argument}): this is not allowed for security reasons`,
    hint: "use DUNNO instead of OK if you want to make an exception",
  }));
}

function permittedKeys(table: LookupTable): readonly string[] {
  const keys: string[] = [];
  for (const [key, value] of table.entries ?? []) {
    if (keys.length >= MAX_ENTRIES_SHOWN) break;
    if (parseAction(value).kind === "permit") keys.push(key);
  }
  return keys;
}
