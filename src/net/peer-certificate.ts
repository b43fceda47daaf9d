/** net/peer-certificate.ts: what is known of a client by its certificate: names, fingerprints, whether the chain ends at a
 *  CA of ours. A bad certificate is no error here: what follows from it is the restrictions' to say. */
import { createHash, X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { TlsPeer } from "../mail/client.ts";
import { printableUtf8 } from "../mail/printable.ts";

/** How client certificates are asked for and judged. */
export interface PeerRules {
  /** Digest of fingerprints, "sha256". */
  readonly digest: string;
  /** Most CA certificates above the client's own: 1 where the issuing CA must be one of ours. */
  readonly verifyDepth: number;
  readonly authorities: readonly X509Certificate[];
}

/** Longest chain that is looked at. */
const MAX_CHAIN = 20;

/** The client's certificate; undefined if it sent none. */
export function peerOf(socket: TLSSocket, rules: PeerRules): TlsPeer | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const issuer = issuerName(certificate);
  const distrust = distrustOf(socket, certificate, rules);
  return {
    subject: printableUtf8(nameOf(certificate, "subject", "CN") ?? ""),
    issuer: printableUtf8(issuer),
    certFingerprint: fingerprint(certificate.raw, rules.digest),
    publicKeyFingerprint: fingerprint(certificate.publicKey.export({ type: "spki", format: "der" }), rules.digest),
    trusted: distrust === undefined,
    distrust: distrust === undefined ? undefined : printableUtf8(distrust),
  };
}

/** Whether fingerprints can be made with it. */
export function isDigest(name: string): boolean {
  try {
    createHash(name);
    return true;
  } catch {
    return false; // unknown to the library, or forbidden by its policy
  }
}

/** Certificates in PEM text, whatever else stands around them. Throws for one that cannot be read. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----[\s\S]+?-----END \1?CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Upper-case hex pairs with colons, as Postfix writes them. */
export function fingerprint(der: Uint8Array, digest: string): string {
  const hex = createHash(digest).update(der).digest("hex").toUpperCase();
  return hex.match(/../g)?.join(":") ?? "";
}

/** The first value of an attribute. One that holds NUL is none: it could pass for another (Postfix tls_text_name). */
function nameOf(certificate: X509Certificate, whose: "subject" | "issuer", attribute: string): string | undefined {
  // Legacy objects have the attributes taken apart; the text form would have to be parsed.
  const names: Readonly<Record<string, unknown>> = { ...certificate.toLegacyObject()[whose] };
  const value = names[attribute];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" && !first.includes("\0") ? first : undefined;
}

/** As Postfix: the organization where a CA has no common name. */
function issuerName(certificate: X509Certificate): string {
  return nameOf(certificate, "issuer", "CN") ?? nameOf(certificate, "issuer", "O") ?? "";
}

/** Why the chain is not trusted; undefined: it is. */
function distrustOf(socket: TLSSocket, certificate: X509Certificate, rules: PeerRules): string | undefined {
  const depth = () => depthOf(certificate, rules.authorities);
  const code = verifyCode(socket) ?? (depth() > rules.verifyDepth ? "CERT_CHAIN_TOO_LONG" : undefined);
  return code === undefined
    ? undefined
    : distrustText(code, { issuer: issuerName(certificate), verifyDepth: rules.verifyDepth, purpose: "client" });
}

/** OpenSSL's code in Postfix's words. */
export function distrustText(
  code: string,
  { issuer, verifyDepth, purpose }: { issuer: string; verifyDepth: number; purpose: "client" | "server" },
): string {
  switch (code) {
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
      return "self-signed certificate";
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `untrusted issuer ${issuer}`;
    case "CERT_HAS_EXPIRED":
      return "certificate has expired";
    case "CERT_NOT_YET_VALID":
      return "certificate not yet valid";
    case "INVALID_PURPOSE":
      return `not designated for use as a ${purpose} certificate`;
    case "CERT_CHAIN_TOO_LONG":
      return `certificate chain longer than limit(${verifyDepth})`;
    default:
      return code.toLowerCase().replaceAll("_", " ");
  }
}

/** OpenSSL's verdict on the chain; undefined: it is good. Node gives it on the server's side only to sockets of its own
 *  tls.Server, so it is asked of the handle. A Node without that method trusts nobody. */
function verifyCode(socket: TLSSocket): string | undefined {
  const handle = (socket as { _handle?: { verifyError?: () => { code?: string } | null | undefined } })._handle;
  if (typeof handle?.verifyError !== "function") return "verification unavailable";
  const error = handle.verifyError();
  return error ? (error.code ?? "verification failed") : undefined;
}

/** CA certificates above the peer's, as far up as those sent and our own tell. */
export function depthOf(certificate: X509Certificate, authorities: readonly X509Certificate[]): number {
  let depth = 0;
  for (let current = certificate; depth < MAX_CHAIN; depth++) {
    if (current.checkIssued(current)) break;
    const next = current.issuerCertificate ?? authorities.find((authority) => current.checkIssued(authority));
    if (next === undefined) break;
    current = next;
  }
  return depth;
}
