/** smtpd/verdict.ts: what follows from an access verdict: log lines in Postfix's form, effects on the message, the reply.
 *  Decides nothing. */
import type { RuleRef, Verdict } from "../access/access.ts";
import { type Reply, reply, replyText } from "../mail/reply.ts";
import { explain } from "./explain.ts";
import { replyFields, sessionFields } from "./log-fields.ts";
import type { Session } from "./session.ts";
import { softenedText } from "./soft-bounce.ts";

/** The refusal to give, or undefined to go on. After HANGUP the session ends without a reply. */
export function applyVerdict(session: Session, verdict: Verdict): Reply | undefined {
  for (const notice of verdict.notices) {
    // The final refusal is logged below, once, whichever stage it came from.
    if (notice.action !== "reject") logNotice(session, notice.action, notice.text);
    if (notice.action === "hangup") session.hangup = true;
  }
  if (verdict.effects.length > 0) session.transaction?.apply(verdict.effects);
  const { decision } = verdict;
  const { explainer } = session.options;
  if (decision.kind !== "reject" && decision.kind !== "defer") {
    if (explainer?.trace === "always") explain(session, verdict, undefined);
    return undefined;
  }
  const refusal = loginRefusal(session, decision.by) ?? decision.reply;
  if (!session.hangup) logNotice(session, "reject", replyText(refusal));
  const id = session.nextExplainId();
  if (session.settings.explainLog && decision.by !== undefined) logRule(session, decision.by, id);
  if (explainer?.trace !== undefined) explain(session, verdict, id);
  return refusal;
}

/** RFC 6409 §4.3 for who could get further with a login (postern_reply_codes = rfc6409, SUB-13). */
function loginRefusal(session: Session, by: RuleRef | undefined): Reply | undefined {
  const { options, settings, user, tls } = session;
  if (!settings.rfcReplyCodes || user || options.sasl === undefined || options.role !== "submission") return undefined;
  if (by?.text !== "reject" && by?.text !== "reject_unauth_destination") return undefined;
  if (settings.tlsAuthOnly && !tls) return reply(530, "5.7.0", "Must issue a STARTTLS command first");
  return reply(530, "5.7.0", "Authentication required");
}

function logRule(session: Session, { at, parameter, text }: RuleRef, id: string): void {
  const rule = session.printable(text);
  session.log.info(`${session.logId}: explain: id=${id} rule=${at} parameter=${parameter} restriction=<${rule}>`, {
    event: "explain",
    explain: id,
    rule: at,
    parameter,
    restriction: rule,
  });
}

/** `NOQUEUE: reject: RCPT from name[address]: TEXT; from=<s> to=<r> proto=ESMTP helo=<h>`. */
export function logNotice(session: Session, action: string, text: string): void {
  const { logId, where, peer } = session;
  const soft = session.settings.softBounce && action.startsWith("reject");
  const shown = session.printable(soft ? softenedText(text) : text);
  session.log.info(`${logId}: ${action}: ${where} from ${peer}: ${shown};${session.describe()}`, () => ({
    ...sessionFields(session, action),
    ...replyFields(shown),
  }));
}

/** A refusal of our own that Postfix logs like one of the restrictions. */
export function refuse(session: Session, reply: Reply): Reply {
  logNotice(session, "reject", replyText(reply));
  return reply;
}
