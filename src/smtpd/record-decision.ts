/** smtpd/record-decision.ts: hands what was decided about a recipient to whoever keeps decisions, for `postern diff --replay`. */
import type { Effect, Verdict } from "../access/access.ts";
import type { RecordedDecision } from "../decisions/decision.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import type { Session } from "./session.ts";

/** Characters of a HELO name and of a rule; addresses are bounded by their syntax. */
const MAX_TEXT = 512;

export function recordDecision(session: Session, recipient: Address, { decision, effects }: Verdict): void {
  const { decisions, serviceName, clock } = session.options;
  if (!decisions?.wanted) return;
  const { client, helo, user, tls, transaction } = session;
  const by = "by" in decision ? decision.by : undefined;
  decisions.take({
    at: clock.now(),
    service: serviceName,
    stage: "rcpt",
    client: {
      address: client.address,
      name: client.name,
      reverseName: client.reverseName,
      nameStatus: client.nameStatus,
    },
    helo: helo?.slice(0, MAX_TEXT),
    tls: tls && { certificate: tls.peer?.certFingerprint },
    login: user && { method: user.method, username: user.username },
    sender: transaction === undefined ? "" : formatAddress(transaction.sender),
    recipient: formatAddress(recipient),
    size: transaction?.start.declaredSize,
    ...answerOf(decision),
    effects: effects.length > 0 ? effects.map(formatEffect) : undefined,
    rule: by && { text: by.text.slice(0, MAX_TEXT), at: by.at, parameter: by.parameter },
  });
}

function answerOf(decision: Verdict["decision"]): Pick<RecordedDecision, "result" | "code"> {
  if (decision.kind !== "reject" && decision.kind !== "defer") return { result: "accepted", code: 250 };
  return { result: decision.kind === "reject" ? "rejected" : "deferred", code: decision.reply.code };
}

/** "hold", "filter smtp:[127.0.0.1]:10025". The text of a HOLD is for the log only. */
function formatEffect(effect: Effect): string {
  return "value" in effect ? `${effect.kind} ${effect.value}`.slice(0, MAX_TEXT) : effect.kind;
}
