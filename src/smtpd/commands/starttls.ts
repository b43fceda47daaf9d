/** smtpd/commands/starttls.ts: STARTTLS (RFC 3207). The handshake itself follows the reply, in dialogue.ts. */
import { type Reply, reply } from "../../mail/reply.ts";
import { type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";

/** Why STARTTLS is refused now, or undefined. */
function checkStartTls(session: Session, args: string): Reply | undefined {
  if (args !== "") return reply(501, "5.5.4", "Syntax: STARTTLS"); // TLS-04
  if (session.tls) return reply(554, "5.5.1", "Error: TLS already active"); // TLS-03
  if (session.settings.tlsLevel === "none" || !session.keeps("STARTTLS")) {
    return reply(502, "5.5.1", "Error: command not implemented");
  }
  if (!session.tlsContext) return reply(454, "4.7.0", "TLS not available due to local problem"); // TLS-05
  return undefined;
}

export async function runStartTls(session: Session, args: string): Promise<HandlerResult> {
  const refused = checkStartTls(session, args);
  if (refused) return replyWith(refused);
  if (await session.limits.refusesTls(session, "STARTTLS request")) {
    return replyWith(reply(454, "4.7.0", `Error: too many new TLS sessions from ${session.peer}`));
  }
  return { kind: "startTls", reply: reply(220, "2.0.0", "Ready to start TLS") };
}
