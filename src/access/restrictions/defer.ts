/** access/restrictions/defer.ts: `defer`, refuses for now whoever comes this far. */
import { rejected } from "../reply-text.ts";
import type { Word } from "../restriction.ts";

export const defer: Word = {
  names: ["defer"],
  argument: "none",
  build({ params }) {
    const code = params.get("defer_code");
    return ({ subject }) => ({
      kind: "refuse",
      cause: "policy",
      reply: rejected(code, "4.3.2", subject, "Try again later"),
    });
  },
};
