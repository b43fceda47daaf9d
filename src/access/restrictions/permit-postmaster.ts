/** access/restrictions/permit-postmaster.ts: `permit_postmaster`, Postern's own: mail for the postmaster of a domain of ours, and for nobody
 *  else (RFC 6409 §6.4, RFC 5321 §4.5.1): whoever cannot log in, or is on a block list, can ask for help. */
import type { Awaitable } from "../../base/awaitable.ts";
import { whenKnown } from "../../base/awaitable.ts";
import { localPartOf } from "../../mail/address.ts";
import { DUNNO, type Outcome, PERMIT, type Word } from "../restriction.ts";

export const permitPostmaster: Word = {
  names: ["permit_postmaster"],
  argument: "none",
  build: ({ params, resolver }) => {
    const names = new Set(params.get("postern_postmaster_names").map((name) => name.toLowerCase()));
    return ({ facts: { recipient, recipientCount } }): Awaitable<Outcome> => {
      // The first recipient only: a second one needs another rule.
      if (recipient === undefined || recipientCount > 0) return DUNNO;
      if (!names.has(localPartOf(recipient).toLowerCase())) return DUNNO;
      const address = resolver.rewrite(recipient);
      return whenKnown(resolver.classOf(address), (found) => (found === "default" ? DUNNO : PERMIT));
    };
  },
};
