/** rewrite/resolve.ts: address class and next hop (ADDRESS_CLASS_README, trivial-rewrite(8)). */
import type { Awaitable } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";
import type { LookupTrace } from "../tables/lookup-trace.ts";

export type AddressClass = "local" | "virtualAlias" | "virtualMailbox" | "relay" | "default";

export interface Route {
  readonly transport: string;
  readonly nexthop: string;
  /** The recipient as delivery sees it. */
  readonly recipient: Address;
}

/** Why mail to an address would only come back. */
export type Undeliverable =
  /** The recipient table of its class does not list it. */
  | { readonly kind: "unlisted"; readonly table: string }
  /** It leads to the error or retry transport; `text` is the next hop: `5.1.6 User has moved to …`. */
  | { readonly kind: "error" | "retry"; readonly text: string; readonly addressClass: AddressClass }
  /** No reason: a deliverable address in $relay_domains, which the default of an old compatibility level may have set. */
  | { readonly kind: "relayed" };

export interface UndeliverableQuery {
  readonly who: "sender" | "recipient";
  /** For recipients: who writes to them. */
  readonly sender: Address;
  /** Takes what is looked up. */
  readonly trace?: LookupTrace | undefined;
}

export interface AddressResolver {
  /** Canonical form: append @$myorigin, .$mydomain if configured, swap bangpath/percent hack as Postfix does. */
  rewrite(address: Address): Address;
  /** Class by mydestination, inet_interfaces literals, virtual_*_domains, relay_domains. Rejects TableError. */
  classOf(address: Address): Awaitable<AddressClass>;
  /** Transport and next hop of a recipient. Rejects TableError: the caller defers. */
  route(recipient: Address, sender: Address): Awaitable<Route>;
  /** Name of the table that does not list this address ("local recipient"), or undefined if it is listed or not checked. */
  unlistedIn(address: Address): Awaitable<string | undefined>;
  /** Whether to take mail for the address, or from it (`who`): aliases, then error transports, then recipient tables.
   *  Rejects TableError. Resolvers without it are asked with unlistedIn(). */
  undeliverable?(address: Address, query: UndeliverableQuery): Awaitable<Undeliverable | undefined>;
  /** Sender-specified routing (`a%b@c`, `a@b@c`, `b!a`) that must not count as an authorised destination. */
  hasSenderRouting(address: Address): boolean;
}
