/** access/restrictions/check-etrn-access.ts: `check_etrn_access type:table`, by ETRN domain and its parent domains. */
import { AccessTable } from "../access-table.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const checkEtrnAccess: Word = {
  names: ["check_etrn_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    return (context) => {
      const domain = context.facts.etrnDomain;
      if (domain === undefined) return DUNNO;
      return table.check(table.keys.ofHost(domain), { name: domain, replyClass: "Etrn command" }, context);
    };
  },
};
