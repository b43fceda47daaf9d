/** access/restrictions/permit-mynetworks.ts: `permit_mynetworks`, for clients whose address is in $mynetworks. */
import { DUNNO, PERMIT, type Word } from "../restriction.ts";

export const permitMynetworks: Word = {
  names: ["permit_mynetworks"],
  argument: "none",
  build({ mynetworks }) {
    return ({ facts }) => {
      const matched = mynetworks.matches(facts.client.address);
      if (matched instanceof Promise) return matched.then((yes) => (yes ? PERMIT : DUNNO));
      return matched ? PERMIT : DUNNO;
    };
  },
};
