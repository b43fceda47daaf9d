/** proof/networks.ts: which addresses a list or table speaks of, and whose they are (design §8): a public network wider than a
 *  /16 (IPv6: /32) is taken for the Internet, anything narrower for hosts that somebody trusts on purpose. */
import ipaddr from "ipaddr.js";
import { formatIp, type Network, parseAddress, parseNetwork } from "../base/cidr.ts";

/** Addresses for examples (RFC 5737, RFC 3849): they stand for any host outside. */
const OUTSIDE = ["203.0.113.77", "198.51.100.77", "192.0.2.77", "2001:db8:77::77"];

/** Ranges that no stranger comes from. */
const NOT_PUBLIC: ReadonlySet<string> = new Set([
  "unspecified",
  "broadcast",
  "multicast",
  "linkLocal",
  "loopback",
  "carrierGradeNat",
  "private",
  "uniqueLocal",
]);

/** A pattern of a cidr table or of a list, or a key of an indexed table: `10.1` is 10.1.0.0/16; undefined for names. */
export function networkIn(text: string): Network | undefined {
  const pattern = text.replace(/^!\s*/, "");
  const result = parseNetwork(pattern);
  if (result.kind === "network") return result.network;
  const octets = /^\d{1,3}(?:\.\d{1,3}){0,2}$/.test(pattern) ? pattern.split(".") : [];
  if (octets.length > 0) {
    const padded = [...octets, "0", "0", "0"].slice(0, 4).join(".");
    return networkOf(`${padded}/${octets.length * 8}`);
  }
  const hextets =
    /^[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}$/i.test(pattern) && pattern.includes(":") ? pattern.split(":") : [];
  return hextets.length > 0 ? networkOf(`${hextets.join(":")}::/${hextets.length * 16}`) : undefined;
}

function networkOf(text: string): Network | undefined {
  const result = parseNetwork(text);
  return result.kind === "network" ? result.network : undefined;
}

/** More than anybody trusts on purpose, and reachable from outside. */
export function isWide(network: Network): boolean {
  if (network.prefixLength >= (network.family === 4 ? 16 : 32)) return false;
  return memberOf(network, []) !== undefined;
}

/** Somebody's own network: neither public nor this machine. */
export function isPrivate({ family, words }: Network): boolean {
  const first = formatIp({ family, words });
  return ["private", "uniqueLocal", "carrierGradeNat"].includes(ipaddr.parse(first).range());
}

function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && !NOT_PUBLIC.has(ipaddr.parse(address).range());
}

/** One stranger's address for each wide network, outside of all narrower ones, and one of each family outside of all
 *  networks, where there is such an address. */
export function strangerAddresses(networks: readonly Network[]): readonly string[] {
  const wide = networks.filter(isWide);
  const inNone = OUTSIDE.filter((address) => !networks.some((network) => network.matches(address)));
  const inside = wide.map((network) => {
    const narrower = networks.filter(({ prefixLength }) => prefixLength > network.prefixLength);
    return memberOf(network, narrower);
  });
  return [
    ...new Set([
      ...inNone.filter((address) => !address.includes(":")).slice(0, 1),
      ...inNone.filter((address) => address.includes(":")),
      ...inside.filter((address) => address !== undefined),
    ]),
  ];
}

/** The first address of a network that can be told, for people who are in it. */
export function firstMember(network: Network): string {
  const words = [...network.words];
  const last = words.length - 1;
  const bits = network.family === 4 ? 32 : 128;
  if (network.prefixLength < bits) words[last] = ((words[last] ?? 0) | 1) >>> 0;
  return formatIp({ family: network.family, words });
}

/** Tried within one network before it is given up. */
const MAX_TRIES = 200;

function memberOf(network: Network, narrow: readonly Network[]): string | undefined {
  const free = (address: string) =>
    network.matches(address) && isPublic(address) && !narrow.some((other) => other.matches(address));
  const example = OUTSIDE.find(free);
  if (example !== undefined) return example;
  for (let i = 0; i < MAX_TRIES; i++) {
    // Spreads over the whole network; the constant has no meaning but that.
    const spread = (Math.imul(i + 1, 0x9e3779b1) >>> 0) | 0x0d;
    const words = network.words.map((word, at) => {
      const own = Math.min(32, Math.max(0, network.prefixLength - at * 32));
      return (word | (own === 32 ? 0 : spread >>> own)) >>> 0;
    });
    const address = formatIp({ family: network.family, words });
    if (parseAddress(address) && free(address)) return address;
  }
  return undefined;
}
