/** access/restrictions/check-helo-access.ts: `check_helo_access type:table`, by HELO name and its parent domains. */
import { AccessTable } from "../access-table.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const checkHeloAccess: Word = {
  names: ["check_helo_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    return (context) => {
      const { helo } = context.facts;
      if (helo === undefined) return DUNNO;
      return table.check(table.keys.ofHost(helo), { name: helo, replyClass: "Helo command" }, context);
    };
  },
};
