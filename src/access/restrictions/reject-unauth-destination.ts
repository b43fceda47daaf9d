/** access/restrictions/reject-unauth-destination.ts: `reject_unauth_destination` and its 4xx form
 *  `defer_unauth_destination`: the guard against being an open relay. */
import { isAuthorizedDestination } from "../destination.ts";
import { about } from "../reply-text.ts";
import { type Context, DUNNO, type Outcome, type Services, type Word } from "../restriction.ts";

export const rejectUnauthDestination: Word = {
  names: ["reject_unauth_destination"],
  argument: "none",
  build: (services) => guard(services, services.params.get("relay_domains_reject_code")),
};

/** The code is 100 below $relay_domains_reject_code, and never below 400. */
export const deferUnauthDestination: Word = {
  names: ["defer_unauth_destination"],
  argument: "none",
  build: (services) => guard(services, Math.max(services.params.get("relay_domains_reject_code") - 100, 400)),
};

function guard(services: Services, code: number): (context: Context) => Outcome | Promise<Outcome> {
  return (context) => {
    const { recipient } = context.facts;
    if (recipient === undefined) return DUNNO;
    const refusal = (): Outcome => {
      const subject = { name: recipient, replyClass: "Recipient address" } as const;
      return { kind: "refuse", cause: "policy", reply: about(code, "5.7.1", subject, "Relay access denied") };
    };
    const authorized = isAuthorizedDestination(recipient, context, services);
    if (authorized instanceof Promise) return authorized.then((yes) => (yes ? DUNNO : refusal()));
    return authorized ? DUNNO : refusal();
  };
}
