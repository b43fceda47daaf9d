/** smtp/tls-demand.ts: what a message itself asks of TLS (RFC 8689), and what that makes of the TLS policy of a target. Pure.
 *
 *  "required" (REQUIRETLS): the server must be known securely and prove who it is (§4.2.1): by DANE, by MTA-STS, by a level of
 *  main.cf that names it, or by a public certificate for a host that DNSSEC or main.cf names.
 *  "optional" (TLS-Required: No): TLS if it can be had, whoever the server is. */
import type { Envelope } from "../mail/envelope.ts";
import { parseNextHops } from "./nexthop.ts";
import { unfitVerdict, type Verdict } from "./outcome.ts";
import type { Session, Target } from "./session.ts";
import type { Protocol } from "./settings.ts";
import { stsPolicy, type TlsPolicy } from "./tls-policy.ts";
import type { TlsOffer } from "./tls-settings.ts";

export type TlsDemand = "required" | "optional";

/** undefined: nothing of its own. LMTP is the end of the way. A report must not be lost for want of REQUIRETLS (§5). */
export function tlsDemandOf({ requireTls, tlsOptional, sender }: Envelope, protocol: Protocol): TlsDemand | undefined {
  if (protocol === "lmtp") return undefined;
  if (requireTls) return sender === "" ? undefined : "required";
  return tlsOptional ? "optional" : undefined;
}

/** A policy under which the server is known and proven, or why there can be none. `proven`: signed TLSA records decide. */
export function requiredPolicy(
  policy: TlsPolicy,
  target: Target,
  { proven, mandatory }: { readonly proven: boolean; readonly mandatory: TlsOffer },
): TlsPolicy | Verdict {
  const { level, sts } = policy;
  if (level === "none") return unfitVerdict("5.7.10", `TLS is required, but is turned off for ${target.nexthop}`);
  if (proven || sts?.enforced || level === "secure" || level === "fingerprint") return policy;
  const [hop] = parseNextHops(target.nexthop, "smtp");
  const known = hop?.kind !== "domain" || target.origin?.mx?.secure === true;
  if (!known) {
    const text = `REQUIRETLS is required, but nothing proves that ${target.host} is a mail exchanger of ${target.nexthop}`;
    return unfitVerdict("5.7.30", text);
  }
  return level === "verify" ? policy : stsPolicy(policy, "enforce", mandatory);
}

/** TLS without demands. `wrapper`: it cannot be done without. */
export function optionalPolicy(
  policy: TlsPolicy,
  { wrapper, offer }: { readonly wrapper: boolean; readonly offer: TlsOffer },
): TlsPolicy {
  if (policy.level === "none") return policy;
  const plain = { match: [], anchorFiles: [], sts: undefined, published: undefined, otherwise: undefined };
  return { ...policy, ...plain, level: wrapper ? "encrypt" : "may", offer };
}

/** Why a session that TLS has made safe still cannot carry the message: the server does not pass the demand on. */
export function unfitSession(session: Session, demand: TlsDemand | undefined): Verdict | undefined {
  if (demand !== "required" || session.features.has("REQUIRETLS")) return undefined;
  return unfitVerdict("5.7.30", `REQUIRETLS is required, but was not offered by host ${session.host}`);
}

/** ` REQUIRETLS` of MAIL, where the server offered it behind TLS. */
export function requireTlsParameter({ features, tls }: Session, { requireTls }: Envelope): string {
  return requireTls && tls !== undefined && features.has("REQUIRETLS") ? " REQUIRETLS" : "";
}
