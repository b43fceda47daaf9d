/** rewrite/transport.ts: `transport:nexthop` values of transport(5), transport_maps, and the sender dependent tables. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";
import { lookupTables, senderKeys, transportKeys } from "../tables/keys.ts";
import type { LookupTable } from "../tables/table.ts";

/** Empty text: the part was not given. */
export interface TransportValue {
  readonly transport: string;
  readonly nexthop: string;
}

/** Splits at the first colon; without one, all is the transport. */
export function parseTransport(value: string): TransportValue {
  const text = value.trim();
  const colon = text.indexOf(":");
  if (colon < 0) return { transport: text, nexthop: "" };
  return { transport: text.slice(0, colon).trim(), nexthop: text.slice(colon + 1).trim() };
}

/** Their next hop is a reason, which a domain is not. */
const FAILING: ReadonlySet<string> = new Set(["error", "retry"]);

/** A transport_maps answer over what was resolved before. transport(5): a transport alone resets the next hop to the domain;
 *  a next hop alone keeps the transport; ":" changes nothing. */
export function overrideRoute(found: TransportValue, resolved: TransportValue, domain: string): TransportValue {
  if (found.transport === "" && found.nexthop === "") return resolved;
  if (found.transport === "") return { transport: resolved.transport, nexthop: found.nexthop };
  const fallback = FAILING.has(found.transport) ? "Address is undeliverable" : domain;
  return { transport: found.transport, nexthop: found.nexthop === "" ? fallback : found.nexthop };
}

/** The transport_maps answer for a recipient. Throws or rejects TableError. */
export function lookupTransport(
  tables: readonly LookupTable[],
  recipient: Address,
  options: { readonly delimiter: string; readonly parentMatches: boolean },
): Awaitable<TransportValue | undefined> {
  return whenKnown(lookupTables(tables, transportKeys(recipient, options)), (hit) => hit && parseTransport(hit.value));
}

/** The answer of a sender dependent table; undefined for none and for DUNNO. Throws or rejects TableError. */
export function lookupBySender(
  tables: readonly LookupTable[],
  sender: Address,
  options: { readonly delimiter: string; readonly emptyKey: string },
): Awaitable<string | undefined> {
  const keys = sender === "" ? [options.emptyKey] : senderKeys(sender, options);
  return whenKnown(lookupTables(tables, keys), (hit) =>
    hit === undefined || /^dunno$/i.test(hit.value) ? undefined : hit.value,
  );
}
