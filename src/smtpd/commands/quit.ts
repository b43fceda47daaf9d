/** smtpd/commands/quit.ts: QUIT (RFC 5321 §4.1.1.10). Arguments are not checked, as in Postfix (SMTP-17). */
import { reply } from "../../mail/reply.ts";
import type { HandlerResult } from "../result.ts";

export function runQuit(): HandlerResult {
  return { kind: "close", reply: reply(221, "2.0.0", "Bye") };
}
