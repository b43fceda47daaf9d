/** proof/compare.ts: what changes in who can relay, between two proofs; the loudest first. A service that is new is compared
 *  with one that takes nothing, as is one that goes. */
import type { Cell } from "./prove.ts";
import type { ClientClass, Destination } from "./scenario.ts";
import type { ServiceProof } from "./service.ts";

/** Without "none": who or what is not there gets nothing through. */
type Relays = "never" | "maybe" | "always";

export interface RelayChange {
  /** Service name of the new master.cf; of a service that goes, of the old one. */
  readonly service: string;
  readonly client: ClientClass;
  readonly destination: Destination;
  readonly before: Relays;
  readonly after: Relays;
}

const RANK: Readonly<Record<Relays, number>> = { never: 0, maybe: 1, always: 2 };
const CLIENT_WEIGHT: Readonly<Record<ClientClass, number>> = {
  stranger: 4,
  strangerTls: 4,
  certificate: 2,
  mynetworks: 1,
  login: 0,
};
const DESTINATION_WEIGHT: Readonly<Record<Destination, number>> = { foreign: 3, named: 2, relay: 1, local: 0 };

/** `before` and `after` are the same service; undefined: there is none. */
export function compareProofs(before: ServiceProof | undefined, after: ServiceProof | undefined): RelayChange[] {
  const service = after?.name ?? before?.name ?? "";
  const old = new Map(before?.cells.map((cell) => [keyOf(cell), relaysOf(cell)]));
  const now = new Map(after?.cells.map((cell) => [keyOf(cell), relaysOf(cell)]));
  const cells = new Map([...(before?.cells ?? []), ...(after?.cells ?? [])].map((cell) => [keyOf(cell), cell]));
  return [...cells]
    .map(([key, { client, destination }]) => ({
      ...{ service, client, destination },
      before: old.get(key) ?? "never",
      after: now.get(key) ?? "never",
    }))
    .filter((change) => change.before !== change.after);
}

function keyOf({ client, destination }: Cell): string {
  return `${client}/${destination}`;
}

function relaysOf({ verdict }: Cell): Relays {
  return verdict === "none" ? "never" : verdict;
}

/** What opens before what closes, strangers before friends, foreign destinations before our own. */
export function loudestFirst(changes: readonly RelayChange[]): readonly RelayChange[] {
  return [...changes].sort((a, b) => loudness(b) - loudness(a));
}

function loudness({ client, destination, before, after }: RelayChange): number {
  const opens = RANK[after] > RANK[before] ? 100 : 0;
  return opens + CLIENT_WEIGHT[client] * 20 + DESTINATION_WEIGHT[destination] * 5 + RANK[after];
}
