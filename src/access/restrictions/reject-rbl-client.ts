/** access/restrictions/reject-rbl-client.ts: `reject_rbl_client list.example[=filter]`, for clients whose address a DNS block
 *  list lists. A list that cannot be asked blocks nobody. */
import { DnsList } from "../dns-list.ts";
import { RblReply } from "../rbl-reply.ts";
import { DUNNO, type Word } from "../restriction.ts";

export const rejectRblClient: Word = {
  names: ["reject_rbl_client", "reject_rbl"],
  argument: "domain",
  build(services, rule) {
    const list = new DnsList(services, rule.argument);
    const reply = new RblReply(services);
    return async (context) => {
      const { address } = context.facts.client;
      const listing = await list.findAddress(address, context);
      if (listing.kind !== "listed") return DUNNO;
      const reason = await list.reason(listing.query, context);
      const { argument, domain } = list;
      return reply.refuse({ argument, domain, what: address, replyClass: "Client host", reason }, context);
    };
  },
};
