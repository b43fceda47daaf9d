/** proof/reachable.ts: every rule that RCPT can come to: those of the five lists, of classes, and of lists in tables. */
import type { Stage } from "../access/access.ts";
import type { Rule, Services } from "../access/restriction.ts";
import { canSee, tableOf, type Values, valuesOf } from "./sight.ts";

export type RcptStage = "client" | "helo" | "sender" | "relay" | "recipient";
export const RCPT_STAGES: readonly RcptStage[] = ["client", "helo", "sender", "relay", "recipient"];

/** Lists that tables name, of one configuration. */
const MAX_LISTS = 1000;

/** Each rule once, with its stage. */
export function reachableRules(
  lists: Readonly<Record<Stage, readonly Rule[]>>,
  services: Services,
  values: Values,
): ReadonlyMap<Rule, RcptStage> {
  const found = new Map<Rule, RcptStage>();
  const visited = new Set<readonly Rule[]>();
  for (const stage of RCPT_STAGES) {
    const waiting = [lists[stage]];
    for (let list = waiting.pop(); list !== undefined && visited.size < MAX_LISTS; list = waiting.pop()) {
      if (visited.has(list)) continue;
      visited.add(list);
      for (const rule of list) {
        found.set(rule, stage);
        if (rule.rules) waiting.push(rule.rules);
        waiting.push(...listsInTable(rule, stage, { services, values }));
      }
    }
  }
  return found;
}

/** Compiled as the rule itself would compile them. */
function listsInTable(
  { word, argument, ref }: Rule,
  stage: RcptStage,
  { services, values }: { readonly services: Services; readonly values: Values },
): (readonly Rule[])[] {
  if (argument === undefined || !/^check_\w+_access$/.test(word)) return [];
  const table = services.tables.open(tableOf(argument));
  if (!canSee(table)) return [];
  const texts = new Set<string>();
  for (const value of valuesOf(table)) {
    const { list } = values.effectOf(value);
    if (list !== undefined && texts.size < MAX_LISTS) texts.add(list);
  }
  return [...texts].map((text) => services.compileValue(text, { stage, ref }));
}
