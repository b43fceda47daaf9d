/** dns/resolver.ts: the name service as the other rooms see it. Answers carry why there is none. */
import type { TlsaRecord } from "../net/server-certificate.ts";

export type DnsFailure = {
  readonly kind: "notFound" | "noData" | "temporary" | "invalid";
  /** "Host not found", "Host not found, try again" … as Postfix logs it. */
  readonly text: string;
};
export interface DnsFound<T> {
  readonly kind: "found";
  readonly records: readonly T[];
  /** Signed and valid (DNSSEC), aliases included; only ValidatingDns says it. */
  readonly secure?: boolean;
  /** The name that the records are under, behind aliases; only ValidatingDns says it. */
  readonly canonical?: string;
}
export type DnsAnswer<T> = DnsFound<T> | DnsFailure;

export interface MxRecord {
  readonly preference: number;
  /** Lower-case host; "" for a null MX (RFC 7505). */
  readonly exchange: string;
}

export interface Dns {
  mx(domain: string): Promise<DnsAnswer<MxRecord>>;
  /** IPv6 and IPv4 addresses, hosts file first (smtp_host_lookup), order as preferred by the caller. */
  addresses(host: string): Promise<DnsAnswer<{ readonly address: string; readonly family: 4 | 6 }>>;
  /** PTR name of an address, hosts file first; the name is lower case without final dot. Not yet verified. */
  reverse(address: string): Promise<DnsAnswer<string>>;
  /** Optional for fakes only, as those below: who asks takes a missing one for a temporary failure.
   *  Name servers of a domain, lower case without final dot. */
  ns?(domain: string): Promise<DnsAnswer<string>>;
  /** TXT records, the strings of each joined. Remote text: not yet printable. */
  txt?(name: string): Promise<DnsAnswer<string>>;
  /** A (4) or AAAA (6) records from DNS alone: no hosts file, no literals. Addresses in canonical form. */
  records?(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
  /** Names that a name of the reverse tree, or an alias, leads to: lower case without final dot. */
  names?(name: string, type: "PTR" | "CNAME"): Promise<DnsAnswer<string>>;
  close(): void;
}

/** A name service whose answers say whether they are secure. */
export interface ValidatingDns extends Dns {
  records(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
  /** TLSA records of a host's TCP port (RFC 6698 §3). */
  tlsa(host: string, port: number): Promise<DnsAnswer<TlsaRecord>>;
  /** The alias of a name itself. */
  alias(host: string): Promise<DnsAnswer<string>>;
}
