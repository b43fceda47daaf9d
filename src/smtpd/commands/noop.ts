/** smtpd/commands/noop.ts: NOOP (RFC 5321 §4.1.1.9); a parameter is ignored (SMTP-18). */
import { answer, type HandlerResult } from "../result.ts";

export function runNoop(): HandlerResult {
  return answer(250, "2.0.0", "Ok");
}
