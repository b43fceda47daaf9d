/** rewrite/create.ts: the address resolver of one configuration scope: canonical form, address class, transport and next
 *  hop, as trivial-rewrite(8) finds them. Expanding aliases is not done here. */
import { canonicalIp } from "../base/cidr.ts";
import type { Parameters } from "../config/parameters.ts";
import { type Address, asAddress, domainOf, localPartOf } from "../mail/address.ts";
import { lookupTables, mailAddrFindKeys } from "../tables/keys.ts";
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
    classOf: async (address) => (await resolve(address, settings)).addressClass,
    route: (recipient, sender) => route(recipient, sender, settings),
    async unlistedIn(address) {
      const resolved = await resolve(address, settings);
      if (await settings.recipients.isMapped(resolved, "recipient")) return undefined;
      return settings.recipients.unlistedIn(resolved);
    },
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
async function resolve(given: Address, settings: Settings): Promise<Resolved> {
  let address = rewriteAddress(given === "" ? settings.emptyRecipient : given, settings.rules);
  for (let turn = 0; turn < MAX_ROUTING_TURNS; turn++) {
    const domain = plainDomain(address);
    if (domain === "") return { address, addressClass: "local", invalid: false };
    if (!(await settings.domains.isLocal(domain))) {
      if (isBadDomain(domain, settings.numericDomain)) return { address, addressClass: "default", invalid: true };
      return { address, addressClass: await settings.domains.classOfRemote(domain), invalid: false };
    }
    const local = localPartOf(address);
    const inner = local.includes("@") ? local : swapRouting(local, settings.rules);
    if (!inner.includes("@")) return { address, addressClass: "local", invalid: localPartOf(address) === "" };
    address = rewriteAddress(asAddress(inner), settings.rules);
  }
  return { address, addressClass: "default", invalid: true };
}

/** Literals that are none, and addresses without brackets. */
function isBadDomain(domain: string, numericDomain: boolean): boolean {
  if (domain.startsWith("[")) return literalAddress(domain) === undefined;
  return !numericDomain && canonicalIp(domain) !== undefined;
}

async function route(recipient: Address, sender: Address, settings: Settings): Promise<Route> {
  return routeResolved(await resolve(recipient, settings), sender, settings);
}

async function routeResolved(resolved: Resolved, sender: Address, settings: Settings): Promise<Route> {
  const { address, addressClass, invalid } = resolved;
  if (invalid) return { transport: "error", nexthop: "5.1.3 bad address syntax", recipient: address };
  const domain = domainOf(address) ?? settings.rules.myorigin;
  const relocated = await lookupTables(
    settings.relocatedMaps,
    mailAddrFindKeys(address, {
      delimiter: settings.delimiter,
      localDomain: settings.isLocalDomain(resolved),
    }),
  );
  if (relocated) {
    return { transport: "error", nexthop: `5.1.6 User has moved to ${relocated.value}`, recipient: address };
  }
  const byClass = await routeOfClass(addressClass, { domain, sender, settings });
  const found = await lookupTransport(settings.transportMaps, address, {
    delimiter: settings.delimiter,
    parentMatches: settings.transportParents,
  });
  return { ...(found ? overrideRoute(found, byClass, domain) : byClass), recipient: address };
}

/** What would become of mail to the address: what an alias leads to is not asked. */
async function undeliverable(
  address: Address,
  { who, sender, trace }: UndeliverableQuery,
  settings: Settings,
): Promise<Undeliverable | undefined> {
  const resolved = await resolve(address, settings);
  const { addressClass } = resolved;
  trace?.lookup("address class of", resolved.address, addressClass);
  if (await settings.recipients.isMapped(resolved, who, trace)) return undefined;
  const { transport, nexthop } = await routeResolved(resolved, sender, settings);
  if (transport === "error" || transport === "retry")
    trace?.lookup("transport of", resolved.address, `${transport}:${nexthop}`);
  if (transport === "error" || transport === "retry") return { kind: transport, text: nexthop, addressClass };
  const table = await settings.recipients.unlistedIn(resolved, trace);
  if (table !== undefined) return { kind: "unlisted", table };
  return addressClass === "relay" ? { kind: "relayed" } : undefined;
}

async function routeOfClass(
  addressClass: AddressClass,
  { domain, sender, settings }: { readonly domain: string; readonly sender: Address; readonly settings: Settings },
): Promise<TransportValue> {
  if (addressClass === "virtualAlias") {
    return { transport: "error", nexthop: settings.unknownAlias };
  }
  const configured = settings.transports[addressClass];
  if (addressClass === "local" || addressClass === "virtualMailbox") {
    return { transport: configured.transport, nexthop: configured.nexthop || domain };
  }
  const { delimiter, senderTransport, senderRelayhost } = settings;
  const bySender =
    addressClass === "default"
      ? await lookupBySender(senderTransport.tables, sender, { delimiter, emptyKey: senderTransport.emptyKey })
      : undefined;
  const chosen = bySender === undefined ? configured : overrideRoute(parseTransport(bySender), configured, "");
  if (chosen.nexthop !== "") return chosen;
  const relay = await lookupBySender(senderRelayhost.tables, sender, { delimiter, emptyKey: senderRelayhost.emptyKey });
  return { transport: chosen.transport, nexthop: relay || settings.relayhost || domain };
}
