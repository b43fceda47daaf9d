/** anvil/client-key.ts: under which name a client is counted: service and address, or the network it shares with others
 *  (smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length). */
import { formatIp, parseAddress } from "../base/cidr.ts";

export interface PrefixLengths {
  /** 0..32 */
  readonly ipv4: number;
  /** 0..128 */
  readonly ipv6: number;
}

/** `smtp:192.0.2.1`, `smtp:2001:db8::/84`: the prefix length is told where it is shorter than the address. */
export function clientKey(service: string, address: string, lengths: PrefixLengths): string {
  const v6 = address.includes(":");
  // By far the most: nothing to mask, and the address is canonical already.
  if (!v6 && lengths.ipv4 === 32) return `${service}:${address}`;
  const ip = parseAddress(address);
  if (ip === undefined) return `${service}:${address}`; // "unknown", after XCLIENT
  const length = ip.family === 4 ? lengths.ipv4 : lengths.ipv6;
  const words = ip.words.map((word, i) => mask(word, length - 32 * i));
  const suffix = length < 32 * words.length ? `/${length}` : "";
  return `${service}:${formatIp({ family: ip.family, words })}${suffix}`;
}

/** The first `bits` bits of a 32-bit word; a shift by 32 is none in JavaScript. */
function mask(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word : (word & (0xffffffff << (32 - bits))) >>> 0;
}
