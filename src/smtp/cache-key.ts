/** smtp/cache-key.ts: what two deliveries must have in common to use one session after the other (CONNECTION_CACHE_README):
 *  whatever decided how the session was made. What the message itself decides is not part of it. */
import { parseNextHops } from "./nexthop.ts";

export interface SessionTraits {
  /** As the scheduler gave it, all of its items. */
  readonly nexthop: string;
  /** What was demanded of TLS, in any form that differs where the demands do; "" where the next hop alone decides. */
  readonly tlsPolicy: string;
  /** Whose password was used: the sender, where passwords are looked up by sender; else "". */
  readonly saslIdentity: string;
  /** The own address it was bound to; "" for any. */
  readonly sourceAddress: string;
}

/** Equal for equal traits, different for any other. */
export function cacheKey({ nexthop, tlsPolicy, saslIdentity, sourceAddress }: SessionTraits): string {
  return JSON.stringify([nexthop, tlsPolicy, saslIdentity, sourceAddress]);
}

/** smtp_connection_cache_destinations: `destinations` are domains and hosts without brackets and port, and paths without
 *  "unix:", in lower case. */
export function isCachedDestination(
  nexthop: string,
  destinations: ReadonlySet<string>,
  protocol: "smtp" | "lmtp",
): boolean {
  if (destinations.size === 0) return false;
  const [hop] = parseNextHops(nexthop, protocol);
  if (!hop) return false;
  return destinations.has((hop.kind === "unix" ? hop.path : hop.name).toLowerCase());
}
