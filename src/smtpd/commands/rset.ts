/** smtpd/commands/rset.ts: RSET (RFC 5321 §4.1.1.5). */
import { answer, type HandlerResult } from "../result.ts";
import type { Session } from "../session.ts";

export function runRset(session: Session, args: string): HandlerResult {
  if (args !== "") return answer(501, "5.5.4", "Syntax: RSET"); // SMTP-17
  session.resetTransaction();
  return answer(250, "2.0.0", "Ok");
}
