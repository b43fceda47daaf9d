/** proof/doubt.ts: what else a table may say, under keys of the client that were not tried: those that only some pattern
 *  matches, or that were left out because there are too many. */
import type { Rule } from "../access/restriction.ts";
import type { LookupTable } from "../tables/table.ts";
import type { Unseen } from "./possible.ts";
import type { Answer, Question, World } from "./question.ts";
import { valuesOf } from "./sight.ts";

/** The answer to the key that was tried, made wider. */
export function withDoubt(said: Answer, table: LookupTable, asked: Asked): Answer {
  const { world, unseen } = asked;
  if (said.permit) return said;
  if (world.capped.has(table.ref)) {
    const why = "it has too many keys to try them all";
    return { ...said, permit: true, next: true, unseen: { ...unseen, clientChooses: false }, why };
  }
  if (table.rules === undefined || /^(?:proxy:)*cidr:/.test(table.ref)) return said;
  const effects = [...valuesOf(table)].map((value) => world.values.effectOf(value));
  const permits = effects.some(({ mayPermit, list }) => mayPermit && (list === undefined || mayEnd(list, asked)));
  if (permits) return { ...said, permit: true, next: true, unseen, why: "one of its patterns may say OK" };
  const passes = said.refuse !== undefined && effects.some(({ refuses }) => !refuses);
  return passes ? { ...said, next: true, unseen, why: "one of its patterns may let it pass" } : said;
}

interface Asked {
  readonly question: Question;
  readonly world: World;
  readonly unseen: Unseen;
}

/** Whether a list may permit at all: reject_… and its like never do. */
function mayEnd(list: string, { question: { rule, stage }, world }: Asked): boolean {
  const visited = new Set<readonly Rule[]>();
  const mayPermit = (rules: readonly Rule[]): boolean => {
    if (visited.has(rules)) return false;
    visited.add(rules);
    return rules.some(
      ({ word, rules: inner }) => /^(?:permit|check_)/.test(word) || (inner ? mayPermit(inner) : false),
    );
  };
  return mayPermit(world.services.compileValue(list, { stage, ref: rule.ref }));
}
