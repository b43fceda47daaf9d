/** smtpd/peer-name.ts: the client's name: the PTR record, believed only if it resolves back to the address. */
import type { Dns } from "../dns/resolver.ts";
import type { ClientEndpoint } from "../mail/client.ts";
import type { Endpoint } from "../net/connection.ts";

export interface PeerName {
  readonly client: ClientEndpoint;
  /** Postfix's warning when the name does not resolve back. */
  readonly warning: string | undefined;
}

/** The endpoint of a client of which only the address is known. */
export function unnamedClient(peer: Endpoint): ClientEndpoint {
  return { ...peer, name: "unknown", reverseName: "unknown", nameStatus: "missing" };
}

/** Looks the name up; never rejects but for a bug. */
export async function lookUpClient(peer: Endpoint, dns: Dns): Promise<PeerName> {
  const reverse = await dns.reverse(peer.address);
  if (reverse.kind !== "found" || reverse.records[0] === undefined) {
    const nameStatus = reverse.kind === "temporary" ? "temporary" : "missing";
    return { client: { ...unnamedClient(peer), nameStatus }, warning: undefined };
  }
  const reverseName = reverse.records[0];
  const forward = await dns.addresses(reverseName);
  if (forward.kind === "found" && forward.records.some((r) => sameAddress(r.address, peer.address))) {
    return { client: { ...peer, name: reverseName, reverseName, nameStatus: "verified" }, warning: undefined };
  }
  const why = forward.kind === "found" ? "" : `: ${forward.text}`;
  const nameStatus = forward.kind === "temporary" ? "temporary" : "mismatch";
  return {
    client: { ...unnamedClient(peer), reverseName, nameStatus },
    warning: `hostname ${reverseName} does not resolve to address ${peer.address}${why}`,
  };
}

/** IPv6 has many spellings; both sides are brought to the one that URL parsing gives. */
function sameAddress(a: string, b: string): boolean {
  return a === b || (a.includes(":") && b.includes(":") && canonical6(a) === canonical6(b));
}

function canonical6(address: string): string {
  return URL.parse(`http://[${address}]/`)?.hostname ?? address;
}
