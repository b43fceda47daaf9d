/** access/restrictions/reject-unknown-helo-hostname.ts: `reject_unknown_helo_hostname`: the HELO name needs an A, AAAA or MX
 *  record, a null MX included. Address literals only need to be well-formed. */
import { DnsQuestions } from "../dns-questions.ts";
import { isAddressLiteral } from "../hostname.ts";
import { rejected } from "../reply-text.ts";
import { DUNNO, type Word } from "../restriction.ts";
import { tempfailOutcome } from "../tempfail.ts";

export const rejectUnknownHeloHostname: Word = {
  names: ["reject_unknown_helo_hostname", "reject_unknown_hostname"],
  argument: "none",
  build(services) {
    const { params } = services;
    const questions = new DnsQuestions(services.dns);
    const code = params.get("unknown_hostname_reject_code");
    const literalCode = params.get("invalid_hostname_reject_code");
    const tempfailAction = params.get("unknown_helo_hostname_tempfail_action");
    return async (context) => {
      const { helo } = context.facts;
      if (helo === undefined) return DUNNO;
      const subject = { name: helo, replyClass: "Helo command" } as const;
      if (helo.startsWith("[")) {
        if (isAddressLiteral(helo)) return DUNNO;
        return {
          kind: "refuse",
          cause: "policy",
          reply: rejected(literalCode, "5.5.2", subject, "invalid ip address"),
        };
      }
      const existence = await questions.hostOrMailHost(helo, context);
      if (existence === "exists" || existence === "nullMx") return DUNNO;
      if (existence === "temporary") {
        return tempfailOutcome(tempfailAction, rejected(450, "4.7.1", subject, "Host not found"));
      }
      const text = existence === "malformed" ? "Malformed DNS server reply" : "Host not found";
      return { kind: "refuse", cause: "policy", reply: rejected(code, "4.7.1", subject, text) };
    };
  },
};
