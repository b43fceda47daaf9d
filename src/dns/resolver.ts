/** dns/resolver.ts: the name service as the other rooms see it. Answers carry why there is none. */

export type DnsFailure = {
  readonly kind: "notFound" | "noData" | "temporary" | "invalid";
  /** "Host not found", "Host not found, try again" … as Postfix logs it. */
  readonly text: string;
};
export type DnsAnswer<T> = { readonly kind: "found"; readonly records: readonly T[] } | DnsFailure;

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
  /** Optional for fakes only, as the two below: who asks takes a missing one for a temporary failure.
   *  Name servers of a domain, lower case without final dot. */
  ns?(domain: string): Promise<DnsAnswer<string>>;
  /** TXT records, the strings of each joined. Remote text: not yet printable. */
  txt?(name: string): Promise<DnsAnswer<string>>;
  /** A (4) or AAAA (6) records from DNS alone: no hosts file, no literals. Addresses in canonical form. */
  records?(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
  close(): void;
}
