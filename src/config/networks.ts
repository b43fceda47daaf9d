/** config/networks.ts: the computed default of mynetworks (postconf(5) mynetworks_style) from this machine's addresses. */
import ipaddr from "ipaddr.js";

export type NetworksStyle = "host" | "subnet" | "class";

/** What a machine without known addresses trusts. */
export const LOOPBACK_INTERFACES: readonly string[] = ["127.0.0.1/8", "::1/128"];

/** main.cf text for mynetworks. `interfaces` are own addresses with their prefix: "192.0.2.5/24", "2001:db8::1/64".
 *  Anything that is not such an address is left out: less is trusted, never more. */
export function defaultMynetworks(style: NetworksStyle, interfaces: readonly string[]): string {
  const networks = interfaces.map((written) => networkOf(style, written)).filter((network) => network !== undefined);
  return [...new Set(networks)].join(" ");
}

function networkOf(style: NetworksStyle, written: string): string | undefined {
  const bare = written.replace(/%[^/]*/, ""); // a zone index means nothing in a list of networks
  if (!ipaddr.isValidCIDR(bare)) return undefined;
  const [address, written_prefix] = ipaddr.parseCIDR(bare);
  const bits = address.kind() === "ipv4" ? 32 : 128;
  const prefix = prefixFor(style, address, written_prefix);
  const bytes = address.toByteArray().map((byte, i) => byte & maskByte(prefix - 8 * i));
  const text = ipaddr.fromByteArray(bytes).toString();
  return bits === 32 ? `${text}/${prefix}` : `[${text}]/${prefix}`;
}

function prefixFor(style: NetworksStyle, address: ipaddr.IPv4 | ipaddr.IPv6, written: number): number {
  if (style === "host") return address.kind() === "ipv4" ? 32 : 128;
  if (style === "subnet" || address.kind() === "ipv6") return written;
  const first = address.toByteArray()[0] ?? 0;
  if (first < 128) return 8;
  return first < 192 ? 16 : 24;
}

/** The mask of one byte of which `bits` leading bits count. */
function maskByte(bits: number): number {
  return (0xff00 >> Math.max(0, Math.min(8, bits))) & 0xff;
}

/** Those of `interfaces` that inet_interfaces and inet_protocols let this server use. Names other than localhost
 *  cannot be told without DNS and match nothing. */
export function usedInterfaces(
  interfaces: readonly string[],
  options: { readonly inetInterfaces: readonly string[]; readonly inetProtocols: readonly string[] },
): readonly string[] {
  const wanted = options.inetInterfaces.map((name) => name.toLowerCase().replace(/^\[(.*)\]$/, "$1"));
  const protocols = options.inetProtocols.map((name) => name.toLowerCase());
  return interfaces.filter((written) => {
    const bare = written.replace(/%[^/]*/, "");
    if (!ipaddr.isValidCIDR(bare)) return false;
    const [address] = ipaddr.parseCIDR(bare);
    if (!protocols.includes("all") && !protocols.includes(address.kind())) return false;
    if (wanted.includes("all")) return true;
    if (address.range() === "loopback")
      return wanted.includes("loopback-only") || wanted.includes("localhost") || isListed(address, wanted);
    return isListed(address, wanted);
  });
}

function isListed(address: ipaddr.IPv4 | ipaddr.IPv6, wanted: readonly string[]): boolean {
  return wanted.some((text) => ipaddr.isValid(text) && ipaddr.parse(text).toString() === address.toString());
}
