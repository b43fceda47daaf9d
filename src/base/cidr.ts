/** base/cidr.ts: IP addresses and networks as numbers: `net/len`, bare addresses, `[v6]/len`.
 *  IPv4-mapped IPv6 (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2) is IPv4 throughout. No host names, no zones, no octal.
 *  IPv4, nearly all of the traffic, is parsed by hand; IPv6 by ipaddr.js behind a check of the alphabet. */
import ipaddr from "ipaddr.js";

/** `words`: one 32-bit number for IPv4, four for IPv6, most significant first. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly words: readonly number[];
}

export interface Network {
  readonly family: 4 | 6;
  /** 0..32 or 0..128. */
  readonly prefixLength: number;
  /** Network address, host bits zero. */
  readonly words: readonly number[];
  /** False for another family and for text that is no address. Parse once when asking several networks. */
  matches(address: string | IpAddress): boolean;
}

export type NetworkResult =
  | { readonly kind: "network"; readonly network: Network }
  | { readonly kind: "invalid"; readonly text: string };

const IPV6_ALPHABET = /^[0-9A-Fa-f:.]{2,45}$/;

/** Four decimal parts without leading zeros, or any IPv6 text form without zone; undefined otherwise. */
export function parseAddress(text: string): IpAddress | undefined {
  if (text.includes(":")) return parseIpv6(text);
  const value = parseIpv4(text);
  return value === undefined ? undefined : { family: 4, words: [value] };
}

/** Canonical text: dotted quad, or IPv6 as RFC 5952 writes it. */
export function formatIp(address: IpAddress): string {
  const [word = 0] = address.words;
  if (address.family === 4) return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  return new ipaddr.IPv6([...octetsOf(address)]).toRFC5952String();
}

/** Canonical text of an address given as text; undefined if it is none. */
export function canonicalIp(text: string): string | undefined {
  const address = parseAddress(text);
  return address && formatIp(address);
}

/** 4 or 16 octets. */
export function octetsOf(address: IpAddress): readonly number[] {
  return address.words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]);
}

/** Parses `net/len`, `address`, `[address]`, `[address]/len`; host bits must be zero, as in Postfix. */
export function parseNetwork(pattern: string): NetworkResult {
  const m = /^(?:\[([^\]/]*)\]|([^[\]/]+))(?:\/(\d{1,3}))?$/.exec(pattern);
  const addressText = m?.[1] ?? m?.[2];
  if (!m || addressText === undefined) return invalid(`bad address pattern: "${pattern}"`);
  const address = parseAddress(addressText);
  if (!address) return invalid(`bad address pattern: "${pattern}"`);
  const mapped = address.family === 4 && addressText.includes(":");
  const bits = address.family === 4 ? 32 : 128;
  const given = m[3] === undefined ? bits + (mapped ? 96 : 0) : Number(m[3]);
  const prefixLength = mapped ? given - 96 : given;
  if (prefixLength < 0 || prefixLength > bits) return invalid(`bad mask length in net/mask pattern: "${pattern}"`);
  const masks = masksOf(bits, prefixLength);
  const words = address.words.map((word, i) => (word & (masks[i] ?? 0)) >>> 0);
  if (words.some((word, i) => word !== address.words[i])) {
    const better = `${formatIp({ family: address.family, words })}/${prefixLength}`;
    return invalid(`non-null host address bits in "${pattern}", perhaps you should use "${better}" instead`);
  }
  return { kind: "network", network: network(address.family, prefixLength, { words, masks }) };
}

function network(
  family: 4 | 6,
  prefixLength: number,
  { words, masks }: { words: readonly number[]; masks: readonly number[] },
): Network {
  return {
    family,
    prefixLength,
    words,
    matches(candidate) {
      const address = typeof candidate === "string" ? parseAddress(candidate) : candidate;
      if (address?.family !== family) return false;
      for (let i = 0; i < words.length; i++) {
        if (((address.words[i] ?? 0) & (masks[i] ?? 0)) >>> 0 !== words[i]) return false;
      }
      return true;
    },
  };
}

function invalid(text: string): NetworkResult {
  return { kind: "invalid", text };
}

/** One mask a word; a shift by 32 is none in JavaScript, so /0 words are written out. */
function masksOf(bits: number, prefixLength: number): readonly number[] {
  return Array.from({ length: bits / 32 }, (_, i) => {
    const ones = Math.min(32, Math.max(0, prefixLength - i * 32));
    return ones === 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
  });
}

function parseIpv4(text: string): number | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  let value = 0;
  let part = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (part < 0 || ++dots > 3) return undefined;
      value = value * 256 + part;
      part = -1;
      continue;
    }
    // A leading zero is refused: some readers take it for octal.
    if (code < 0x30 || code > 0x39 || part === 0) return undefined;
    part = (part < 0 ? 0 : part) * 10 + code - 0x30;
    if (part > 255) return undefined;
  }
  return dots === 3 && part >= 0 ? value * 256 + part : undefined;
}

function parseIpv6(text: string): IpAddress | undefined {
  if (!IPV6_ALPHABET.test(text)) return undefined;
  const tail = text.slice(text.lastIndexOf(":") + 1);
  if (text.includes(".") && parseIpv4(tail) === undefined) return undefined;
  if (!ipaddr.IPv6.isValid(text)) return undefined;
  const { parts } = ipaddr.IPv6.parse(text);
  if (parts.length !== 8) return undefined;
  const words = [0, 2, 4, 6].map((i) => (((parts[i] ?? 0) << 16) | (parts[i + 1] ?? 0)) >>> 0);
  const [first, second, third, last] = words;
  if (first === 0 && second === 0 && third === 0xffff && last !== undefined) return { family: 4, words: [last] };
  return { family: 6, words };
}
