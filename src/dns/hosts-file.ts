/** dns/hosts-file.ts: the text of /etc/hosts as two maps (hosts(5)). Asked before DNS for addresses and for PTR names. */
import { formatIp, parseAddress } from "../base/cidr.ts";

export interface HostAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

export interface HostsFile {
  /** By lower-case name, canonical name or alias. */
  readonly byName: ReadonlyMap<string, readonly HostAddress[]>;
  /** First name of the first line of an address in canonical form, lower case. */
  readonly byAddress: ReadonlyMap<string, string>;
}

/** Lines that are none are skipped. "localhost" is always there (RFC 6761 §6.3). */
export function parseHostsFile(text: string): HostsFile {
  const byName = new Map<string, HostAddress[]>();
  const byAddress = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [addressText = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const ip = parseAddress(addressText);
    if (!ip) continue;
    const host = { address: formatIp(ip), family: ip.family };
    for (const name of names) addHost(byName, name.toLowerCase(), host);
    const first = names[0]?.toLowerCase().replace(/\.$/, "");
    if (first !== undefined && !byAddress.has(host.address)) byAddress.set(host.address, first);
  }
  if (!byName.has("localhost")) {
    byName.set("localhost", [
      { address: "::1", family: 6 },
      { address: "127.0.0.1", family: 4 },
    ]);
  }
  return { byName, byAddress };
}

function addHost(byName: Map<string, HostAddress[]>, name: string, host: HostAddress): void {
  const hosts = byName.get(name);
  if (!hosts) byName.set(name, [host]);
  else if (!hosts.some((known) => known.address === host.address)) hosts.push(host);
}
