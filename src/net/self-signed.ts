/** net/self-signed.ts: a self-signed certificate for the demo and for tests (RFC 5280 in DER, ECDSA P-256 with SHA-256).
 *  Node can sign but has no function that makes a certificate. Not for production: operators bring their own. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const TAG = {
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
const OID = {
  ecdsaSha256: Buffer.from("2a8648ce3d040302", "hex"),
  commonName: Buffer.from("550403", "hex"),
  subjectAltName: Buffer.from("551d11", "hex"),
} as const;

export interface SelfSigned {
  readonly keyPem: string;
  readonly certificatePem: string;
}

/** Valid from a day before `nowMs` for ten years, for the given DNS names. */
export function makeSelfSigned(names: readonly string[], nowMs: number): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(TAG.sequence, der(TAG.oid, OID.ecdsaSha256));
  const commonName = der(
    TAG.sequence,
    der(TAG.oid, OID.commonName),
    der(TAG.utf8, Buffer.from(names[0] ?? "localhost")),
  );
  const name = der(TAG.sequence, der(TAG.set, commonName));
  const day = 86_400_000;
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const alternatives = der(TAG.sequence, ...names.map((dns) => der(0x82, Buffer.from(dns))));
  const extension = der(TAG.sequence, der(TAG.oid, OID.subjectAltName), der(TAG.octets, alternatives));
  const toBeSigned = der(
    TAG.sequence,
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    name,
    der(TAG.sequence, generalizedTime(nowMs - day), generalizedTime(nowMs + 3650 * day)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(TAG.sequence, extension)),
  );
  const signature = sign("sha256", toBeSigned, privateKey);
  const certificate = der(TAG.sequence, toBeSigned, algorithm, der(TAG.bits, Buffer.from([0]), signature));
  const base64 = certificate.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return {
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificatePem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
  };
}

function generalizedTime(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/\D/g, "").slice(0, 14)}Z`;
  return der(TAG.time, Buffer.from(text));
}

/** Tag, definite length, content. */
function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest >>= 8) length.unshift(rest & 255);
  const head = body.length < 128 ? [tag, body.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from(head), body]);
}
