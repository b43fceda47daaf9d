/** rewrite/own-addresses.ts: at which of the machine's addresses mail for this system arrives (postconf(5): inet_interfaces,
 *  inet_protocols). */
import { canonicalIp } from "../base/cidr.ts";
import { usedInterfaces } from "../config/networks.ts";
import type { Parameters } from "../config/parameters.ts";

const KEYWORDS: ReadonlySet<string> = new Set(["all", "loopback-only", "localhost"]);

/** `machine`: the addresses of its interfaces. A name in inet_interfaces cannot be told without DNS: then all are ours. */
export function usedAddresses(params: Parameters, machine: readonly string[]): readonly string[] {
  const listed = params.get("inet_interfaces").map((word) => word.toLowerCase().replace(/^\[(.*)\]$/, "$1"));
  const known = listed.every((word) => KEYWORDS.has(word) || canonicalIp(word) !== undefined);
  return usedInterfaces(machine.map(asNetwork), {
    inetInterfaces: known ? listed : ["all"],
    inetProtocols: params.get("inet_protocols"),
  }).map((network) => network.replace(/\/.*$/, ""));
}

function asNetwork(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}
