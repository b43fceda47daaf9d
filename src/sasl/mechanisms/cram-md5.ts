/** sasl/mechanisms/cram-md5.ts: CRAM-MD5, RFC 2195. Needs the password itself on the server, so it exists only for
 *  accounts that were made with such a secret. The server speaks first: an initial response is a failure (RFC 4954 §4). */
import { createHmac, randomBytes } from "node:crypto";
import { type Conversation, denied, type Mechanism, undecided } from "../conversation.ts";
import type { CramLookup, Passwords } from "../passwords.ts";
import { decodeUtf8, equalBytes, prepare } from "../prepare.ts";

/** `challenge` must never repeat: `<random.time@host>`. */
export function cramMd5(challenge: string): Mechanism {
  return (passwords, initial) => talk(challenge, passwords, initial);
}

async function* talk(challenge: string, passwords: Passwords, initial: Uint8Array | undefined): Conversation {
  if (initial !== undefined) return denied();
  const response = parseResponse(yield Buffer.from(challenge));
  if (response === undefined) return denied();
  const username = prepare(response.username, "query");
  if (username === undefined) return denied(response.username);
  const found = passwords.cramSecret(username);
  if (found.kind === "unavailable") return undecided(found.reason, response.username);
  const right = equalBytes(digest(secretOf(found), challenge), response.digest);
  if (!right || found.kind !== "secret") return denied(response.username);
  return { kind: "success", identity: { method: "CRAM-MD5", username: found.login } };
}

/** The account's secret, or one that nobody knows, so that both ways compute the same. */
function secretOf(found: CramLookup): Uint8Array {
  return found.kind === "secret" ? found.secret : randomBytes(16);
}

function digest(secret: Uint8Array, challenge: string): Uint8Array {
  return createHmac("md5", secret).update(challenge).digest();
}

interface CramResponse {
  readonly username: string;
  readonly digest: Uint8Array;
}

/** `user digest`; the digest is 32 hexadecimal digits after the last blank. */
function parseResponse(bytes: Uint8Array): CramResponse | undefined {
  const match = /^(.+) ([0-9a-f]{32})$/su.exec(decodeUtf8(bytes) ?? "");
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { username: match[1], digest: Buffer.from(match[2], "hex") };
}
