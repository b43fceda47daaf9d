/** access/restrictions/check-sasl-access.ts: `check_sasl_access type:table`, by login name, for clients that logged in. */
import { AccessTable } from "../access-table.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const checkSaslAccess: Word = {
  names: ["check_sasl_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    return (context) => {
      if (!context.facts.saslEnabled) {
        services.log.warning("restriction `check_sasl_access' ignored: no SASL support");
        return DUNNO;
      }
      const login = context.facts.sasl?.username;
      if (login === undefined || login === "") return DUNNO;
      return table.check([login], { name: login, replyClass: "SASL login name" }, context);
    };
  },
};
