/** smtpd/commands/help.ts: HELP (RFC 5321 §4.1.1.8), as Postfix since 3.9. */
import { answer, type HandlerResult } from "../result.ts";
import type { Session } from "../session.ts";

export function runHelp(session: Session): HandlerResult {
  const verbs = ["HELO", "EHLO"];
  if (session.tlsContext && !session.tls) verbs.push("STARTTLS");
  if (session.options.sasl) verbs.push("AUTH");
  verbs.push("MAIL", "RCPT", "DATA", "RSET", "NOOP");
  if (!session.settings.vrfyDisabled) verbs.push("VRFY");
  return answer(214, "2.0.0", `Commands: ${[...verbs, "QUIT", "HELP"].join(" ")}`);
}
