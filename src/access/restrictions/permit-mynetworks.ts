/** access/restrictions/permit-mynetworks.ts: `permit_mynetworks`, for clients whose address is in $mynetworks. */
import type { Told } from "../../tables/lookup-trace.ts";
import type { ListMatch } from "../../tables/pattern-list.ts";
import { DUNNO, type Outcome, PERMIT, type Word } from "../restriction.ts";

export const permitMynetworks: Word = {
  names: ["permit_mynetworks"],
  argument: "none",
  build({ mynetworks }) {
    return ({ facts, trace }) => {
      const outcomeOf = (found: ListMatch | undefined): Outcome => {
        trace?.lookup("mynetworks", facts.client.address, found, tellMatch);
        return found?.verdict ? PERMIT : DUNNO;
      };
      const found = mynetworks.find(facts.client.address);
      return found instanceof Promise ? found.then(outcomeOf) : outcomeOf(found);
    };
  },
};

function tellMatch(found: ListMatch | undefined): Told {
  return found === undefined ? { result: "not found", value: "" } : { result: "found", value: `in ${found.pattern}` };
}
