/** sasl/mechanisms/login.ts: LOGIN, draft-murchison-sasl-login. Never a standard, but what many devices speak.
 *  An initial response is taken as the user name (Python's smtplib sends it so). */
import { type Conversation, denied, outcomeOf } from "../conversation.ts";
import type { Passwords, PasswordVerdict } from "../passwords.ts";
import { decodeUtf8, prepare } from "../prepare.ts";

// Thunderbird gives up on any other spelling.
const USERNAME = new TextEncoder().encode("Username:");
const PASSWORD = new TextEncoder().encode("Password:");

export async function* login(passwords: Passwords, initial: Uint8Array | undefined): Conversation {
  const claimed = decodeUtf8(initial ?? (yield USERNAME));
  const username = claimed === undefined ? undefined : prepare(claimed, "query");
  if (claimed === undefined || username === undefined) return denied(claimed);
  let verdict: PasswordVerdict = { kind: "mismatch" };
  for (const password of readings(yield PASSWORD)) {
    verdict = await passwords.verify(username, password);
    if (verdict.kind !== "mismatch") break;
  }
  return outcomeOf("LOGIN", claimed, verdict);
}

/** The passwords that the bytes may mean: UTF-8, and for Thunderbird's sake ISO 8859-1 when they are not ASCII. */
function readings(bytes: Uint8Array): readonly string[] {
  const texts = [decodeUtf8(bytes)];
  if (bytes.some((byte) => byte > 0x7f)) texts.push(Buffer.from(bytes).toString("latin1"));
  const prepared = texts.map((text) => (text === undefined ? undefined : prepare(text, "query")));
  return prepared.filter((text) => text !== undefined);
}
