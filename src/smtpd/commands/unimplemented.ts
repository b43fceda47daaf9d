/** smtpd/commands/unimplemented.ts: commands of RFC 5321 that are known but not served (SMTP-16), and
 *  commands that nobody knows. */
import { answer, type HandlerResult } from "../result.ts";

/** EXPN, TURN, SEND, SOML, SAML, ATRN. */
export function runUnimplemented(): HandlerResult {
  return answer(502, "5.5.1", "Error: command not implemented");
}

export function runUnknown(): HandlerResult {
  return answer(500, "5.5.2", "Error: command not recognized");
}
