/** mail/address.ts: the internal form of a mail address and its parts. Parsing SMTP paths is mail/path.ts.
 *  Internal form: local part without quotes, "@", domain as given; "" is the null sender; a bare local part has no "@". */
import type { Branded } from "../base/brand.ts";

/** Internal (unquoted) address: "o'neil@example.org", "two words@example.org", "postmaster", "". */
export type Address = Branded<string, "Address">;

/** The null reverse-path `<>` (RFC 5321 §4.5.5). */
export const NULL_ADDRESS = "" as Address;

/** Brands text that is already in internal form: from a table, from the queue, or from a parser. */
export function asAddress(internal: string): Address {
  return internal as Address;
}

/** Everything before the last "@"; the whole address if it has none. */
export function localPartOf(address: Address): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? address : address.slice(0, at);
}

/** Everything behind the last "@", case kept; undefined if there is no "@". */
export function domainOf(address: Address): string | undefined {
  const at = address.lastIndexOf("@");
  return at < 0 ? undefined : address.slice(at + 1);
}

const DOT_STRING =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u;

/** External form for SMTP and headers: the local part quoted where RFC 5321 §4.1.2 demands it. No angle brackets. */
export function formatAddress(address: Address): string {
  if (address === "") return "";
  const local = localPartOf(address);
  const domain = domainOf(address);
  const quoted = DOT_STRING.test(local) ? local : `"${local.replace(/[\\"]/g, "\\$&")}"`;
  return domain === undefined ? quoted : `${quoted}@${domain}`;
}
