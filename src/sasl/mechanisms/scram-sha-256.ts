/** sasl/mechanisms/scram-sha-256.ts: SCRAM-SHA-256, RFC 5802 and RFC 7677, without channel binding.
 *  The server-final message goes out as a challenge and is answered by an empty response (RFC 4954 has no data on 235).
 *  An unknown user is walked through the same messages with made-up keys and fails at the proof. */
import { createHash, createHmac } from "node:crypto";
import { type Conversation, denied, EMPTY, type Mechanism, undecided } from "../conversation.ts";
import type { Passwords, ScramKeys } from "../passwords.ts";
import { decodeUtf8, equalBytes, prepare } from "../prepare.ts";

const NAME = "SCRAM-SHA-256";

/** `serverNonce` is fresh, printable, without comma, of at least 128 bits. */
export function scramSha256(serverNonce: string): Mechanism {
  return (passwords, initial) => talk(serverNonce, passwords, initial);
}

async function* talk(serverNonce: string, passwords: Passwords, initial: Uint8Array | undefined): Conversation {
  const first = parseClientFirst(initial ?? (yield EMPTY));
  if (first === undefined) return denied();
  const found = passwords.scramKeys(first.username);
  if (found.kind === "unavailable") return undecided(found.reason, first.username);
  const { keys, login } = found;

  const nonce = first.nonce + serverNonce;
  const serverFirst = `r=${nonce},s=${Buffer.from(keys.salt).toString("base64")},i=${keys.iterations}`;
  const final = parseClientFinal(yield Buffer.from(serverFirst));
  if (final === undefined || final.nonce !== nonce) return denied(first.username);
  // The client repeats its GS2 header, so that nobody in between has changed it (RFC 5802 §6).
  if (final.binding !== Buffer.from(first.gs2Header).toString("base64")) return denied(first.username);

  const authMessage = `${first.bare},${serverFirst},${final.withoutProof}`;
  const right = proves(keys, authMessage, final.proof);
  if (!right || login === undefined) return denied(first.username);
  const signature = hmac(keys.serverKey, authMessage).toString("base64");
  const last = yield Buffer.from(`v=${signature}`);
  if (last.length > 0) return denied(first.username);
  return { kind: "success", identity: { method: NAME, username: login } };
}

/** Whether `proof` comes from somebody who knows the ClientKey (RFC 5802 §3). */
function proves(keys: ScramKeys, authMessage: string, proof: Uint8Array): boolean {
  const clientKey = hmac(keys.storedKey, authMessage);
  for (let i = 0; i < clientKey.length; i++) clientKey[i] = (clientKey[i] ?? 0) ^ (proof[i] ?? 0);
  return equalBytes(createHash("sha256").update(clientKey).digest(), keys.storedKey);
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

interface ClientFirst {
  readonly gs2Header: string;
  readonly bare: string;
  readonly username: string;
  readonly nonce: string;
}

/** gs2-header client-first-message-bare, RFC 5802 §7; undefined for anything that must fail:
 *  channel binding (not announced), `m=`, a bad saslname, an authzid of somebody else. */
function parseClientFirst(bytes: Uint8Array): ClientFirst | undefined {
  const match = /^([ny],(?:a=([^,]+))?,)(n=([^,]+),r=([!-+\--~]{1,1024})(?:,[A-Za-z]=[^,\0]+)*)$/u.exec(
    decodeUtf8(bytes) ?? "",
  );
  if (match === null) return undefined;
  const [, gs2Header = "", authzid, bare = "", name = "", nonce = ""] = match;
  const username = parseSaslName(name);
  if (username === undefined) return undefined;
  if (authzid !== undefined && parseSaslName(authzid) !== username) return undefined;
  return { gs2Header, bare, username, nonce };
}

/** A saslname: `=` stands only in `=2C` and `=3D`. The result is prepared. */
function parseSaslName(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text)) return undefined;
  return prepare(text.replaceAll("=2C", ",").replaceAll("=3D", "="), "query");
}

interface ClientFinal {
  readonly binding: string;
  readonly nonce: string;
  readonly proof: Uint8Array;
  readonly withoutProof: string;
}

/** channel-binding "," nonce ["," extensions] "," proof, RFC 5802 §7. */
function parseClientFinal(bytes: Uint8Array): ClientFinal | undefined {
  const match = /^(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-z]=[^,\0]+)*),p=([A-Za-z0-9+/]{43}=)$/u.exec(
    decodeUtf8(bytes) ?? "",
  );
  if (match === null) return undefined;
  const [, withoutProof = "", binding = "", nonce = "", proof = ""] = match;
  return { binding, nonce, proof: Buffer.from(proof, "base64"), withoutProof };
}
