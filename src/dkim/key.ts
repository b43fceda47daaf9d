/** dkim/key.ts: signing keys (RFC 6376 §3.3, RFC 8301, RFC 8463) and the DNS record that belongs to each. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";

export type Algorithm = "rsa-sha256" | "ed25519-sha256";

export interface DkimKey {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
  /** Of an RSA key; 256 for Ed25519. */
  readonly bits: number;
}

/** RFC 8301 §3.2: signers must use at least 1024 bits, and should 2048. */
const LEAST_BITS = 1024;

/** The key of a PEM file, or what is wrong with it. */
export function parseKey(pem: Uint8Array): DkimKey | { readonly problem: string } {
  let key: KeyObject;
  try {
    key = createPrivateKey(Buffer.from(pem));
  } catch {
    return { problem: "no private key in PEM form that can be read (an encrypted one cannot)" };
  }
  if (key.asymmetricKeyType === "ed25519") return { algorithm: "ed25519-sha256", key, bits: 256 };
  if (key.asymmetricKeyType !== "rsa") {
    return { problem: `a key of type ${key.asymmetricKeyType}: DKIM knows rsa and ed25519` };
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < LEAST_BITS) return { problem: `an RSA key of ${bits} bits: verifiers refuse less than ${LEAST_BITS}` };
  return { algorithm: "rsa-sha256", key, bits };
}

/** A new private key, PKCS#8 PEM. RSA keys have 2048 bits: longer ones do not fit every DNS interface. */
export function generateKey(algorithm: Algorithm): string {
  const { privateKey } =
    algorithm === "rsa-sha256" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ed25519");
  return String(privateKey.export({ type: "pkcs8", format: "pem" }));
}

/** Text of the TXT record at `selector._domainkey.domain` (RFC 6376 §3.6.1, RFC 8463 §4). */
export function publicRecord({ algorithm, key }: DkimKey): string {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  // RFC 8463 §4.2: the bare 32 octets, which end the structure.
  const bytes = algorithm === "rsa-sha256" ? spki : spki.subarray(spki.length - 32);
  return `v=DKIM1; k=${algorithm === "rsa-sha256" ? "rsa" : "ed25519"}; p=${bytes.toString("base64")}`;
}

/** The same as a line of a zone file, in strings of at most 255 octets (RFC 1035 §3.3). */
export function zoneLine(name: string, record: string): string {
  const strings = record.match(/.{1,255}/g) ?? [];
  return `${name}. IN TXT ( ${strings.map((text) => `"${text}"`).join(" ")} )`;
}
