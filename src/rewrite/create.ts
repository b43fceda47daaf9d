/** rewrite/create.ts: the address resolver of one configuration scope: canonical form, address class, transport and next
 *  hop, as trivial-rewrite(8) finds them. Expanding aliases is not done here. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import { canonicalIp } from "../base/cidr.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys } from "../tables/keys.ts";
import type { LookupTrace } from "../tables/lookup-trace.ts";
import type { LookupTable, TableOpener } from "../tables/table.ts";
import { type RewriteRules, rewriteAddress, rewriteRules, swapRouting } from "./canonical.ts";
import { createDomainClasses, type DomainClasses, literalAddress } from "./domains.ts";
import {
  createRecipientTables,
  isLocalDomain,
  plainDomain,
  type RecipientTables,
  type ResolvedAddress,
} from "./recipients.ts";
import type { AddressClass, AddressResolver, Route, Undeliverable, UndeliverableQuery } from "./resolve.ts";
import { lookupBySender, lookupTransport, overrideRoute, parseTransport, type TransportValue } from "./transport.ts";

/** `a@b@ours`, `a%b%ours@ours` …: more turns than anybody means. */
const MAX_ROUTING_TURNS = 20;

interface Settings {
  readonly rules: RewriteRules;
  readonly delimiter: string;
  readonly numericDomain: boolean;
  readonly emptyRecipient: Address;
  readonly domains: DomainClasses;
  readonly recipients: RecipientTables;
  readonly transports: Readonly<Record<"local" | "virtualMailbox" | "relay" | "default", TransportValue>>;
  readonly relayhost: string;
  readonly transportMaps: readonly LookupTable[];
  readonly relocatedMaps: readonly LookupTable[];
  readonly isLocalDomain: (resolved: ResolvedAddress) => boolean;
  /** Next hop of the error transport for an address in a virtual alias domain. */
  readonly unknownAlias: string;
  readonly transportParents: boolean;
  readonly senderRelayhost: { readonly tables: readonly LookupTable[]; readonly emptyKey: string };
  readonly senderTransport: { readonly tables: readonly LookupTable[]; readonly emptyKey: string };
}

/** The address with our own domains peeled off, and its class; "invalid": there is nowhere to send it. */
interface Resolved {
  readonly address: Address;
  readonly addressClass: AddressClass;
  readonly invalid: boolean;
}

/** One resolver for each scope and configuration generation. `ownAddresses`: canonical or not, all that we listen on. */
export function createResolver(
  params: Parameters,
  deps: { readonly tables: TableOpener; readonly ownAddresses: readonly string[] },
): AddressResolver {
  const settings = readSettings(params, deps);
  return {
    rewrite: (address) => rewriteAddress(address, settings.rules),
    classOf: (address) => whenKnown(resolve(address, settings), ({ addressClass }) => addressClass),
    route: (recipient, sender) => route(recipient, sender, settings),
    unlistedIn: (address) =>
      whenKnown(resolve(address, settings), (resolved) =>
        whenKnown(settings.recipients.isMapped(resolved, "recipient"), (mapped) =>
          mapped ? undefined : settings.recipients.unlistedIn(resolved),
        ),
      ),
    undeliverable: (address, query) => undeliverable(address, query, settings),
    // Whatever the switches say: the next host may know these forms even where we do not.
    hasSenderRouting: (address) => address.includes("@") && /[@%!]/.test(localPartOf(address)),
  };
}

function readSettings(
  params: Parameters,
  deps: { readonly tables: TableOpener; readonly ownAddresses: readonly string[] },
): Settings {
  const open = (refs: readonly string[]) => refs.map((ref) => deps.tables.open(ref));
  return {
    rules: rewriteRules(params),
    delimiter: params.text("recipient_delimiter"),
    numericDomain: params.get("resolve_numeric_domain"),
    emptyRecipient: asAddress(params.get("empty_address_recipient")),
    domains: createDomainClasses(params, deps),
    recipients: createRecipientTables(params, deps.tables),
    transports: {
      local: parseTransport(params.get("local_transport")),
      virtualMailbox: parseTransport(params.get("virtual_transport")),
      relay: parseTransport(params.get("relay_transport")),
      default: parseTransport(params.get("default_transport")),
    },
    relayhost: params.get("relayhost"),
    transportMaps: open(params.get("transport_maps")),
    relocatedMaps: open(params.get("relocated_maps")),
    isLocalDomain: (resolved) => isLocalDomain(resolved, params),
    unknownAlias: unknownAlias(params),
    transportParents: params.get("parent_domain_matches_subdomains").includes("transport_maps"),
    senderRelayhost: {
      tables: open(params.get("sender_dependent_relayhost_maps")),
      emptyKey: params.get("empty_address_relayhost_maps_lookup_key"),
    },
    senderTransport: {
      tables: open(params.get("sender_dependent_default_transport_maps")),
      emptyKey: params.get("empty_address_default_transport_maps_lookup_key"),
    },
  };
}

function unknownAlias(params: Parameters): string {
  return `5.1.1 User unknown${params.get("show_user_unknown_table_name") ? " in virtual alias table" : ""}`;
}

/** Peels local domains off as long as the local part names another one, then finds the class. */
function resolve(given: Address, settings: Settings): Awaitable<Resolved> {
  return peel(given === "" ? settings.emptyRecipient : given, MAX_ROUTING_TURNS, settings);
}

