/** admin/spf-coverage.ts: what a domain's SPF record says of an address (RFC 7208), by mailauth, which is loaded only here. */
import type { DnsView, Looked } from "./dns-view.ts";

export interface SpfCoverage {
  /** "pass", "fail", "softfail", "neutral", "none", "permerror", "temperror". */
  readonly result: string;
  /** Why, in mailauth's words; "" where it says nothing. */
  readonly text: string;
  /** Questions that count towards the ten that are allowed (§4.6.4). */
  readonly lookups: number;
  /** Verifiers that keep to the letter of RFC 7208 give up: an error in a record that is included, or too many names without
   *  records. */
  readonly strictFails: boolean;
}

export interface SpfQuestion {
  readonly address: string;
  readonly host: string;
  /** Whose record; undefined: that of `host` itself, as for a bounce. */
  readonly domain: string | undefined;
}

/** For the whole of one evaluation. */
const TIMEOUT_MS = 20_000;

export async function spfCoverage({ address, host, domain }: SpfQuestion, view: DnsView): Promise<SpfCoverage> {
  const { spf } = await import("mailauth/lib/spf/index.js");
  const { status, lookups, warnings } = await spf({
    ip: address,
    helo: host,
    mta: host,
    ...(domain !== undefined && { sender: `postmaster@${domain}` }),
    maxElapsedTime: TIMEOUT_MS,
    // Its type knows no MX records, which it asks for.
    resolver: (name: string, type: string) => resolveWith(view, name, type) as Promise<string[]>,
  });
  // "mail.example.org: permanent error in processing during lookup of postmaster@example.org: Too many DNS requests"
  const text = (status.comment || "").replace(/^.* lookup of \S+: /, "");
  return { result: status.result, text, lookups: lookups?.count ?? 0, strictFails: (warnings?.length ?? 0) > 0 };
}

/** As node:dns answers. */
async function resolveWith(view: DnsView, name: string, type: string): Promise<unknown[]> {
  switch (type) {
    case "TXT":
      return recordsOf(await view.txt(name)).map((text) => [text]);
    case "MX":
      return recordsOf(await view.mx(name)).map(({ preference, exchange }) => ({ priority: preference, exchange }));
    case "A":
    case "AAAA":
      return recordsOf(await view.records(name, type));
    case "PTR":
      return recordsOf(await view.names(name));
    default:
      throw failure("ENOTIMP");
  }
}

function recordsOf<T>(looked: Looked<T>): T[] {
  if (looked.kind === "found") return [...looked.records];
  throw failure(looked.kind === "none" ? "ENODATA" : "ETIMEOUT");
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
