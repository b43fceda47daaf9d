/** access/restrictions/defer-if-reject.ts: `defer_if_reject`, makes a later 5xx of the same stage a 450. */
import { rejected } from "../reply-text.ts";
import type { Word } from "../restriction.ts";

export const deferIfReject: Word = {
  names: ["defer_if_reject"],
  argument: "none",
  build:
    () =>
    ({ subject }) => ({
      kind: "deferIfReject",
      reply: rejected(450, "4.7.0", subject, "defer_if_reject requested"),
    }),
};
