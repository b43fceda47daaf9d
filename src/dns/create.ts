/** dns/create.ts: the name service on Node's c-ares resolver: hosts file first, a small cache, literals as they are.
 *  getaddrinfo() is never used: it blocks libuv's threads, and cannot tell "no such name" from "try again". */
import { Resolver } from "node:dns/promises";
import { domainToASCII } from "node:url";
import { canonicalIp, formatIp, type IpAddress, octetsOf, parseAddress } from "../base/cidr.ts";
import type { Clock } from "../base/clock.ts";
import { DnsCache, type Fetched } from "./cache.ts";
import { failureOf, INVALID, NO_RECORD } from "./failure.ts";
import { type HostAddress, type HostsFile, parseHostsFile } from "./hosts-file.ts";
import type { Dns, DnsAnswer, DnsFailure, MxRecord } from "./resolver.ts";

export interface DnsOptions {
  readonly clock: Clock;
  /** Text of /etc/hosts. */
  readonly hostsText: string;
  /** "address", "address:port", "[v6]:port"; the system's servers if there are none. */
  readonly servers?: readonly string[];
  /** Of one try; there are two. Default 5000. */
  readonly timeoutMs?: number;
}

interface Sources {
  readonly resolver: Resolver;
  readonly hosts: HostsFile;
}

/** A name service that never rejects; close() ends queries under way as temporary failures. */
export function createDns(options: DnsOptions): Dns {
  const resolver = new Resolver({ timeout: options.timeoutMs ?? 5000, tries: 2 });
  if (options.servers && options.servers.length > 0) resolver.setServers(options.servers);
  const sources = { resolver, hosts: parseHostsFile(options.hostsText) };
  const mxCache = new DnsCache<MxRecord>(options.clock);
  const addressCache = new DnsCache<HostAddress>(options.clock);
  const reverseCache = new DnsCache<string>(options.clock);
  const recordCache = new DnsCache<string>(options.clock);
  const cached = async (type: RecordType, given: string): Promise<DnsAnswer<string>> => {
    const name = queryName(given);
    return name === undefined ? INVALID : recordCache.get(`${type} ${name}`, () => FETCH_BY_TYPE[type](name, resolver));
  };
  return {
    async mx(domain) {
      const name = queryName(domain);
      return name === undefined ? INVALID : mxCache.get(name, () => fetchMx(name, sources));
    },
    async addresses(host) {
      const literal = parseLiteral(host);
      if (literal) return { kind: "found", records: [{ address: formatIp(literal), family: literal.family }] };
      const name = queryName(host);
      if (name === undefined) return INVALID;
      const local = sources.hosts.byName.get(name);
      return local ? { kind: "found", records: local } : addressCache.get(name, () => fetchAddresses(name, sources));
    },
    async reverse(address) {
      const ip = parseAddress(address);
      if (!ip) return INVALID;
      const local = sources.hosts.byAddress.get(formatIp(ip));
      if (local !== undefined) return { kind: "found", records: [local] };
      return reverseCache.get(formatIp(ip), () => fetchReverse(ip, sources));
    },
    ns: (domain) => cached("NS", domain),
    txt: (name) => cached("TXT", name),
    records: (name, family) => cached(family === 4 ? "A" : "AAAA", name),
    names: (name, type) => cached(type, name),
    close: () => resolver.cancel(),
  };
}

type RecordType = "NS" | "TXT" | "A" | "AAAA" | "PTR" | "CNAME";
type FetchRecords = (name: string, resolver: Resolver) => Promise<Fetched<string>>;

/** Records of one type as text. */
const FETCH_BY_TYPE: Readonly<Record<RecordType, FetchRecords>> = {
  async NS(name, resolver) {
    return { answer: mapped(await attempt(resolver.resolveNs(name)), hostName) };
  },
  async PTR(name, resolver) {
    return { answer: mapped(await attempt(resolver.resolvePtr(name)), hostName) };
  },
  async CNAME(name, resolver) {
    return { answer: mapped(await attempt(resolver.resolveCname(name)), hostName) };
  },
  async TXT(name, resolver) {
    return { answer: mapped(await attempt(resolver.resolveTxt(name)), (strings) => strings.join("")) };
  },
  async A(name, resolver) {
    return addressRecords(await attempt(resolver.resolve4(name, { ttl: true })));
  },
  async AAAA(name, resolver) {
    return addressRecords(await attempt(resolver.resolve6(name, { ttl: true })));
  },
};

