/** access/restrictions/check-sender-access.ts: `check_sender_access type:table`, by envelope sender; the null sender has
 *  the key $smtpd_null_access_lookup_key. */
import { AccessTable } from "../access-table.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const checkSenderAccess: Word = {
  names: ["check_sender_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    const nullKey = services.params.get("smtpd_null_access_lookup_key");
    return (context) => {
      const { sender } = context.facts;
      if (sender === undefined) return DUNNO;
      const keys = sender === "" ? [nullKey] : table.keys.ofMail(services.resolver.rewrite(sender));
      return table.check(keys, { name: sender, replyClass: "Sender address" }, context);
    };
  },
};
