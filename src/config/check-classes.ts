/** config/check-classes.ts: domains that stand in two lists, each of which makes another address class of them. Names only:
 *  what tables say is not looked at. */
import { ParameterError, type Parameters } from "./parameters.ts";
import { scopeOf } from "./scope.ts";
import type { ConfigSnapshot, Problem } from "./snapshot.ts";

/** Which lists Postfix warns of, the one that wins in front. It may relay for its own domains. */
const PAIRS = [
  ["mydestination", "virtual_alias_domains"],
  ["mydestination", "virtual_mailbox_domains"],
  ["virtual_alias_domains", "virtual_mailbox_domains"],
  ["virtual_alias_domains", "relay_domains"],
  ["virtual_mailbox_domains", "relay_domains"],
] as const;

/** Postfix says the same in its log, for each message; each domain once. */
export function checkClasses(snapshot: ConfigSnapshot): readonly Problem[] {
  const params = scopeOf(snapshot);
  const problems = new Map<string, Problem>();
  for (const [winner, loser] of PAIRS) {
    const names = new Set(namesIn(params, winner));
    for (const domain of namesIn(params, loser)) {
      if (!names.has(domain) || problems.has(domain)) continue;
      const text = `do not list domain ${domain} in BOTH ${winner} and ${loser}`;
      const at = params.source(loser) ?? params.source(winner);
      problems.set(domain, { severity: "warning", at, text, hint: `${winner} wins` });
    }
  }
  return [...problems.values()];
}

function namesIn(params: Parameters, list: (typeof PAIRS)[number][number]): readonly string[] {
  try {
    return params
      .get(list)
      .map((word) => word.toLowerCase())
      .filter((word) => /^[^!/.:][^:]*$/.test(word));
  } catch (error) {
    if (error instanceof ParameterError) return []; // check-values.ts reports it
    throw error;
  }
}