function peel(given: Address, turns: number, settings: Settings): Awaitable<Resolved> {
  const address = rewriteAddress(given, settings.rules);
  if (turns === 0) return { address, addressClass: "default", invalid: true };
  const domain = plainDomain(address);
  if (domain === "") return { address, addressClass: "local", invalid: false };
  return whenKnown(settings.domains.isLocal(domain), (isLocal) => {
    if (!isLocal) return resolveRemote(address, domain, settings);
    const local = localPartOf(address);
    const inner = local.includes("@") ? local : swapRouting(local, settings.rules);
    if (!inner.includes("@")) return { address, addressClass: "local", invalid: local === "" };
    return peel(asAddress(inner), turns - 1, settings);
  });
}

function resolveRemote(address: Address, domain: string, settings: Settings): Awaitable<Resolved> {
  if (isBadDomain(domain, settings.numericDomain)) return { address, addressClass: "default", invalid: true };
  return whenKnown(settings.domains.classOfRemote(domain), (addressClass) => ({
    address,
    addressClass,
    invalid: false,
  }));
}

/** Literals that are none, and addresses without brackets. */
function isBadDomain(domain: string, numericDomain: boolean): boolean {
  if (domain.startsWith("[")) return literalAddress(domain) === undefined;
  // Names end in a letter, addresses in a digit or, of IPv6, have colons.
  return !numericDomain && /\d$|:/.test(domain) && canonicalIp(domain) !== undefined;
}

function route(recipient: Address, sender: Address, settings: Settings): Awaitable<Route> {
  return whenKnown(resolve(recipient, settings), (resolved) => routeResolved(resolved, sender, settings));
}

function routeResolved(resolved: Resolved, sender: Address, settings: Settings): Awaitable<Route> {
  const { address, invalid } = resolved;
  if (invalid) return { transport: "error", nexthop: "5.1.3 bad address syntax", recipient: address };
  const relocated = lookupTables(
    settings.relocatedMaps,
    mailAddrFindKeys(address, {
      delimiter: settings.delimiter,
      localDomain: settings.isLocalDomain(resolved),
    }),
  );
  return whenKnown(relocated, (moved) => {
    if (moved === undefined) return routeByTables(resolved, sender, settings);
    return { transport: "error", nexthop: `5.1.6 User has moved to ${moved.value}`, recipient: address };
  });
}

function routeByTables(resolved: Resolved, sender: Address, settings: Settings): Awaitable<Route> {
  const { address: recipient, addressClass } = resolved;
  const { delimiter, transportMaps, transportParents: parentMatches } = settings;
  const domain = domainOf(recipient) ?? settings.rules.myorigin;
  // What no alias names is unknown, whatever transport_maps says of its domain.
  if (addressClass === "virtualAlias") return { transport: "error", nexthop: settings.unknownAlias, recipient };
  return whenKnown(routeOfClass(addressClass, { domain, sender, settings }), (byClass) =>
    whenKnown(lookupTransport(transportMaps, recipient, { delimiter, parentMatches }), (found) => {
      const { transport, nexthop } = found ? overrideRoute(found, byClass, domain) : byClass;
      return { transport, nexthop, recipient };
    }),
  );
}

/** What would become of mail to the address: what an alias leads to is not asked. */
function undeliverable(
  address: Address,
  query: UndeliverableQuery,
  settings: Settings,
): Awaitable<Undeliverable | undefined> {
  return whenKnown(resolve(address, settings), (resolved) => {
    const { who, sender, trace } = query;
    trace?.lookup("address class of", resolved.address, resolved.addressClass);
    return whenKnown(settings.recipients.isMapped(resolved, who, trace), (mapped) => {
      if (mapped) return undefined;
      const routed = routeResolved(resolved, sender, settings);
      return whenKnown(routed, (found) => undeliverableBy(found, resolved, trace, settings));
    });
  });
}

function undeliverableBy(
  { transport, nexthop }: Route,
  resolved: Resolved,
  trace: LookupTrace | undefined,
  settings: Settings,
): Awaitable<Undeliverable | undefined> {
  const { address, addressClass } = resolved;
  if (transport === "error" || transport === "retry") {
    trace?.lookup("transport of", address, `${transport}:${nexthop}`);
    return { kind: transport, text: nexthop, addressClass };
  }
  return whenKnown(settings.recipients.unlistedIn(resolved, trace), (table) => {
    if (table !== undefined) return { kind: "unlisted", table };
    return addressClass === "relay" ? { kind: "relayed" } : undefined;
  });
}

function routeOfClass(
  addressClass: Exclude<AddressClass, "virtualAlias">,
  { domain, sender, settings }: { readonly domain: string; readonly sender: Address; readonly settings: Settings },
): Awaitable<TransportValue> {
  const configured = settings.transports[addressClass];
  if (addressClass === "local" || addressClass === "virtualMailbox") {
    return { transport: configured.transport, nexthop: configured.nexthop || domain };
  }
  const { delimiter, senderTransport, senderRelayhost } = settings;
  const transports = addressClass === "default" ? senderTransport.tables : [];
  return whenKnown(
    lookupBySender(transports, sender, { delimiter, emptyKey: senderTransport.emptyKey }),
    (bySender) => {
      const chosen = bySender === undefined ? configured : overrideRoute(parseTransport(bySender), configured, "");
      if (chosen.nexthop !== "") return chosen;
      const options = { delimiter, emptyKey: senderRelayhost.emptyKey };
      return whenKnown(lookupBySender(senderRelayhost.tables, sender, options), (relay) => ({
        transport: chosen.transport,
        nexthop: relay || settings.relayhost || domain,
      }));
    },
  );
}
