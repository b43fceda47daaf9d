/** net/tls-context.ts: server keys and certificates from bytes, TLS versions and ciphers in Postfix's words, and the
 *  facts of a session. Reads no file: the master has read them (design §4). What a peer's certificate says is
 *  peer-certificate.ts. */
import { constants, createPrivateKey, X509Certificate } from "node:crypto";
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  rootCertificates,
  type SecureContext,
  type TLSSocket,
  type TLSSocketOptions,
} from "node:tls";
import type { TlsSession } from "../mail/client.ts";
import { certificatesIn, isDigest, type PeerRules, peerOf } from "./peer-certificate.ts";

/** A file's bytes, or why there are none. */
export type FileBytes = { readonly bytes: Uint8Array } | { readonly error: string };

export interface ServerTlsInput {
  /** Each file holds a key and its chain; if not empty, `pairs` are not used (smtpd_tls_chain_files). */
  readonly chainFiles: readonly string[];
  /** Certificate and key files, unset ones left out. */
  readonly pairs: readonly { readonly certFile: string; readonly keyFile: string }[];
  /** `>=TLSv1.2`, `!SSLv3, !TLSv1`, `TLSv1.2 TLSv1.3`. */
  readonly protocols: string;
  readonly grade: "high" | "medium" | "low" | "export" | "null";
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
  /** Bytes of a file as named in the configuration. */
  readonly read: (path: string) => FileBytes;
  /** The certificates of a directory; without it a directory is an error. */
  readonly readDirectory?: (path: string) => readonly FileBytes[] | { readonly error: string };
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
/** Names that only occur to be excluded. */
const GONE = new Set(["sslv2", "sslv3"]);

/** The TLS context of a service, or one sentence on what is wrong with its files or protocols. */
export function createServerTls(input: ServerTlsInput): ServerTls | { readonly problem: string } {
  const versions = parseTlsProtocols(input.protocols);
  if ("problem" in versions) return versions;
  const material = readMaterial(input);
  if ("problem" in material) return material;
  const peers = input.clientCertificates && readPeerRules(input, input.clientCertificates);
  if (peers && "problem" in peers) return peers;
  const lowest = versions.versions[0];
  const highest = versions.versions.at(-1);
  if (lowest === undefined || highest === undefined)
    return { problem: `No TLS protocol is left by "${input.protocols}"` };
  const holes = VERSIONS.filter((v) => !versions.versions.includes(v)).reduce((bits, v) => bits | NO_VERSION[v], 0);
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
      secureOptions: holes | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | noTickets,
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
  return { isServer: true, secureContext: tls.secureContext, requestCert, rejectUnauthorized: false };
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
  let from = 0;
  let to = VERSIONS.length - 1;
  for (const word of text.split(/[\s,:]+/).filter(Boolean)) {
    const [, operator = "", name = ""] = /^(>=|<=|!)?(.*)$/.exec(word) ?? [];
    const index = versionIndex(name);
    if (index === undefined) return { problem: `Invalid TLS protocol "${word}" in "${text}"` };
    const version = VERSIONS[index];
    if (operator === ">=") from = Math.max(0, index);
    else if (operator === "<=") to = index;
    else if (version !== undefined) (operator === "!" ? excluded : included).add(version);
  }
  const allowed = VERSIONS.filter(
    (v, i) => i >= from && i <= to && !excluded.has(v) && (included.size === 0 || included.has(v)),
  );
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

interface Material {
  readonly keys: Buffer[];
  readonly certs: Buffer[];
}

function readMaterial(input: ServerTlsInput): Material | { readonly problem: string } {
  const pairs = input.chainFiles.length > 0 ? input.chainFiles.map((f) => ({ certFile: f, keyFile: f })) : input.pairs;
  if (pairs.length === 0) return { problem: "No server certificate is configured (smtpd_tls_chain_files)" };
  const keys: Buffer[] = [];
  const certs: Buffer[] = [];
  for (const { certFile, keyFile } of pairs) {
    const cert = input.read(certFile);
    if ("error" in cert) return { problem: `Cannot read certificate "${certFile}": ${cert.error}` };
    const key = input.read(keyFile);
    if ("error" in key) return { problem: `Cannot read private key "${keyFile}": ${key.error}` };
    const problem = mismatch({ certFile, keyFile, cert: Buffer.from(cert.bytes), key: Buffer.from(key.bytes) });
    if (problem !== undefined) return { problem };
    certs.push(Buffer.from(cert.bytes));
    keys.push(Buffer.from(key.bytes));
  }
  return { keys, certs };
}

/** Why a key and a certificate cannot be used together, or undefined. */
function mismatch(pair: { certFile: string; keyFile: string; cert: Buffer; key: Buffer }): string | undefined {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pair.cert);
  } catch (cause) {
    return `Cannot use certificate "${pair.certFile}": ${textOf(cause)}`;
  }
  try {
    const key = createPrivateKey(pair.key);
    if (certificate.checkPrivateKey(key)) return undefined;
    return `Private key "${pair.keyFile}" does not belong to certificate "${pair.certFile}"`;
  } catch (cause) {
    return `Cannot use private key "${pair.keyFile}": ${textOf(cause)}`;
  }
}

