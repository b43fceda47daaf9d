/** access/restrictions/sleep.ts: `sleep N` waits N seconds and goes on: clients in a hurry give up. At most an hour. */
import { systemClock } from "../../base/clock.ts";
import { ParameterError } from "../../config/declare.ts";
import { DUNNO, type Word } from "../restriction.ts";

const MAX_SECONDS = 3600;

export const sleep: Word = {
  names: ["sleep"],
  argument: "text",
  build({ clock = systemClock }, { argument }) {
    if (!/^\d+$/.test(argument)) throw new ParameterError("restriction sleep must be followed by number");
    const seconds = Math.min(Number(argument), MAX_SECONDS);
    return async (context) => {
      await clock.sleep(seconds * 1000);
      context.trace?.remark(`waits ${seconds}s`);
      return DUNNO;
    };
  },
};
