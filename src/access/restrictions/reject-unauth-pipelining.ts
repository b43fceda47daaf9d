/** access/restrictions/reject-unauth-pipelining.ts: `reject_unauth_pipelining`, for clients that did not wait for the
 *  reply where RFC 2920 demands it. Useful at DATA; only tests what the session has seen. */
import { rejected } from "../reply-text.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const rejectUnauthPipelining: Word = {
  names: ["reject_unauth_pipelining"],
  argument: "none",
  build:
    () =>
    ({ facts, subject }) => {
      if (!facts.earlyTalker) return DUNNO;
      const reply = rejected(503, "5.5.0", subject, "Improper use of SMTP command pipelining");
      return { kind: "refuse", cause: "policy", reply };
    },
};
