/** access/restrictions/permit-dnswl-client.ts: `permit_dnswl_client` (by address) and `permit_rhswl_client` (by verified name)
 *  `list.example[=filter]`. At RCPT they never permit a destination that is not ours: no list may open the relay. A list
 *  that cannot be asked turns a later 5xx into 4xx. */

import { isAuthorizedDestination } from "../destination.ts";
import { DnsList, type Listing } from "../dns-list.ts";
import { rejected } from "../reply-text.ts";
import { type Context, DUNNO, PERMIT, type Services, type Word } from "../restriction.ts";

export const permitDnswlClient = word(
  "permit_dnswl_client",
  (list, context) => list.findAddress(context.facts.client.address, context),
  ({ facts }) => facts.client.address,
);

export const permitRhswlClient = word(
  "permit_rhswl_client",
  (list, context) => list.findDomain(context.facts.client.name, context),
  ({ facts }) => facts.client.name,
);

function word(
  name: string,
  find: (list: DnsList, context: Context) => Promise<Listing>,
  whatOf: (context: Context) => string,
): Word {
  return {
    names: [name],
    argument: "domain",
    build(services, rule) {
      const list = new DnsList(services, rule.argument);
      return async (context) => {
        const what = whatOf(context);
        if (what === "unknown" || (await isForbidden(context, services))) return DUNNO;
        const listing = await find(list, context);
        if (listing.kind === "listed") return PERMIT;
        if (listing.kind === "absent") return DUNNO;
        const subject = { name: what, replyClass: "Client host" } as const;
        return { kind: "deferIfReject", reply: rejected(450, "4.7.1", subject, "Service unavailable") };
      };
    },
  };
}

async function isForbidden(context: Context, services: Services): Promise<boolean> {
  const { command, recipient } = context.facts;
  return (
    command === "RCPT" && recipient !== undefined && !(await isAuthorizedDestination(recipient, context, services))
  );
}
