/** smtpd/explain.ts: makes an Explanation of a verdict as the session stands, for those who want to know. */
import type { Verdict } from "../access/access.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import type { Explanation } from "./explanation.ts";
import type { Session } from "./session.ts";

/** Gives the explanation away. The reply is added when it is sent: footers and soft_bounce change it. */
export function explain(session: Session, verdict: Verdict, id: string | undefined): void {
  const explanation = explanationOf(session, verdict, id);
  session.options.explainer?.take(explanation);
  session.unanswered = explanation;
}

function explanationOf(session: Session, verdict: Verdict, id: string | undefined): Explanation {
  const { client, user, tls, transaction } = session;
  const printable = (text: string) => session.printable(text);
  const address = (a: Address | undefined) => (a === undefined ? undefined : printable(formatAddress(a)));
  const { decision, effects, trace } = verdict;
  return {
    id,
    atMs: session.options.clock.now(),
    service: session.options.serviceName,
    command: session.where,
    client: { name: printable(client.name), address: client.address, reverseName: printable(client.reverseName) },
    helo: session.helo === undefined ? undefined : printable(session.helo),
    login: user && { username: printable(user.username), method: printable(user.method) },
    tls: tls && { protocol: tls.protocol, certificate: tls.peer?.certFingerprint },
    sender: address(transaction?.sender),
    recipient: address(session.recipient),
    recipients: transaction?.recipientCount ?? 0,
    sizeBytes: transaction?.start.declaredSize,
    decision: decision.kind,
    by: "by" in decision ? decision.by : undefined,
    steps: trace,
    effects,
    notices: verdict.notices.filter(({ action }) => action !== "reject"),
    reply: [],
  };
}
