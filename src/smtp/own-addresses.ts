/** smtp/own-addresses.ts: which addresses are ours, to see mail loops, and which one connections start from where the machine
 *  serves just one (postconf(5): inet_interfaces, proxy_interfaces, smtp_bind_address). */
import { canonicalIp } from "../base/cidr.ts";
import type { Parameters } from "../config/parameters.ts";
import { ipVersion } from "../net/client-connection.ts";
import { usedAddresses } from "../rewrite/own-addresses.ts";

export interface OwnAddresses {
  /** Where mail for this system arrives, canonical form. */
  readonly receiving: ReadonlySet<string>;
  /** "" where there is more than one address of the family, none, or a loopback address. */
  readonly single: { readonly 4: string; readonly 6: string };
}

/** `machine`: the addresses of its interfaces. */
export function ownAddresses(params: Parameters, machine: readonly string[]): OwnAddresses {
  const used = usedAddresses(params, machine);
  const single = (version: 4 | 6) => {
    const [only, ...more] = used.filter((address) => ipVersion(address) === version);
    return only === undefined || more.length > 0 || isLoopback(only) ? "" : only;
  };
  const receiving = [...used, ...params.get("proxy_interfaces")].map((address) => canonicalIp(address) ?? address);
  return { receiving: new Set(receiving), single: { 4: single(4), 6: single(6) } };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}
