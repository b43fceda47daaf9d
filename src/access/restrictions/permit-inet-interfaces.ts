/** access/restrictions/permit-inet-interfaces.ts: `permit_inet_interfaces`, for clients on this machine. A connection from
 *  one of our own addresses comes from the address it goes to, so the session's own two ends tell; no interface is asked. */
import { DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitInetInterfaces: Word = {
  names: ["permit_inet_interfaces"],
  argument: "none",
  build:
    () =>
    ({ facts, trace }) => {
      trace?.lookup("address of this end", "", facts.server.address);
      return facts.client.address === facts.server.address ? PERMIT : DUNNO;
    },
};
