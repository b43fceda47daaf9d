/** smtpd/verdict.ts: what follows from an access verdict: log lines in Postfix's form, effects on the message, the reply.
 *  Decides nothing. */
import type { Verdict } from "../access/access.ts";
import { type Reply, replyText } from "../mail/reply.ts";
import type { Session } from "./session.ts";

/** The refusal to give, or undefined to go on. */
export function applyVerdict(session: Session, verdict: Verdict): Reply | undefined {
  for (const notice of verdict.notices) {
    // The final refusal is logged below, once, whichever stage it came from.
    if (notice.action !== "reject") logNotice(session, notice.action, notice.text);
  }
  if (verdict.effects.length > 0) session.transaction?.apply(verdict.effects);
  const { decision } = verdict;
  if (decision.kind !== "reject" && decision.kind !== "defer") return undefined;
  logNotice(session, "reject", replyText(decision.reply));
  if (session.settings.explainLog && decision.by !== undefined) {
    const { at, parameter, text } = decision.by;
    const id = session.nextExplainId();
    const rule = session.printable(text);
    session.log.info(`${session.logId}: explain: id=${id} rule=${at} parameter=${parameter} restriction=<${rule}>`, {
      explain: id,
      rule: at,
      parameter,
      restriction: rule,
    });
  }
  return decision.reply;
}

/** `NOQUEUE: reject: RCPT from name[address]: TEXT; from=<s> to=<r> proto=ESMTP helo=<h>`. */
export function logNotice(session: Session, action: string, text: string): void {
  const { logId, where, peer } = session;
  session.log.info(`${logId}: ${action}: ${where} from ${peer}: ${session.printable(text)};${session.describe()}`);
}

/** A refusal of our own that Postfix logs like one of the restrictions. */
export function refuse(session: Session, reply: Reply): Reply {
  logNotice(session, "reject", replyText(reply));
  return reply;
}
