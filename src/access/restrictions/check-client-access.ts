/** access/restrictions/check-client-access.ts: `check_client_access type:table`, by client name, parent domains, address
 *  and address prefixes. */
import { formatClient } from "../../mail/client.ts";
import { AccessTable } from "../access-table.ts";
import type { Word } from "../restriction.ts";

export const checkClientAccess: Word = {
  names: ["check_client_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    return (context) => {
      const { client } = context.facts;
      const keys = table.keys.ofClient(client.name, client.address);
      return table.check(keys, { name: formatClient(client), replyClass: "Client host" }, context);
    };
  },
};