/** The CAs, each certificate once. A file must hold good ones; in a directory others are passed over, as OpenSSL does. */
function readPeerRules(
  { read, readDirectory }: ServerTlsInput,
  wanted: ClientCertificateInput,
): PeerRules | { readonly problem: string } {
  const { authorityFile, authorityDirectory, digest, verifyDepth } = wanted;
  if (!isDigest(digest)) return { problem: `Digest algorithm "${digest}" is not supported` };
  const found: X509Certificate[] = [];
  if (authorityFile !== "") {
    const file = read(authorityFile);
    if ("error" in file) return { problem: `Cannot read CA certificates "${authorityFile}": ${file.error}` };
    try {
      found.push(...certificatesIn(Buffer.from(file.bytes).toString("latin1")));
    } catch (cause) {
      return { problem: `Cannot use CA certificates "${authorityFile}": ${textOf(cause)}` };
    }
    if (found.length === 0) return { problem: `Cannot use CA certificates "${authorityFile}": no certificate in it` };
  }
  if (authorityDirectory !== "") {
    const files = readDirectory?.(authorityDirectory) ?? { error: "directories cannot be read here" };
    if ("error" in files) return { problem: `Cannot read CA directory "${authorityDirectory}": ${files.error}` };
    found.push(...files.flatMap((file) => ("error" in file ? [] : readableIn(file.bytes))));
  }
  if (wanted.appendPublic && found.length > 0) found.push(...rootCertificates.map((pem) => new X509Certificate(pem)));
  const authorities = [...new Map(found.map((authority) => [authority.fingerprint512, authority])).values()];
  return { digest, verifyDepth, authorities };
}

function readableIn(bytes: Uint8Array): readonly X509Certificate[] {
  try {
    return certificatesIn(Buffer.from(bytes).toString("latin1"));
  } catch {
    return []; // a file of some other kind in the directory
  }
}

/** Node's list has nothing below Postfix's "high"; lower grades would only add broken ciphers. The suites of TLSv1.3 are
 *  no part of Postfix's lists. Anonymous ciphers are never used: there always is a certificate. */
function cipherList(input: ServerTlsInput): string {
  const suites = DEFAULT_CIPHERS.split(":").filter((name) => name.startsWith("TLS_"));
  const own = input.cipherList === undefined ? [DEFAULT_CIPHERS] : [...suites, input.cipherList, "!aNULL"];
  return [...own, ...input.excludeCiphers.map((c) => `!${c}`)].join(":");
}

function bitsOf(cipher: string): number {
  if (/256|CHACHA20/.test(cipher.replace(/_SHA\d+$/, ""))) return 256;
  return /128/.test(cipher) ? 128 : 0;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
