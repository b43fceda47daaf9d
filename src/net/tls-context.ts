/** net/tls-context.ts: server keys and certificates from bytes, TLS versions and ciphers in Postfix's words, and the
 *  facts of a session. Reads no file: the master has read them (design §4). What a peer's certificate says is
 *  peer-certificate.ts. */
import { constants } from "node:crypto";
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  type SecureContext,
  type TLSSocket,
  type TLSSocketOptions,
} from "node:tls";
import type { TlsSession } from "../mail/client.ts";
import { isDigest, type PeerRules, peerOf } from "./peer-certificate.ts";
import { type FileReaders, type OwnCertificateFiles, readAuthorities, readMaterial, textOf } from "./tls-files.ts";

/** Least strength of ciphers below TLSv1.3, in Postfix's words. */
export type CipherGrade = "high" | "medium" | "low" | "export" | "null";

export interface ServerTlsInput extends OwnCertificateFiles, FileReaders {
  /** `>=TLSv1.2`, `!SSLv3, !TLSv1`, `TLSv1.2 TLSv1.3`. */
  readonly protocols: string;
  readonly grade: CipherGrade;
  readonly excludeCiphers: readonly string[];
  readonly preferServerOrder: boolean;
  /** OpenSSL ciphers below TLSv1.3 instead of the library's own list; undefined: that list. */
  readonly cipherList?: string | undefined;
  /** Key exchange groups instead of the library's own, best first. */
  readonly curves?: readonly string[] | undefined;
  /** undefined: no client certificate is asked for. */
  readonly clientCertificates?: ClientCertificateInput | undefined;
  /** 48 secret bytes shared by all workers, so that a session can be resumed at any of them. */
  readonly ticketKeys?: Buffer | undefined;
}

/** Which client certificates are trusted. "" is unset. */
export interface ClientCertificateInput {
  readonly authorityFile: string;
  readonly authorityDirectory: string;
  /** Trust the library's own list of public CAs too, where a file or directory is set. */
  readonly appendPublic: boolean;
  readonly digest: string;
  readonly verifyDepth: number;
}

/** What a handshake needs. Immutable; a reload makes a new one. */
export interface ServerTls {
  readonly secureContext: SecureContext;
  /** Versions offered, lowest first. */
  readonly versions: readonly TlsVersion[];
  /** Clients are asked for a certificate and judged by these rules. */
  readonly peerRules?: PeerRules | undefined;
}

const VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"] as const;
export type TlsVersion = (typeof VERSIONS)[number];

const NO_VERSION: Readonly<Record<TlsVersion, number>> = {
  TLSv1: constants.SSL_OP_NO_TLSv1,
  "TLSv1.1": constants.SSL_OP_NO_TLSv1_1,
  "TLSv1.2": constants.SSL_OP_NO_TLSv1_2,
  "TLSv1.3": constants.SSL_OP_NO_TLSv1_3,
};

/** OpenSSL option bits that leave out what is between the lowest and the highest version. */
export function withoutVersions(versions: readonly TlsVersion[]): number {
  return VERSIONS.filter((v) => !versions.includes(v)).reduce((bits, v) => bits | NO_VERSION[v], 0);
}

/** Names that only occur to be excluded. */
const GONE = new Set(["sslv2", "sslv3"]);

/** The TLS context of a service, or one sentence on what is wrong with its files or protocols. */
export function createServerTls(input: ServerTlsInput): ServerTls | { readonly problem: string } {
  const versions = parseTlsProtocols(input.protocols);
  if ("problem" in versions) return versions;
  const material = readMaterial(input, input);
  if ("problem" in material) return material;
  if (material.keys.length === 0) return { problem: "No server certificate is configured (smtpd_tls_chain_files)" };
  const peers = input.clientCertificates && readPeerRules(input, input.clientCertificates);
  if (peers && "problem" in peers) return peers;
  const lowest = versions.versions[0];
  const highest = versions.versions.at(-1);
  if (lowest === undefined || highest === undefined)
    return { problem: `No TLS protocol is left by "${input.protocols}"` };
  // Resumption would carry a verdict on a certificate to services, and to times, with other CAs.
  const noTickets = peers ? constants.SSL_OP_NO_TICKET : 0;
  try {
    const secureContext = createSecureContext({
      key: material.keys,
      cert: material.certs,
      // Without a list Node would trust all public CAs.
      ca: peers ? peers.authorities.map((authority) => authority.toString()) : [],
      minVersion: lowest,
      maxVersion: highest,
      secureOptions:
        withoutVersions(versions.versions) |
        constants.SSL_OP_NO_RENEGOTIATION |
        constants.SSL_OP_NO_COMPRESSION |
        noTickets,
      ciphers: cipherList(input),
      honorCipherOrder: input.preferServerOrder,
      sessionIdContext: "smtpd",
      ...(input.curves && { ecdhCurve: input.curves.join(":") }),
      ...(input.ticketKeys && !peers && { ticketKeys: input.ticketKeys }),
    });
    return { secureContext, versions: versions.versions, peerRules: peers };
  } catch (cause) {
    return { problem: `Cannot use the TLS settings: ${textOf(cause)}` };
  }
}

