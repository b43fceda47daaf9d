/** net/server-certificate.ts: what a mail server's certificate is worth to us, in Postfix's four words. Names are matched by
 *  OpenSSL (RFC 6125; the common name only where there is no DNS name), fingerprints and TLSA records (RFC 6698) by bytes. */
import { createHash, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { EstablishedTls } from "./client-tls.ts";
import { depthOf, distrustText, fingerprint } from "./peer-certificate.ts";

/** A TLSA record as it counts for SMTP (RFC 7672 §3.1): usage 3, or 2 for a trust anchor in the server's chain. */
export interface TlsaRecord {
  readonly usage: number;
  /** 0: the whole certificate; 1: its public key. */
  readonly selector: number;
  /** 0: the bytes themselves; 1: SHA-256; 2: SHA-512. */
  readonly matchingType: number;
  readonly association: Uint8Array;
}

/** What makes a certificate "Verified". */
export type CertificateDemand =
  | { readonly kind: "none" }
  /** A trusted chain, and one of the names. `.example.com` means any name below it. */
  | { readonly kind: "names"; readonly names: readonly string[]; readonly multiLabel: boolean }
  /** Of the certificate or of its public key; upper-case hex pairs with colons. */
  | { readonly kind: "fingerprints"; readonly digest: string; readonly values: ReadonlySet<string> }
  /** One of the records; those of usage 2 demand a chain to that anchor and one of the names besides. */
  | { readonly kind: "tlsa"; readonly records: readonly TlsaRecord[]; readonly names: readonly string[] };

export interface TrustRules {
  readonly demand: CertificateDemand;
  /** Those of the context. */
  readonly authorities: readonly X509Certificate[];
  /** Most CA certificates above the server's own. */
  readonly verifyDepth: number;
}

export interface Judgement {
  readonly word: "Anonymous" | "Untrusted" | "Trusted" | "Verified";
  /** Why it is no better, as Postfix logs it; undefined: it is as good as was asked for. */
  readonly why?: string | undefined;
}

/** OpenSSL's number and words, also for fingerprints: Postfix makes TLSA records of them. */
const NO_MATCH = "num=65:no matching DANE TLSA records";

/** Longest chain that is looked at. */
const MAX_CHAIN = 20;

/** Judges a session that was not resumed. */
export function judgeServer(established: EstablishedTls, rules: TrustRules): Judgement {
  const certificate = established.certificate();
  if (certificate === undefined) return { word: "Anonymous", why: "no certificate" };
  const { demand } = rules;
  if (demand.kind === "fingerprints") {
    return ownFingerprints(certificate, demand.digest).some((own) => demand.values.has(own))
      ? { word: "Verified" }
      : { word: "Untrusted", why: NO_MATCH };
  }
  if (demand.kind === "tlsa" && demand.records.some((r) => r.usage === 3 && matchesTlsa(certificate, r))) {
    return { word: "Verified" };
  }
  const why = chainProblem(established, certificate, rules);
  if (why !== undefined) {
    return { word: "Untrusted", why: demand.kind === "tlsa" ? NO_MATCH : why };
  }
  if (demand.kind === "none") return { word: "Trusted" };
  const multiLabel = demand.kind === "tlsa" || demand.multiLabel;
  const matched = demand.names.some((name) => matchesName(certificate, name, multiLabel));
  if (matched) return { word: "Verified" };
  const addresses = demand.names.every((name) => isIP(name) !== 0);
  return { word: "Untrusted", why: addresses ? "num=64:IP address mismatch" : "num=62:hostname mismatch" };
}

function chainProblem(
  { chainError }: EstablishedTls,
  certificate: X509Certificate,
  { authorities, verifyDepth }: TrustRules,
): string | undefined {
  const tooLong = () => depthOf(certificate, authorities) > verifyDepth;
  const code = chainError ?? (tooLong() ? "CERT_CHAIN_TOO_LONG" : undefined);
  if (code === undefined) return undefined;
  return distrustText(code, { issuer: oneLine(topOf(certificate).issuer), verifyDepth, purpose: "server" });
}

/** Certificates above the server's own that a record of usage 2 names. */
export function anchorsInChain(
  certificate: X509Certificate,
  records: readonly TlsaRecord[],
): readonly X509Certificate[] {
  const found: X509Certificate[] = [];
  let current = certificate;
  for (let i = 0; i < MAX_CHAIN && current.issuerCertificate && !current.checkIssued(current); i++) {
    current = current.issuerCertificate;
    const above = current;
    if (records.some((record) => record.usage === 2 && matchesTlsa(above, record))) found.push(above);
  }
  return found;
}

/** The last certificate that the server sent: the issuer of that one is missing. */
function topOf(certificate: X509Certificate): X509Certificate {
  let top = certificate;
  for (let i = 0; i < MAX_CHAIN && top.issuerCertificate && !top.checkIssued(top); i++) top = top.issuerCertificate;
  return top;
}

/** `/C=DE/O=Example/CN=Example CA`, as OpenSSL prints a name. */
function oneLine(name: string | undefined): string {
  return (name ?? "")
    .split("\n")
    .map((part) => `/${part}`)
    .join("");
}

/** Of the certificate and of its public key, as tables spell them. */
export function ownFingerprints(certificate: X509Certificate, digest: string): readonly string[] {
  return [fingerprint(certificate.raw, digest), fingerprint(publicKeyOf(certificate), digest)];
}

function publicKeyOf(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: "spki", format: "der" });
}

/** Whether the certificate is for this name or address, or for one below `.name`. */
export function matchesName(certificate: X509Certificate, name: string, multiLabel: boolean): boolean {
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  const options = { subject: "default", partialWildcards: false, multiLabelWildcards: multiLabel } as const;
  return name !== "" && name !== "." && certificate.checkHost(name, options) !== undefined;
}

/** Whether a record names this certificate (RFC 6698 §2.1). Unknown selectors and matching types match nothing. */
export function matchesTlsa(certificate: X509Certificate, record: TlsaRecord): boolean {
  const { selector, matchingType, association } = record;
  const selected = selector === 0 ? certificate.raw : selector === 1 ? publicKeyOf(certificate) : undefined;
  if (selected === undefined) return false;
  if (matchingType === 0) return selected.equals(association);
  const digest = matchingType === 1 ? "sha256" : matchingType === 2 ? "sha512" : undefined;
  return digest !== undefined && createHash(digest).update(selected).digest().equals(association);
}
