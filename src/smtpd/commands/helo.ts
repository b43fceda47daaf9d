/** smtpd/commands/helo.ts: HELO (RFC 5321 §4.1.1.1), and what it shares with EHLO. */
import { type Awaitable, whenKnown } from "../../base/awaitable.ts";
import { type Reply, reply } from "../../mail/reply.ts";
import { milterHelo } from "../milters.ts";
import { answer, type HandlerResult, replyWith } from "../result.ts";
import type { Session } from "../session.ts";
import { applyVerdict } from "../verdict.ts";

export function runHelo(session: Session, args: string): Awaitable<HandlerResult> {
  if (args === "") return answer(501, undefined, "Syntax: HELO hostname");
  return whenKnown(greet(session, args, "SMTP"), (refused) =>
    refused ? replyWith(refused) : answer(250, undefined, session.settings.hostname),
  );
}

/** Takes the name, resets the transaction (RFC 5321 §4.1.4). A refusal leaves the state unchanged. */
export function greet(session: Session, name: string, protocol: "SMTP" | "ESMTP"): Awaitable<Reply | undefined> {
  const before = session.helo;
  session.helo = session.printable(name);
  const decided = session.access.atHelo(session.facts(protocol === "ESMTP" ? "EHLO" : "HELO"));
  return whenKnown(decided, (verdict) => {
    const refused = applyVerdict(session, verdict);
    if (refused) {
      session.helo = before;
      return refused;
    }
    return whenKnown(milterHelo(session, name), (unwanted) => {
      // As in Postfix: any other refusal is for the commands that follow.
      if (unwanted?.code === 421) {
        session.helo = before;
        return unwanted;
      }
      if (before !== undefined) session.milters?.abort();
      session.resetTransaction();
      // HELO behind EHLO leaves it, as in Postfix.
      if (protocol === "ESMTP") session.protocol = protocol;
      return undefined;
    });
  });
}

/** MAIL and AUTH want a greeting first where smtpd_helo_required says so. */
export function checkGreeted(session: Session): Reply | undefined {
  if (!session.settings.heloRequired || session.helo !== undefined) return undefined;
  return reply(503, "5.5.1", "Error: send HELO/EHLO first");
}
