/** proof/trusted.ts: the hosts that a service trusts by address or name: narrow networks of mynetworks, and what client
 *  tables say OK to. They are no strangers; whoever reads the matrix should see who they are. */
import type { Rule } from "../access/restriction.ts";
import { isWide, networkIn } from "./networks.ts";
import type { World } from "./question.ts";
import { canSee, pairsOf, tableOf } from "./sight.ts";

/** More are counted, not listed. */
const MAX_LISTED = 50;

export interface TrustedHosts {
  /** "mynetworks (main.cf:7)", "check_client_access texthash:/etc/postern/clients (main.cf:12)". */
  readonly by: string;
  readonly hosts: readonly string[];
  /** How many more there are. */
  readonly more: number;
}

export function trustedHosts(rules: Iterable<Rule>, world: World): readonly TrustedHosts[] {
  const found = new Map<string, TrustedHosts>();
  for (const { word, argument, ref } of rules) {
    if (word === "permit_mynetworks") {
      const by = `mynetworks (${world.placeOf("mynetworks")})`;
      const listed = world.mynetworks.patterns.filter(({ verdict }) => verdict).map(({ pattern }) => pattern);
      found.set(by, capped(by, listed.filter(isNarrow)));
    }
    if (word !== "check_client_access" || argument === undefined) continue;
    const table = world.services.tables.open(tableOf(argument));
    if (!canSee(table)) continue;
    const by = `${word} ${argument} (${ref.at})`;
    const keys = [...pairsOf(table)].filter(([, value]) => world.values.effectOf(value).mayPermit).map(([key]) => key);
    found.set(by, capped(by, keys.filter(isNarrow)));
  }
  return [...found.values()].filter(({ hosts }) => hosts.length > 0);
}

function capped(by: string, hosts: readonly string[]): TrustedHosts {
  return { by, hosts: hosts.slice(0, MAX_LISTED), more: Math.max(0, hosts.length - MAX_LISTED) };
}

function isNarrow(pattern: string): boolean {
  const network = networkIn(pattern);
  return network === undefined || !isWide(network);
}
