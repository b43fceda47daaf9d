/** net/client-tls.ts: TLS as a client of a mail server: what is offered in a handshake, and the facts of an established
 *  session. What its certificate is worth is server-certificate.ts. Reads no file. */
import { constants, type X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import type { TlsSession } from "../mail/client.ts";
import { bitsOf, type CipherGrade, cipherList, parseTlsProtocols, withoutVersions } from "./tls-context.ts";
import { type Material, textOf } from "./tls-files.ts";

export interface ClientTlsInput {
  /** `>=TLSv1.2`, `!SSLv3, !TLSv1`, `TLSv1.2 TLSv1.3`. */
  readonly protocols: string;
  readonly grade: CipherGrade;
  readonly excludeCiphers: readonly string[];
  /** OpenSSL ciphers below TLSv1.3 instead of the library's own list; undefined: that list. */
  readonly cipherList?: string | undefined;
  /** Key exchange groups instead of the library's own, best first. */
  readonly curves?: readonly string[] | undefined;
  /** Our own certificates, sent to servers that ask. */
  readonly own: Material;
  readonly authorities: readonly X509Certificate[];
  /** A chain may end at an authority that is not self-signed: a trust anchor named by the peer's own domain. */
  readonly partialChain: boolean;
}

/** What is offered and trusted; for any number of connections. */
export interface ClientTls {
  readonly secureContext: SecureContext;
}

/** The context, or one sentence on what is wrong. */
export function createClientTls(input: ClientTlsInput): ClientTls | { readonly problem: string } {
  const parsed = parseTlsProtocols(input.protocols);
  if ("problem" in parsed) return parsed;
  const lowest = parsed.versions[0];
  const highest = parsed.versions.at(-1);
  if (lowest === undefined || highest === undefined)
    return { problem: `No TLS protocol is left by "${input.protocols}"` };
  const { keys, certs } = input.own;
  try {
    const secureContext = createSecureContext({
      ...(keys.length > 0 && { key: keys, cert: certs }),
      // Without a list Node would trust all public CAs.
      ca: input.authorities.map((authority) => authority.toString()),
      allowPartialTrustChain: input.partialChain,
      minVersion: lowest,
      maxVersion: highest,
      secureOptions:
        withoutVersions(parsed.versions) | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
      ciphers: cipherList(input),
      ...(input.curves && { ecdhCurve: input.curves.join(":") }),
    });
    return { secureContext };
  } catch (cause) {
    return { problem: `Cannot use the TLS settings: ${textOf(cause)}` };
  }
}

/** A session that stands, and what its certificate can be judged by. */
export interface EstablishedTls {
  readonly session: TlsSession;
  /** OpenSSL's word on the chain, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"; undefined: it ends at an authority of the context. */
  readonly chainError: string | undefined;
  /** The server's certificate with those that it sent above it; undefined if it sent none. Not known of a resumed one. */
  readonly certificate: () => X509Certificate | undefined;
}

/** The facts of a client-side socket after its handshake. */
export function establishedTls(socket: TLSSocket, serverName: string): EstablishedTls {
  const cipher = socket.getCipher();
  const name = cipher.standardName ?? cipher.name;
  const protocol = socket.getProtocol() ?? "unknown";
  const key = socket.getEphemeralKeyInfo() as { name?: string; type?: string } | null;
  // On the client's side it is the code, whatever the types say.
  const error = socket.authorizationError as Error | string | null | undefined;
  const chainError = typeof error === "string" ? error : error?.message;
  return {
    session: {
      protocol,
      cipher: name,
      bits: bitsOf(name),
      keyExchange: key?.name ?? key?.type,
      ...(serverName !== "" && { serverName }),
      reused: socket.isSessionReused(),
    },
    chainError: socket.authorized ? undefined : (chainError ?? "CERT_UNTRUSTED"),
    certificate: once(() => socket.getPeerX509Certificate()),
  };
}

/** Node takes the certificate out of the session's chain as it hands it over: a second call would give its issuer's. */
function once<T>(get: () => T): () => T {
  let got: { readonly value: T } | undefined;
  return () => {
    got ??= { value: get() };
    return got.value;
  };
}
