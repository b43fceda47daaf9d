/** access/restrictions/reject-plaintext-session.ts: `reject_plaintext_session`, for sessions without TLS. Postfix says
 *  it without naming anybody. */
import { repairDsn, shortened } from "../reply-text.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const rejectPlaintextSession: Word = {
  names: ["reject_plaintext_session"],
  argument: "none",
  build({ params }) {
    const code = params.get("plaintext_reject_code");
    return ({ facts, subject }) => {
      if (facts.tls !== undefined) return DUNNO;
      const reply = shortened(code, repairDsn("4.7.1", code, subject.replyClass), "Session encryption is required");
      return { kind: "refuse", cause: "policy", reply };
    };
  },
};
