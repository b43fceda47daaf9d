/** smtp/scram.ts: SCRAM as the client (RFC 5802, RFC 7677), without channel binding: the password never leaves, and the server
 *  must prove that it knows it too. */
import { createHash, createHmac, pbkdf2 } from "node:crypto";
import { decodeUtf8, equalBytes, prepare } from "../sasl/prepare.ts";
import { type ClientConversation, SaslRefusal } from "./sasl-client.ts";

export type ScramHash = "sha1" | "sha256";

/** More would be work for us at a stranger's word (RFC 5802 §9); 4096 is the least that RFC 7677 §4 asks for. */
const MAX_ITERATIONS = 1_000_000;
const MIN_ITERATIONS = 4096;
/** RFC 5802 §5.1 lets both sides prove themselves over the GS2 header "n,,": no binding, no other identity. */
const GS2 = "n,,";

/** `nonce` is fresh, printable, without comma. */
export async function* scram(
  hash: ScramHash,
  credentials: { readonly username: string; readonly password: string },
  nonce: string,
): ClientConversation {
  const username = prepare(credentials.username, "query");
  const password = prepare(credentials.password, "query");
  if (username === undefined || password === undefined) throw new SaslRefusal("user name or password not allowed");
  const clientFirst = `n=${username.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
  const serverFirst = decodeUtf8(yield Buffer.from(GS2 + clientFirst)) ?? "";
  const offer = parseServerFirst(serverFirst, nonce);
  const salted = await saltedPassword(hash, password, offer);
  const withoutProof = `c=${Buffer.from(GS2).toString("base64")},r=${offer.nonce}`;
  const authMessage = `${clientFirst},${serverFirst},${withoutProof}`;
  const clientKey = hmac(hash, salted, "Client Key");
  const signature = hmac(hash, createHash(hash).update(clientKey).digest(), authMessage);
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)));
  const serverFinal = decodeUtf8(yield Buffer.from(`${withoutProof},p=${proof.toString("base64")}`)) ?? "";
  const expected = hmac(hash, hmac(hash, salted, "Server Key"), authMessage);
  const given = Buffer.from(/^v=([A-Za-z0-9+/=]+)/.exec(serverFinal)?.[1] ?? "", "base64");
  if (!equalBytes(given, expected)) throw new SaslRefusal("server does not know the password");
  yield Buffer.alloc(0);
}

interface ServerFirst {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** Throws SaslRefusal for what is not understood or not safe. Extensions that must be understood (`m=`) are not. */
function parseServerFirst(text: string, clientNonce: string): ServerFirst {
  const match = /^r=([!-+\--~]{1,2048}),s=([A-Za-z0-9+/=]{1,2048}),i=([1-9]\d{0,9})(?:,[A-Za-z]=[^,\0]+)*$/u.exec(text);
  if (!match) throw new SaslRefusal("bad challenge");
  const [, nonce = "", salt = "", count = ""] = match;
  if (!nonce.startsWith(clientNonce) || nonce === clientNonce) throw new SaslRefusal("challenge for somebody else");
  const iterations = Number(count);
  if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) throw new SaslRefusal("iteration count out of range");
  return { nonce, salt: Buffer.from(salt, "base64"), iterations };
}

function saltedPassword(hash: ScramHash, password: string, { salt, iterations }: ServerFirst): Promise<Buffer> {
  const length = hash === "sha1" ? 20 : 32;
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, length, hash, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

function hmac(hash: ScramHash, key: Uint8Array, text: string): Buffer {
  return createHmac(hash, key).update(text).digest();
}
