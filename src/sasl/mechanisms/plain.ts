/** sasl/mechanisms/plain.ts: PLAIN, RFC 4616: [authzid] NUL authcid NUL password, one message. */
import { type Conversation, denied, EMPTY, outcomeOf } from "../conversation.ts";
import type { Passwords } from "../passwords.ts";
import { decodeUtf8, prepare } from "../prepare.ts";

export async function* plain(passwords: Passwords, initial: Uint8Array | undefined): Conversation {
  const message = parsePlain(initial ?? (yield EMPTY));
  if (message === undefined) return denied();
  const { authzid, authcid, password } = message;
  const username = prepare(authcid, "query");
  const prepared = prepare(password, "query");
  if (username === undefined || prepared === undefined) return denied(authcid);
  // Nobody may act for somebody else: an authzid is allowed only when it says the same (RFC 4616 §2).
  if (authzid !== "" && prepare(authzid, "query") !== username) return denied(authcid);
  return outcomeOf("PLAIN", authcid, await passwords.verify(username, prepared));
}

interface PlainMessage {
  readonly authzid: string;
  readonly authcid: string;
  readonly password: string;
}

/** The three parts, or undefined unless there are exactly two NULs and all of it is UTF-8. */
function parsePlain(bytes: Uint8Array): PlainMessage | undefined {
  const parts = decodeUtf8(bytes)?.split("\0");
  if (parts?.length !== 3) return undefined;
  const [authzid = "", authcid = "", password = ""] = parts;
  return { authzid, authcid, password };
}
