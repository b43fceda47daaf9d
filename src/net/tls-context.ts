/** net/tls-context.ts: server keys and certificates from bytes, TLS versions and ciphers in Postfix's words, and the
 *  facts of a session. Reads no file: the master has read them (design §4). Verification of peers is not here. */
import { constants, createPrivateKey, X509Certificate } from "node:crypto";
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  type SecureContext,
  type TLSSocket,
  type TLSSocketOptions,
} from "node:tls";
import type { TlsSession } from "../mail/client.ts";

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
  /** 48 secret bytes shared by all workers, so that a session can be resumed at any of them. */
  readonly ticketKeys?: Buffer | undefined;
  /** Bytes of a file as named in the configuration. */
  readonly read: (path: string) => FileBytes;
}

/** What a handshake needs. Immutable; a reload makes a new one. */
export interface ServerTls {
  readonly secureContext: SecureContext;
  /** Versions offered, lowest first. */
  readonly versions: readonly TlsVersion[];
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
  const lowest = versions.versions[0];
  const highest = versions.versions.at(-1);
  if (lowest === undefined || highest === undefined)
    return { problem: `No TLS protocol is left by "${input.protocols}"` };
  const holes = VERSIONS.filter((v) => !versions.versions.includes(v)).reduce((bits, v) => bits | NO_VERSION[v], 0);
  try {
    const secureContext = createSecureContext({
      key: material.keys,
      cert: material.certs,
      minVersion: lowest,
      maxVersion: highest,
      secureOptions: holes | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
      ciphers: cipherList(input),
      honorCipherOrder: input.preferServerOrder,
      sessionIdContext: "smtpd",
      ...(input.ticketKeys && { ticketKeys: input.ticketKeys }),
    });
    return { secureContext, versions: versions.versions };
  } catch (cause) {
    return { problem: `Cannot use the TLS settings: ${textOf(cause)}` };
  }
}

/** Options of a server-side TLSSocket over an accepted socket. No client certificate is asked for (AUTH-27). */
export function tlsSocketOptions(tls: ServerTls): TLSSocketOptions {
  return { isServer: true, secureContext: tls.secureContext, requestCert: false, rejectUnauthorized: false };
}

/** What Node tells of an established session. */
export function sessionOf(socket: TLSSocket): TlsSession {
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

/** Node's list has nothing below Postfix's "high"; lower grades would only add broken ciphers. */
function cipherList(input: ServerTlsInput): string {
  return [DEFAULT_CIPHERS, ...input.excludeCiphers.map((c) => `!${c}`)].join(":");
}

function bitsOf(cipher: string): number {
  if (/256|CHACHA20/.test(cipher.replace(/_SHA\d+$/, ""))) return 256;
  return /128/.test(cipher) ? 128 : 0;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
