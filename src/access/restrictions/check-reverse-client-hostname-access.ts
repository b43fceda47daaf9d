/** access/restrictions/check-reverse-client-hostname-access.ts: `check_reverse_client_hostname_access type:table`, by the PTR
 *  name as it is, its parent domains, then the address and its prefixes. Whoever owns the address chooses the name, so
 *  the table must not say OK. */
import { AccessTable } from "../access-table.ts";
import { forbidPermit } from "../forbid-permit.ts";
import type { Outcome, Word } from "../restriction.ts";

export const checkReverseClientHostnameAccess: Word = {
  names: ["check_reverse_client_hostname_access"],
  argument: "table",
  build(services, rule) {
    const table = new AccessTable(services, rule);
    const restriction = rule.ref.text.split(" ")[0] ?? "";
    return (context) => {
      const { reverseName, address } = context.facts.client;
      const subject = { name: reverseName, replyClass: "Unverified Client host" } as const;
      const guard = (outcome: Outcome) =>
        forbidPermit(outcome, { restriction, target: reverseName, log: services.log });
      const outcome = table.check(table.keys.ofClient(reverseName, address), subject, context);
      return outcome instanceof Promise ? outcome.then(guard) : guard(outcome);
    };
  },
};
