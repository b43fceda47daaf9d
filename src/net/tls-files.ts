/** net/tls-files.ts: keys, certificate chains and CA certificates from the bytes of files, or one sentence on what is wrong
 *  with them. Reads no file: the master has read them (design §4). */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { rootCertificates } from "node:tls";
import { certificatesIn } from "./peer-certificate.ts";

/** A file's bytes, or why there are none. */
export type FileBytes = { readonly bytes: Uint8Array } | { readonly error: string };

export interface FileReaders {
  /** Bytes of a file as named in the configuration. */
  readonly read: (path: string) => FileBytes;
  /** The certificates of a directory; without it a directory is an error. */
  readonly readDirectory?: ((path: string) => readonly FileBytes[] | { readonly error: string }) | undefined;
}

/** Files with keys and certificates. */
export interface OwnCertificateFiles {
  /** Each key with the certificates behind it, in the same file or the next ones; if not empty, `pairs` are not used
   *  (*_tls_chain_files). */
  readonly chainFiles: readonly string[];
  /** Certificate and key files, unset ones left out. */
  readonly pairs: readonly { readonly certFile: string; readonly keyFile: string }[];
}

/** Keys and chains, each at the place of the other. */
export interface Material {
  readonly keys: Buffer[];
  readonly certs: Buffer[];
}

/** Keys and chains that fit; none where no file is named. */
export function readMaterial(files: OwnCertificateFiles, source: FileReaders): Material | { readonly problem: string } {
  const pairs = files.pairs.map(({ certFile, keyFile }) => ({ certFiles: [certFile], keyFile }));
  const keys: Buffer[] = [];
  const certs: Buffer[] = [];
  for (const { certFiles, keyFile } of files.chainFiles.length > 0 ? chainsOf(files.chainFiles, source) : pairs) {
    const parts: Uint8Array[] = [];
    for (const certFile of certFiles) {
      const part = source.read(certFile);
      if ("error" in part) return { problem: `Cannot read certificate "${certFile}": ${part.error}` };
      parts.push(part.bytes, LINE_END); // a file may lack its last one
    }
    const key = source.read(keyFile);
    if ("error" in key) return { problem: `Cannot read private key "${keyFile}": ${key.error}` };
    const cert = Buffer.concat(parts);
    const problem = mismatch({ certFile: certFiles[0] ?? keyFile, keyFile, cert, key: Buffer.from(key.bytes) });
    if (problem !== undefined) return { problem };
    certs.push(cert);
    keys.push(Buffer.from(key.bytes));
  }
  return { keys, certs };
}

const LINE_END = Buffer.from("\n");
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;

/** Which files belong to one key: its own, if it has certificates, and those behind it that have no key. */
function chainsOf(
  names: readonly string[],
  source: FileReaders,
): readonly { readonly certFiles: readonly string[]; readonly keyFile: string }[] {
  const chains: { certFiles: string[]; keyFile: string }[] = [];
  for (const name of names) {
    const file = source.read(name);
    const text = "error" in file ? "" : Buffer.from(file.bytes).toString("latin1");
    const before = CERTIFICATE.test(text) && !PRIVATE_KEY.test(text) ? chains.at(-1) : undefined;
    if (before) before.certFiles.push(name);
    else chains.push({ certFiles: PRIVATE_KEY.test(text) && !CERTIFICATE.test(text) ? [] : [name], keyFile: name });
  }
  // A key without any certificate: the library says so of its file.
  return chains.map(({ certFiles, keyFile }) => ({ certFiles: certFiles.length > 0 ? certFiles : [keyFile], keyFile }));
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

/** Which CAs are trusted. "" is unset. */
export interface AuthoritySources {
  readonly file: string;
  readonly directory: string;
  /** The library's own list of public CAs too, where a file or directory has any. */
  readonly appendPublic: boolean;
}

/** The CAs, each certificate once. A file must hold good ones; in a directory others are passed over, as OpenSSL does. */
export function readAuthorities(
  wanted: AuthoritySources,
  source: FileReaders,
): { readonly authorities: readonly X509Certificate[] } | { readonly problem: string } {
  const found: X509Certificate[] = [];
  if (wanted.file !== "") {
    const file = source.read(wanted.file);
    if ("error" in file) return { problem: `Cannot read CA certificates "${wanted.file}": ${file.error}` };
    try {
      found.push(...certificatesIn(Buffer.from(file.bytes).toString("latin1")));
    } catch (cause) {
      return { problem: `Cannot use CA certificates "${wanted.file}": ${textOf(cause)}` };
    }
    if (found.length === 0) return { problem: `Cannot use CA certificates "${wanted.file}": no certificate in it` };
  }
  if (wanted.directory !== "") {
    const files = source.readDirectory?.(wanted.directory) ?? { error: "directories cannot be read here" };
    if ("error" in files) return { problem: `Cannot read CA directory "${wanted.directory}": ${files.error}` };
    found.push(...files.flatMap((file) => ("error" in file ? [] : readableIn(file.bytes))));
  }
  if (wanted.appendPublic && found.length > 0) found.push(...publicAuthorities());
  return { authorities: [...new Map(found.map((authority) => [authority.fingerprint512, authority])).values()] };
}

/** The public CAs that Node.js carries. */
export function publicAuthorities(): readonly X509Certificate[] {
  return rootCertificates.map((pem) => new X509Certificate(pem));
}

function readableIn(bytes: Uint8Array): readonly X509Certificate[] {
  try {
    return certificatesIn(Buffer.from(bytes).toString("latin1"));
  } catch {
    return []; // a file of some other kind in the directory
  }
}

/** What went wrong, in the library's words. */
export function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
