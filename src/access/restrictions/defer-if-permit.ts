/** access/restrictions/defer-if-permit.ts: `defer_if_permit`, 450 if everything else lets the recipient through. */
import { rejected } from "../reply-text.ts";
import type { Word } from "../restriction.ts";

export const deferIfPermit: Word = {
  names: ["defer_if_permit"],
  argument: "none",
  build:
    () =>
    ({ subject }) => ({
      kind: "deferIfPermit",
      reply: rejected(450, "4.7.0", subject, "defer_if_permit requested"),
    }),
};
