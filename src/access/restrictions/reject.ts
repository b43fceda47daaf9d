/** access/restrictions/reject.ts: `reject`, the usual end of a submission list. */
import { rejected } from "../reply-text.ts";
import type { Word } from "../restriction.ts";

export const reject: Word = {
  names: ["reject"],
  argument: "none",
  build({ params }) {
    const code = params.get("reject_code");
    return ({ subject }) => ({
      kind: "refuse",
      cause: "policy",
      reply: rejected(code, "5.7.1", subject, "Access denied"),
    });
  },
};
