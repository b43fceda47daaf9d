/** access/restrictions/reject-spf-fail.ts: `reject_spf_fail`, a word of ours: SPF says that the client may not use the domain of HELO or of MAIL
 *  FROM (RFC 7208 §8.4, RFC 7372 §3.2). Trusted clients and those who logged in are not asked about. */
import type { Facts } from "../access.ts";
import { CONFIGURATION_ERROR, rejected, type Subject } from "../reply-text.ts";
import { type Context, DUNNO, type Evaluate, type Outcome, type Services, type Word } from "../restriction.ts";

export const rejectSpfFail: Word = {
  names: ["reject_spf_fail"],
  argument: "none",
  build: (services) => evaluate(services),
};

function evaluate({ params, log }: Services): Evaluate {
  const defers = params.get("postern_spf_temperror_action") === "defer";
  return async ({ facts, trace }: Context): Promise<Outcome> => {
    const { authentication, sender } = facts;
    // Before MAIL there is nothing to ask about.
    if (sender === undefined) return DUNNO;
    if (authentication === undefined) return notAvailable("reject_spf_fail", log);
    if (!authentication.judged) return DUNNO;
    const checks = await authentication.spf().catch((error: unknown) => {
      trace?.lookup("SPF of", subjectOf("mailfrom", facts).name, error);
      throw error;
    });
    for (const { identity, result, domain } of checks) trace?.lookup(`SPF of ${identity}`, domain, result);
    const failed = checks.find(({ result }) => result === "fail");
    if (failed) {
      const text = `SPF: ${failed.domain} does not let ${facts.client.address} send its mail`;
      return refuse(550, "5.7.23", subjectOf(failed.identity, facts), text);
    }
    const unknown = checks.find(({ result }) => result === "temperror");
    if (!unknown || !defers) return DUNNO;
    return refuse(451, "4.7.24", subjectOf(unknown.identity, facts), `SPF: ${unknown.domain} cannot be asked now`);
  };
}

function subjectOf(identity: "helo" | "mailfrom", { helo = "", sender }: Facts): Subject {
  return identity === "helo"
    ? { name: helo, replyClass: "Helo command" }
    : { name: sender ?? "", replyClass: "Sender address" };
}

function refuse(code: number, dsn: string, subject: Subject, text: string): Outcome {
  return { kind: "refuse", cause: "policy", reply: rejected(code, dsn, subject, text) };
}

/** A word that stands where the service was not built to answer it: in a table. */
export function notAvailable(word: string, log: Services["log"]): Outcome {
  log.warning(`${word} in a table needs postern_authentication_results = yes, or the word in a list of main.cf`);
  return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
}
