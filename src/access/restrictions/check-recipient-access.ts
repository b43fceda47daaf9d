/** access/restrictions/check-recipient-access.ts: `check_recipient_access type:table`, by envelope recipient. */
import { AccessTable } from "../access-table.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const checkRecipientAccess: Word = {
  names: ["check_recipient_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    return (context) => {
      const { recipient } = context.facts;
      if (recipient === undefined || recipient === "") return DUNNO;
      const keys = table.keys.ofMail(services.resolver.rewrite(recipient));
      return table.check(keys, { name: recipient, replyClass: "Recipient address" }, context);
    };
  },
};
