/** mail/client.ts: what is known of the peer of a session. Values only; who fills them is smtpd/. */

/** The remote end. `name` is "unknown" unless the PTR name resolves back to the address. */
export interface ClientEndpoint {
  /** Textual IPv4 or IPv6 address, without brackets or zone; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly address: string;
  readonly port: number;
  readonly name: string;
  /** The unverified PTR name, or "unknown". */
  readonly reverseName: string;
  /** Whether "unknown" may change on a retry (temporary DNS failure): rejects by name must then be 4xx. */
  readonly nameStatus: "verified" | "mismatch" | "missing" | "temporary";
}

/** Our own end of the session's socket. */
export interface ServerEndpoint {
  readonly address: string;
  readonly port: number;
}

/** The TLS session as Node can tell it. Key exchange group and signature are not exposed by Node in all versions. */
export interface TlsSession {
  /** "TLSv1.3", as Node's getProtocol(). */
  readonly protocol: string;
  /** OpenSSL's standard name, "TLS_AES_256_GCM_SHA384". */
  readonly cipher: string;
  readonly bits: number;
  /** e.g. "X25519"; undefined where Node does not say. */
  readonly keyExchange?: string | undefined;
  readonly serverName?: string | undefined;
  readonly reused: boolean;
  /** The client's certificate; undefined if it sent none. */
  readonly peer?: TlsPeer | undefined;
  /** Whether the client was asked for one. */
  readonly peerAsked?: boolean | undefined;
}

/** A client certificate (smtpd_tls_ask_ccert). Fingerprints are upper-case hex pairs with colons, under
 *  smtpd_tls_fingerprint_digest, as tables of relay_clientcerts spell them. */
export interface TlsPeer {
  /** Subject and issuer common names, printable; "" if there is none. */
  readonly subject: string;
  readonly issuer: string;
  readonly certFingerprint: string;
  readonly publicKeyFingerprint: string;
  /** The chain ends at a CA of smtpd_tls_CAfile or smtpd_tls_CApath. */
  readonly trusted: boolean;
  /** Why it is not trusted, in Postfix's words, printable: "untrusted issuer Example CA". */
  readonly distrust?: string | undefined;
}

/** Who logged in. */
export interface SaslIdentity {
  /** The mechanism in upper case: "PLAIN". */
  readonly method: string;
  readonly username: string;
}

/** `name[address]`, the form of every reply and log line. */
export function formatClient(client: ClientEndpoint): string {
  return `${client.name}[${client.address}]`;
}