function hostName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function addressRecords(answer: DnsAnswer<{ readonly address: string; readonly ttl: number }>): Fetched<string> {
  if (answer.kind !== "found") return { answer };
  const ttlMs = Math.min(...answer.records.map(({ ttl }) => ttl)) * 1000;
  return { answer: mapped(answer, ({ address }) => canonicalIp(address) ?? address), ttlMs };
}

function mapped<F, T>(answer: DnsAnswer<F>, map: (record: F) => T): DnsAnswer<T> {
  return answer.kind === "found" ? { kind: "found", records: answer.records.map(map) } : answer;
}

async function fetchMx(name: string, { resolver }: Sources): Promise<Fetched<MxRecord>> {
  const answer = await attempt(resolver.resolveMx(name));
  if (answer.kind !== "found") return { answer };
  // c-ares gives the null MX's "." as "" (RFC 7505).
  const records = answer.records.map(({ priority, exchange }) => ({
    preference: priority,
    exchange: exchange.toLowerCase().replace(/\.$/, ""),
  }));
  return { answer: foundOrNone(records) };
}

/** Both families at once. One of them suffices; without any, "try again" goes before "not found". */
async function fetchAddresses(name: string, { resolver }: Sources): Promise<Fetched<HostAddress>> {
  const [six, four] = await Promise.all([
    attempt(resolver.resolve6(name, { ttl: true })),
    attempt(resolver.resolve4(name, { ttl: true })),
  ]);
  const found = [...ofFamily(six, 6), ...ofFamily(four, 4)];
  if (found.length > 0) {
    // Half an answer must not outlive the outage that halved it.
    const partial = six.kind === "temporary" || four.kind === "temporary";
    const ttlMs = partial ? 0 : Math.min(...found.map((record) => record.ttl)) * 1000;
    return { answer: { kind: "found", records: found.map(({ address, family }) => ({ address, family })) }, ttlMs };
  }
  const failures = [six, four].filter((answer) => answer.kind !== "found");
  const worst = (kind: DnsFailure["kind"]) => failures.find((failure) => failure.kind === kind);
  return { answer: worst("temporary") ?? worst("invalid") ?? worst("noData") ?? worst("notFound") ?? NO_RECORD };
}

function ofFamily<F extends 4 | 6>(
  answer: DnsAnswer<{ readonly address: string; readonly ttl: number }>,
  family: F,
): { readonly address: string; readonly family: F; readonly ttl: number }[] {
  return answer.kind === "found" ? answer.records.map(({ address, ttl }) => ({ address, family, ttl })) : [];
}

async function fetchReverse(ip: IpAddress, { resolver }: Sources): Promise<Fetched<string>> {
  const answer = await attempt(resolver.resolvePtr(reverseName(ip)));
  if (answer.kind !== "found") return { answer };
  const names = answer.records.map((name) => name.toLowerCase().replace(/\.$/, ""));
  return { answer: foundOrNone(names.filter((name) => name !== "").slice(0, 1)) };
}

function foundOrNone<T>(records: readonly T[]): DnsAnswer<T> {
  return records.length > 0 ? { kind: "found", records } : NO_RECORD;
}

async function attempt<T>(query: Promise<readonly T[]>): Promise<DnsAnswer<T>> {
  try {
    return foundOrNone(await query);
  } catch (error) {
    return failureOf(error);
  }
}

/** `1.2.0.192.in-addr.arpa`, `….ip6.arpa` (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(ip: IpAddress): string {
  const octets = octetsOf(ip);
  if (ip.family === 4) return `${[...octets].reverse().join(".")}.in-addr.arpa`;
  const nibbles = octets.map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${[...nibbles].reverse().join(".")}.ip6.arpa`;
}

/** A bare address, `[address]`, or `[IPv6:address]`. */
function parseLiteral(host: string): IpAddress | undefined {
  return parseAddress(/^\[(?:ipv6:)?(.*)\]$/i.exec(host)?.[1] ?? host);
}

/** The name as it is asked: lower case, A-labels, no final dot; undefined for what is no name or looks like an address. */
export function queryName(name: string): string | undefined {
  const ascii = /^[\x21-\x7e]*$/.test(name) ? name.toLowerCase() : domainToASCII(name);
  const bare = ascii.replace(/\.$/, "");
  if (bare === "" || bare.length > 253 || /[^a-z0-9._-]/.test(bare) || parseAddress(bare)) return undefined;
  return bare.split(".").every((label) => label.length > 0 && label.length < 64) ? bare : undefined;
}
