/** access/restrictions/reject-dmarc-fail.ts: `reject_dmarc_fail`, a word of ours for smtpd_end_of_data_restrictions: the author's domain asks
 *  to reject what neither SPF nor DKIM vouches for (RFC 9989), or From names no single domain (DMARC-02). Trusted clients and
 *  those who logged in are not asked about. */

import { ParameterError } from "../../config/parameters.ts";
import type { DmarcCheck } from "../../mail/message-authentication.ts";
import { about, CONFIGURATION_ERROR } from "../reply-text.ts";
import { type Context, DUNNO, type Evaluate, type Outcome, type Services, type Word } from "../restriction.ts";
import { notAvailable } from "./reject-spf-fail.ts";

const ELSEWHERE = "restriction reject_dmarc_fail works only in smtpd_end_of_data_restrictions";

export const rejectDmarcFail: Word = {
  names: ["reject_dmarc_fail"],
  argument: "none",
  build: (services, { ref }) => {
    if (services.params.get("smtpd_proxy_filter") !== "") {
      throw new ParameterError("restriction reject_dmarc_fail cannot see mail that smtpd_proxy_filter takes");
    }
    if (ref.parameter.endsWith("_restrictions") && ref.parameter !== "smtpd_end_of_data_restrictions") {
      throw new ParameterError(ELSEWHERE);
    }
    return evaluate(services);
  },
};

function evaluate({ params, log }: Services): Evaluate {
  const defers = params.get("postern_dmarc_temperror_action") === "defer";
  return async ({ facts, stage, trace }: Context): Promise<Outcome> => {
    const { authentication } = facts;
    if (stage !== "end_of_data") {
      log.warning(ELSEWHERE);
      return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
    }
    if (authentication === undefined) return notAvailable("reject_dmarc_fail", log);
    if (!authentication.judged) return DUNNO;
    const verdict = await authentication.verdict().catch((error: unknown) => {
      trace?.lookup("DMARC of", "the author", error);
      throw error;
    });
    if (verdict === undefined) return DUNNO;
    const { dmarc } = verdict;
    trace?.lookup("DMARC of", dmarc.domain, dmarc.noAuthor ?? `${dmarc.result}, p=${dmarc.policy}`);
    return outcomeOf(dmarc, defers);
  };
}

/** RFC 7372 §3.3: 5.7.26 says that more than one check failed, as it takes for DMARC. */
function outcomeOf({ result, policy, domain, noAuthor }: DmarcCheck, defers: boolean): Outcome {
  if (noAuthor !== undefined) return refuse(550, "5.7.1", `DMARC: no author to verify: ${noAuthor}`);
  if (result === "fail" && policy === "reject") {
    return refuse(550, "5.7.26", `DMARC: ${domain} asks to reject mail that neither SPF nor DKIM vouches for`);
  }
  if (result === "temperror" && defers) return refuse(451, "4.7.1", `DMARC: ${domain} cannot be asked now`);
  return DUNNO;
}

function refuse(code: number, dsn: string, text: string): Outcome {
  const subject = { name: "END-OF-MESSAGE", replyClass: "End-of-data" } as const;
  return { kind: "refuse", cause: "policy", reply: about(code, dsn, subject, `End-of-data rejected: ${text}`) };
}
