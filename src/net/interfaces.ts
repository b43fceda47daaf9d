/** net/interfaces.ts: the machine's own addresses, for mynetworks' default and for "is this host me?". */
import { networkInterfaces } from "node:os";

/** Each own address with its prefix length: "192.0.2.5/24", "fe80::1/64". */
export function ownNetworks(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).flatMap(({ cidr }) => cidr ?? []));
}

/** Each own address, bare. */
export function ownAddresses(): readonly string[] {
  return ownNetworks().map((network) => network.split("/", 1)[0] ?? network);
}
