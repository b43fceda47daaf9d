/** smtp/host-lookup.ts: the addresses of one host, and the mail exchangers of one domain, as smtp_host_lookup, inet_protocols
 *  and smtp_dns_reply_filter let them be. */
import type { Dns, DnsAnswer, DnsFailure, DnsFound, MxRecord } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import { ipVersion } from "../net/client-connection.ts";
import { TableError, type TableOpener } from "../tables/table.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import type { LookupSettings } from "./settings.ts";

export interface LookupParts {
  readonly dns: Dns;
  readonly lookup: LookupSettings;
  readonly tables: TableOpener;
  readonly log: Log;
}

export interface HostAddress {
  readonly address: string;
  readonly family: 4 | 6;
  readonly origin?: NameOrigin;
}

/** What DNSSEC says of an answer, where the name service validates: whether it is signed and valid, and the name at the end
 *  of its aliases. */
export interface NameOrigin {
  readonly secure: boolean;
  readonly canonical: string;
}

function originOf(name: string, { secure, canonical = name }: DnsFound<unknown>): NameOrigin | undefined {
  return secure === undefined ? undefined : { secure, canonical };
}

export type Addresses = { readonly addresses: readonly HostAddress[] } | { readonly failure: Verdict };

/** `failure`: "absent" where RFC 5321 §5.1 goes on with the domain's own addresses. */
export type Exchangers =
  | { readonly exchangers: readonly MxRecord[]; readonly origin: NameOrigin | undefined }
  | { readonly failure: Verdict; readonly kind: "absent" | "error" };

type RecordType = "MX" | "A" | "AAAA";

export async function findExchangers(domain: string, parts: LookupParts): Promise<Exchangers> {
  const answer = await parts.dns.mx(domain);
  if (answer.kind !== "found") {
    const absent = answer.kind === "noData" || answer.kind === "notFound";
    return { failure: nameError(domain, "MX", answer), kind: absent ? "absent" : "error" };
  }
  const keep = filterOf(domain, "MX", parts);
  const kept = keep ? await keep(answer.records, (mx) => `${mx.preference} ${mx.exchange}.`) : answer.records;
  return "failure" in kept ? { ...kept, kind: "error" } : { exchangers: kept, origin: originOf(domain, answer) };
}

/** Literal addresses are themselves. The name service is asked as smtp_host_lookup says; "localhost" never leaves the
 *  machine (RFC 6761 §6.3). */
export async function findAddresses(name: string, parts: LookupParts): Promise<Addresses> {
  const version = ipVersion(name);
  if (version !== 0) return ofFamilies([{ address: name, family: version }], name, parts);
  const { methods } = parts.lookup;
  if (name === "localhost" || !methods.includes("dns")) return native(name, parts);
  const fromDns = await inDns(name, parts);
  const absent = "failure" in fromDns && fromDns.failure.dsn === "5.4.4";
  return absent && methods.includes("native") ? native(name, parts) : fromDns;
}

/** /etc/hosts, then DNS. */
async function native(name: string, parts: LookupParts): Promise<Addresses> {
  const answer = await parts.dns.addresses(name);
  if (answer.kind === "found") return ofFamilies(answer.records, name, parts);
  return { failure: unknownHost(name, answer) };
}

/** From the records alone; both families at once, one of them suffices. */
async function inDns(name: string, parts: LookupParts): Promise<Addresses> {
  const { dns, lookup } = parts;
  const families = ([6, 4] as const).filter((family) => lookup.families.has(family));
  const found = await Promise.all(families.map((family) => ofFamily(name, family, { parts, dns })));
  const addresses = found.flatMap((answer) => ("addresses" in answer ? answer.addresses : []));
  if (addresses.length > 0) return { addresses };
  const failures = found.flatMap((answer) => ("failure" in answer ? [answer.failure] : []));
  // The worst first: a family that may still have an address.
  const failure = failures.find(({ kind }) => kind === "deferred") ?? failures[0];
  return { failure: failure ?? ownVerdict("4.3.5", `no address family to look up ${name} for`) };
}

