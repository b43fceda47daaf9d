/** dns/servers.ts: name servers by their spelling in the configuration and in resolv.conf, and which are trusted with the
 *  AD bit: those on this machine, and those that the operator named himself. */
import { canonicalIp, parseAddress } from "../base/cidr.ts";
import type { StubServer } from "./stub.ts";

const DNS_PORT = 53;

/** "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353"; undefined for anything else. */
export function parseNameServer(text: string): { readonly address: string; readonly port: number } | undefined {
  const m = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^([^:]+):(\d{1,5})$/.exec(text) ?? [text, text];
  const [, address = "", portText] = m;
  const port = portText === undefined ? DNS_PORT : Number(portText);
  if (!parseAddress(address) || port < 1 || port > 65_535) return undefined;
  return { address, port };
}

/** The servers to ask. `named`: the operator's own list; if it is empty, those of the system are used. */
export function stubServers(named: readonly string[], system: readonly string[]): readonly StubServer[] {
  return (named.length > 0 ? named : system).flatMap((text) => {
    const server = parseNameServer(text);
    if (!server) return [];
    const onThisMachine = /^(?:127\.|::1$)/.test(canonicalIp(server.address) ?? "");
    return [{ ...server, trusted: named.length > 0 || onThisMachine }];
  });
}
