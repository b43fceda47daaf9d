/** access/hostname.ts: what counts as a host name and an address literal in HELO and addresses (RFC 1123 §2.1,
 *  RFC 5321 §4.1.3). Looks nothing up. */
import { domainToASCII } from "node:url";
import ipaddr from "ipaddr.js";

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?$/;

/** Labels of letters, digits, "-" and "_", each up to 63 octets, 255 in all, not all digits. No final dot. */
export function isHostname(name: string): boolean {
  if (name === "" || name.length > 255) return false;
  const ascii = /[^\x00-\x7f]/.test(name) ? domainToASCII(name) : name;
  if (ascii === "" || ascii.length > 255 || /^[\d.]+$/.test(ascii)) return false;
  return ascii.split(".").every((label) => label.length <= 63 && LABEL.test(label));
}

/** A host name with at least one dot; one final dot is allowed. */
export function isFullyQualified(name: string): boolean {
  const stripped = withoutFinalDot(name);
  return stripped.includes(".") && isHostname(stripped);
}

/** A bare IPv4 or IPv6 address. */
export function isHostAddress(text: string): boolean {
  return (
    ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(":") && !text.includes("%") && ipaddr.IPv6.isValid(text))
  );
}

/** `[192.0.2.1]` or `[IPv6:2001:db8::1]`. */
export function isAddressLiteral(text: string): boolean {
  const inner = /^\[(.*)\]$/.exec(text)?.[1];
  if (inner === undefined) return false;
  const v6 = /^ipv6:(.*)$/i.exec(inner)?.[1];
  if (v6 === undefined) return ipaddr.IPv4.isValidFourPartDecimal(inner);
  return v6.includes(":") && isHostAddress(v6);
}

export function withoutFinalDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
