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
  close(): void;
}
