/** rewrite/domains.ts: which domains are ours and in which way (ADDRESS_CLASS_README): one list for each address class. */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import { canonicalIp } from "../base/cidr.ts";
import type { Parameters } from "../config/parameters.ts";
import { compileDomainList, compileNameList, type DomainList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import { usedAddresses } from "./own-addresses.ts";

export interface DomainClasses {
  /** In $mydestination, or `[address]` of our own. Throws or rejects TableError, as all of these. */
  isLocal(domain: string): Awaitable<boolean>;
  /** The class of a domain that is not local. */
  classOfRemote(domain: string): Awaitable<RemoteClass>;
}

type RemoteClass = "virtualAlias" | "virtualMailbox" | "relay" | "default";

/** Compiles the lists of one scope. */
export function createDomainClasses(
  params: Parameters,
  deps: { readonly tables: TableOpener; readonly ownAddresses: readonly string[] },
): DomainClasses {
  const options = { opener: deps.tables };
  const mydestination = compileNameList(params.get("mydestination"), options);
  const virtualAlias = compileNameList(params.get("virtual_alias_domains"), options);
  const virtualMailbox = compileNameList(params.get("virtual_mailbox_domains"), options);
  const relay = compileDomainList(params.get("relay_domains"), { ...options, parentMatches: relayParents(params) });
  const known = familyFilter(params);
  const receiving = [...usedAddresses(params, deps.ownAddresses), ...params.get("proxy_interfaces")];
  const own = new Set(receiving.map((a) => canonicalIp(a) ?? a).filter(known));
  const isOwnLiteral = (domain: string): boolean => {
    const literal = literalAddress(domain);
    return literal !== undefined && own.has(literal);
  };
  const lists: readonly ListOfClass[] = [
    { list: virtualAlias, name: "virtualAlias" },
    { list: virtualMailbox, name: "virtualMailbox" },
    { list: relay, name: "relay" },
  ];
  return {
    isLocal: (domain) => whenKnown(mydestination.matches(domain), (listed) => listed || isOwnLiteral(domain)),
    classOfRemote: (domain) => firstListed(lists, 0, domain),
  };
}

interface ListOfClass {
  readonly list: DomainList;
  readonly name: RemoteClass;
}

function firstListed(lists: readonly ListOfClass[], from: number, domain: string): Awaitable<RemoteClass> {
  const first = lists[from];
  if (first === undefined) return "default";
  const listed = first.list.matches(domain);
  if (listed === false) return firstListed(lists, from + 1, domain);
  return whenKnown(listed, (yes) => (yes ? first.name : firstListed(lists, from + 1, domain)));
}

/** Canonical address of `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3); undefined for anything else. */
export function literalAddress(domain: string): string | undefined {
  if (!domain.startsWith("[")) return undefined;
  const m = /^\[(ipv6:)?([^\]]+)\]$/i.exec(domain);
  const address = canonicalIp(m?.[2] ?? "");
  if (address === undefined) return undefined;
  // The tag is for colons only: [IPv6:192.0.2.1] is no address literal.
  return m?.[1] !== undefined && !m[2]?.includes(":") ? undefined : address;
}

/** Mail for an address of a family that inet_protocols leaves out is not ours. */
function familyFilter(params: Parameters): (address: string) => boolean {
  const protocols = params.get("inet_protocols");
  const takes = (protocol: "ipv4" | "ipv6") => protocols.includes("all") || protocols.includes(protocol);
  const [ipv4, ipv6] = [takes("ipv4"), takes("ipv6")];
  return (address) => (address.includes(":") ? ipv6 : ipv4);
}

function relayParents(params: Parameters): boolean {
  return params.get("parent_domain_matches_subdomains").includes("relay_domains");
}
