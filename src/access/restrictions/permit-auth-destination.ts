/** access/restrictions/permit-auth-destination.ts: `permit_auth_destination`, for recipients this server relays to. */
import { isAuthorizedDestination } from "../destination.ts";
import { DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitAuthDestination: Word = {
  names: ["permit_auth_destination"],
  argument: "none",
  build: (services) => (context) => {
    const { recipient } = context.facts;
    if (recipient === undefined) return DUNNO;
    const authorized = isAuthorizedDestination(recipient, context, services);
    if (authorized instanceof Promise) return authorized.then((yes) => (yes ? PERMIT : DUNNO));
    return authorized ? PERMIT : DUNNO;
  },
};
