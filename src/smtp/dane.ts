/** smtp/dane.ts: what DNSSEC says of a host's certificate (RFC 7672): which TLSA records apply, and whether they can be
 *  used (RFC 7671). It decides nothing about TLS: that is tls-policy.ts and the handshake. */
import { createPublicKey, X509Certificate } from "node:crypto";
import type { ValidatingDns } from "../dns/resolver.ts";
import type { TlsaRecord } from "../net/server-certificate.ts";
import type { Target } from "./session.ts";
import { ascii } from "./tls-policy.ts";

export type DaneAnswer =
  /** `base`: the name the records were found under. `mxSecure`: the exchangers' names are signed, too. */
  | {
      readonly kind: "records";
      readonly records: readonly TlsaRecord[];
      readonly base: string;
      readonly mxSecure: boolean;
    }
  /** DANE does not apply, and why, in Postfix's words. */
  | { readonly kind: "none"; readonly why: string }
  /** There are records, and none of them means anything: TLS without a certificate check. */
  | { readonly kind: "unusable" }
  /** It is not known: no mail may leave. */
  | { readonly kind: "failed" };

export interface DaneOptions {
  readonly dns: ValidatingDns;
  /** Whether an unsigned list of exchangers ends the matter (smtp_tls_dane_insecure_mx_policy = may, or dane-only). */
  readonly mxMustBeSecure: boolean;
  /** TLSA records are asked for also where the host's addresses are not signed. */
  readonly force?: boolean;
}

/** The TLSA records of a target whose lookups were validated. */
export async function findDane(
  target: Target,
  { dns, mxMustBeSecure, force = false }: DaneOptions,
): Promise<DaneAnswer> {
  const { host, port, origin } = target;
  if (port === undefined || origin === undefined) return { kind: "none", why: "non DNSSEC destination" };
  const mxSecure = origin.mx?.secure ?? true;
  if (!mxSecure && mxMustBeSecure) return { kind: "none", why: "non DNSSEC destination" };
  const bases = await baseNames(host, origin.host, { dns, force });
  if (bases === "failed") return { kind: "failed" };
  for (const base of bases) {
    const answer = await dns.tlsa(base, port);
    if (answer.kind === "temporary" || answer.kind === "invalid") return { kind: "failed" };
    if (answer.kind !== "found" || answer.secure !== true) continue;
    const records = usable(answer.records);
    return records.length === 0 ? { kind: "unusable" } : { kind: "records", records, base, mxSecure };
  }
  return { kind: "none", why: "no TLSA records found" };
}

/** Where records may be (RFC 7672 §2.2.2): behind the aliases first, if they are signed, then under the host's own name. A
 *  host whose addresses are not signed has none, unless it is a signed alias of such a one. */
async function baseNames(
  host: string,
  { secure, canonical }: NonNullable<Target["origin"]>["host"],
  { dns, force }: { dns: ValidatingDns; force: boolean },
): Promise<readonly string[] | "failed"> {
  const name = ascii(host).toLowerCase().replace(/\.$/, "");
  const aliased = canonical !== name;
  if (secure) return aliased ? [canonical, name] : [name];
  if (!aliased || force) return force ? [name] : [];
  const alias = await dns.alias(name);
  if (alias.kind === "temporary") return "failed";
  return alias.kind === "found" && alias.secure === true ? [name] : [];
}

/** Usages 2 and 3 only (RFC 7672 §3.1.3), what is well formed, and of several digests the strongest (RFC 7671 §9). */
export function usable(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  const good = records.filter(isUsable);
  return good.filter(
    (record) =>
      record.matchingType !== 1 ||
      !good.some((r) => r.usage === record.usage && r.selector === record.selector && r.matchingType === 2),
  );
}

function isUsable({ usage, selector, matchingType, association }: TlsaRecord): boolean {
  if (usage !== 2 && usage !== 3) return false;
  if (selector !== 0 && selector !== 1) return false;
  if (matchingType === 1) return association.length === 32;
  if (matchingType === 2) return association.length === 64;
  return matchingType === 0 && isWhole(selector, association);
}

function isWhole(selector: 0 | 1, association: Uint8Array): boolean {
  try {
    if (selector === 0) return new X509Certificate(association).raw.equals(association);
    createPublicKey({ key: Buffer.from(association), format: "der", type: "spki" });
    return true;
  } catch {
    return false; // neither certificate nor key
  }
}
