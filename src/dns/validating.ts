/** dns/validating.ts: the name service for deliveries that go by DNSSEC (RFC 7672 §2): as create.ts, but answers say
 *  whether they are signed and valid, and under which name, and there are TLSA records. */
import { getServers } from "node:dns";
import { canonicalIp } from "../base/cidr.ts";
import type { Clock } from "../base/clock.ts";
import type { TlsaRecord } from "../net/server-certificate.ts";
import { DnsCache, type Fetched } from "./cache.ts";
import { queryName } from "./create.ts";
import { INVALID } from "./failure.ts";
import type { Dns, DnsAnswer, DnsFailure, MxRecord, ValidatingDns } from "./resolver.ts";
import { stubServers } from "./servers.ts";
import { bare, type StubRecords, StubResolver } from "./stub.ts";

export interface ValidatingOptions {
  readonly stub: StubResolver;
  readonly clock: Clock;
  /** Answers what needs no signature: addresses by the hosts file, PTR, TXT. */
  readonly plain: Dns;
}

/** Time limit of one try; there are two at each server. */
const TIMEOUT_MS = 5000;

/** The validating service beside a plain one. `servers`: the operator's own; if empty, the system's are asked. */
export function openValidatingDns(options: {
  readonly servers: readonly string[];
  readonly clock: Clock;
  readonly plain: Dns;
}): ValidatingDns {
  const { clock, plain } = options;
  const servers = stubServers(options.servers, getServers());
  const stub = new StubResolver({ servers, clock, timeoutMs: TIMEOUT_MS });
  return createValidatingDns({ stub, clock, plain });
}

/** Never rejects. */
export function createValidatingDns({ stub, clock, plain }: ValidatingOptions): ValidatingDns {
  const mxCache = new DnsCache<MxRecord>(clock);
  const addressCache = new DnsCache<string>(clock);
  const tlsaCache = new DnsCache<TlsaRecord>(clock);
  const aliasCache = new DnsCache<string>(clock);
  const named = <T>(text: string, ask: (name: string) => Promise<DnsAnswer<T>>): Promise<DnsAnswer<T>> => {
    const name = queryName(text);
    return name === undefined ? Promise.resolve(INVALID) : ask(name);
  };
  return {
    ...plain,
    mx: (domain) => named(domain, (name) => mxCache.get(name, () => fetchMx(stub, name))),
    records: (host, family) =>
      named(host, (name) => addressCache.get(`${family} ${name}`, () => fetchAddresses(stub, name, family))),
    tlsa: (host, port) => named(`_${port}._tcp.${host}`, (name) => tlsaCache.get(name, () => fetchTlsa(stub, name))),
    alias: (host) => named(host, (name) => aliasCache.get(name, () => fetchAlias(stub, name))),
  };
}

function fetched<T>(answer: StubRecords | DnsFailure, read: (answer: StubRecords) => readonly T[]): Fetched<T> {
  if (answer.kind !== "found") return { answer };
  const { secure, canonical, ttlMs } = answer;
  return { answer: { kind: "found", records: read(answer), secure, canonical }, ttlMs };
}

/** The empty exchange is that of a null MX (RFC 7505). */
async function fetchMx(stub: StubResolver, name: string): Promise<Fetched<MxRecord>> {
  return fetched(await stub.ask(name, "MX"), ({ records }) =>
    records.flatMap((record) =>
      record.type === "MX" ? [{ preference: record.data.preference ?? 0, exchange: bare(record.data.exchange) }] : [],
    ),
  );
}

async function fetchAddresses(stub: StubResolver, name: string, family: 4 | 6): Promise<Fetched<string>> {
  const type = family === 4 ? "A" : "AAAA";
  return fetched(await stub.ask(name, type), ({ records }) =>
    records.flatMap((record) =>
      record.type === type && typeof record.data === "string" ? [canonicalIp(record.data) ?? record.data] : [],
    ),
  );
}

async function fetchTlsa(stub: StubResolver, name: string): Promise<Fetched<TlsaRecord>> {
  return fetched(await stub.ask(name, "TLSA"), ({ records }) =>
    records.flatMap((record) => {
      if (record.type !== "TLSA") return [];
      const { usage, selector, matchingType, certificate } = record.data;
      return [{ usage, selector, matchingType, association: Buffer.from(certificate) }];
    }),
  );
}

async function fetchAlias(stub: StubResolver, name: string): Promise<Fetched<string>> {
  return fetched(await stub.ask(name, "CNAME"), ({ records }) =>
    records.flatMap((record) =>
      record.type === "CNAME" && typeof record.data === "string" ? [bare(record.data)] : [],
    ),
  );
}
