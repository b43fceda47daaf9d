/** access/restrictions/warn-if-reject.ts: `warn_if_reject` turns a refusal of the next restriction into a log line.
 *  Failing tables and broken configuration still refuse. */
import type { Word } from "../restriction.ts";

export const warnIfReject: Word = {
  names: ["warn_if_reject"],
  argument: "none",
  build: () => () => ({ kind: "warnNext" }),
};
