/** access/restrictions/reject-multi-recipient-bounce.ts: `reject_multi_recipient_bounce`: the null sender has one recipient.
 *  At RCPT the recipients before this one count; complete only at DATA or later. */
import { rejected } from "../reply-text.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const rejectMultiRecipientBounce: Word = {
  names: ["reject_multi_recipient_bounce"],
  argument: "none",
  build({ params }) {
    const code = params.get("multi_recipient_bounce_reject_code");
    return ({ facts, subject }) => {
      const before = facts.command === "RCPT" ? 0 : 1;
      if (facts.sender !== "" || facts.recipientCount <= before) return DUNNO;
      return { kind: "refuse", cause: "policy", reply: rejected(code, "5.5.3", subject, "Multi-recipient bounce") };
    };
  },
};