/** Options of a server-side TLSSocket over an accepted socket. By default no client certificate is asked for (AUTH-27);
 *  a bad or missing one never ends the handshake. */
export function tlsSocketOptions(tls: ServerTls): TLSSocketOptions {
  const requestCert = tls.peerRules !== undefined;
  const { secureContext } = tls;
  return { isServer: true, secureContext, requestCert, rejectUnauthorized: false, ALPNCallback: chooseProtocol };
}

const HTTP = /^(?:http\/|h[23](?:-|$)|spdy\/)/;

/** What a client offers by ALPN. There is no name for SMTP, so anything will do; but who offers nothing but HTTP has been led
 *  here by somebody else, and undefined ends the handshake (RFC 9325 §3.8; ALPACA). */
function chooseProtocol({ protocols }: { readonly protocols: readonly string[] }): string | undefined {
  return protocols.find((name) => !HTTP.test(name));
}

/** What Node tells of an established session. */
export function sessionOf(socket: TLSSocket, tls: ServerTls): TlsSession {
  const cipher = socket.getCipher();
  const name = cipher.standardName ?? cipher.name;
  // Node's types leave the server's side out: there it is the name the client asked for, or false.
  const serverName = (socket as { servername?: string | false }).servername;
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: name,
    bits: bitsOf(name),
    ...(typeof serverName === "string" && serverName !== "" && { serverName }),
    reused: socket.isSessionReused(),
    ...(tls.peerRules && { peerAsked: true, peer: peerOf(socket, tls.peerRules) }),
  };
}

/** Versions allowed by Postfix's `*_tls_protocols` syntax, lowest first. */
export function parseTlsProtocols(
  text: string,
): { readonly versions: readonly TlsVersion[] } | { readonly problem: string } {
  const excluded = new Set<TlsVersion>();
  const included = new Set<TlsVersion>();
  let listed = false; // also by a version that no longer exists
  let from = 0;
  let to = VERSIONS.length - 1;
  for (const word of text.split(/[\s,:]+/).filter(Boolean)) {
    const [, operator = "", name = ""] = /^(>=|<=|!)?(.*)$/.exec(word) ?? [];
    const index = versionIndex(name);
    if (index === undefined) return { problem: `Invalid TLS protocol "${word}" in "${text}"` };
    const version = VERSIONS[index];
    listed ||= operator === "";
    if (operator === ">=") from = Math.max(0, index);
    else if (operator === "<=") to = index;
    else if (version !== undefined) (operator === "!" ? excluded : included).add(version);
  }
  const allowed = VERSIONS.filter((v, i) => i >= from && i <= to && !excluded.has(v) && (!listed || included.has(v)));
  return allowed.length === 0 ? { problem: `No TLS protocol is left by "${text}"` } : { versions: allowed };
}

/** Index in VERSIONS; -1 for versions that no longer exist; undefined for no version at all. */
function versionIndex(name: string): number | undefined {
  const lower = name.toLowerCase();
  if (GONE.has(lower) || lower === "0x0300" || lower === "0300") return -1;
  const hex = /^(?:0x)?03(0[1-4])$/.exec(lower);
  const index = hex ? Number(hex[1]) - 1 : VERSIONS.findIndex((v) => v.toLowerCase() === lower);
  return index < 0 ? undefined : index;
}

function readPeerRules(
  source: FileReaders,
  { authorityFile, authorityDirectory, appendPublic, digest, verifyDepth }: ClientCertificateInput,
): PeerRules | { readonly problem: string } {
  if (!isDigest(digest)) return { problem: `Digest algorithm "${digest}" is not supported` };
  const found = readAuthorities({ file: authorityFile, directory: authorityDirectory, appendPublic }, source);
  return "problem" in found ? found : { digest, verifyDepth, authorities: found.authorities };
}

/** Node's list has nothing below Postfix's "high"; lower grades would only add broken ciphers. The suites of TLSv1.3 are
 *  no part of Postfix's lists. Anonymous ciphers are never used: there always is a certificate. */
export function cipherList(input: Pick<ServerTlsInput, "cipherList" | "excludeCiphers">): string {
  const suites = DEFAULT_CIPHERS.split(":").filter((name) => name.startsWith("TLS_"));
  const own = input.cipherList === undefined ? [DEFAULT_CIPHERS] : [...suites, input.cipherList, "!aNULL"];
  return [...own, ...input.excludeCiphers.map((c) => `!${c}`)].join(":");
}

/** Bits of the key of a cipher, by its standard name: Node does not tell. 0: unknown. */
export function bitsOf(cipher: string): number {
  if (/256|CHACHA20/.test(cipher.replace(/_SHA\d+$/, ""))) return 256;
  return /128/.test(cipher) ? 128 : 0;
}
