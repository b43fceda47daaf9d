/** dns/failure.ts: c-ares error codes as the four ways in which a name has no answer, in Postfix's words (dns_strerror). */
import type { DnsFailure } from "./resolver.ts";

export const NOT_FOUND: DnsFailure = { kind: "notFound", text: "Host not found" };
export const NO_RECORD: DnsFailure = { kind: "noData", text: "Host found but no data record of requested type" };
export const TEMPORARY: DnsFailure = { kind: "temporary", text: "Host not found, try again" };
export const INVALID: DnsFailure = { kind: "invalid", text: "Invalid host or domain name" };

/** Anything unknown is temporary: mail waits rather than bounces. */
export function failureOf(error: unknown): DnsFailure {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOTFOUND") return NOT_FOUND;
  if (code === "ENODATA") return NO_RECORD;
  if (code === "EBADNAME") return INVALID;
  return TEMPORARY;
}
