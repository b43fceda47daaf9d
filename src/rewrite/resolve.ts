/** rewrite/resolve.ts: address class and next hop (ADDRESS_CLASS_README, trivial-rewrite(8)). */
import type { Address } from "../mail/address.ts";

export type AddressClass = "local" | "virtualAlias" | "virtualMailbox" | "relay" | "default";

export interface Route {
  readonly transport: string;
  readonly nexthop: string;
  /** The recipient as delivery sees it. */
  readonly recipient: Address;
}

export interface AddressResolver {
  /** Canonical form: append @$myorigin, .$mydomain if configured, swap bangpath/percent hack as Postfix does. */
  rewrite(address: Address): Address;
  /** Class by mydestination, inet_interfaces literals, virtual_*_domains, relay_domains. Rejects TableError. */
  classOf(address: Address): AddressClass | Promise<AddressClass>;
  /** Transport and next hop of a recipient. Rejects TableError: the caller defers. */
  route(recipient: Address, sender: Address): Route | Promise<Route>;
  /** Name of the table that does not list this address ("local recipient"), or undefined if it is listed or not checked. */
  unlistedIn(address: Address): string | undefined | Promise<string | undefined>;
  /** Sender-specified routing (`a%b@c`, `a@b@c`, `b!a`) that must not count as an authorised destination. */
  hasSenderRouting(address: Address): boolean;
}