async function ofFamily(
  name: string,
  family: 4 | 6,
  { parts, dns }: { readonly parts: LookupParts; readonly dns: Dns },
): Promise<Addresses> {
  const type = family === 4 ? "A" : "AAAA";
  const answer = await recordsOf(name, family, dns);
  if (answer.kind !== "found") return { failure: nameError(name, type, answer) };
  const keep = filterOf(name, type, parts);
  const kept = keep ? await keep(answer.records, (address) => address) : answer.records;
  const origin = originOf(name, answer);
  return "failure" in kept
    ? kept
    : { addresses: kept.map((address) => ({ address, family, ...(origin && { origin }) })) };
}

/** Name services of tests may know addresses() only. */
async function recordsOf(name: string, family: 4 | 6, dns: Dns): Promise<DnsAnswer<string>> {
  if (dns.records) return dns.records(name, family);
  const answer = await dns.addresses(name);
  if (answer.kind !== "found") return answer;
  const records = answer.records.filter((record) => record.family === family).map(({ address }) => address);
  return records.length > 0 ? { kind: "found", records } : { kind: "noData", text: NO_DATA };
}

const NO_DATA = "Host found but no data record of requested type";

function ofFamilies(hosts: readonly HostAddress[], name: string, { lookup }: LookupParts): Addresses {
  const addresses = hosts.filter(({ family }) => lookup.families.has(family));
  if (addresses.length > 0) return { addresses };
  return { failure: unknownHost(name, { kind: "noData", text: NO_DATA }) };
}

function unknownHost(name: string, failure: DnsFailure): Verdict {
  return ownVerdict(
    failure.kind === "temporary" ? "4.4.3" : "5.4.4",
    `unable to look up host ${name}: ${failure.text}`,
  );
}

function nameError(name: string, type: RecordType, failure: DnsFailure): Verdict {
  if (failure.kind === "invalid") {
    return ownVerdict("5.4.4", `Name service error for ${name}: invalid host or domain name`);
  }
  const text = `Host or domain name not found. Name service error for name=${name} type=${type}: ${failure.text}`;
  return ownVerdict(failure.kind === "temporary" ? "4.4.3" : "5.4.4", text);
}

type Keep = <T>(
  records: readonly T[],
  format: (record: T) => string,
) => Promise<readonly T[] | { readonly failure: Verdict }>;

/** smtp_dns_reply_filter; undefined: there is none. The time to live is not known here and given as 0. */
function filterOf(name: string, type: RecordType, parts: LookupParts): Keep | undefined {
  const refs = parts.lookup.replyFilter;
  if (refs.length === 0) return undefined;
  return async (records, format) => {
    const kept = [];
    try {
      for (const record of records) {
        const text = `${name}. 0 IN ${type} ${format(record)}`;
        if (await isIgnored(text, refs, parts)) parts.log.info(`ignoring DNS RR: ${text}`);
        else kept.push(record);
      }
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      parts.log.warning(error.message);
      return dropped(name, type, "Invalid DNS reply filter syntax");
    }
    return kept.length > 0 ? kept : dropped(name, type, "DNS reply filter drops all results");
  };
}

/** Rejects TableError, also for an action that does not exist. */
async function isIgnored(text: string, refs: readonly string[], { tables }: LookupParts): Promise<boolean> {
  for (const ref of refs) {
    const action = await tables.open(ref).get(text);
    if (action === undefined) continue;
    if (action.trim().toUpperCase() === "IGNORE") return true;
    throw new TableError(`${ref}: unknown DNS filter action: "${action}"`);
  }
  return false;
}

function dropped(name: string, type: RecordType, why: string): { readonly failure: Verdict } {
  return { failure: ownVerdict("4.7.0", `Error looking up name=${name} type=${type}: ${why}`) };
}
