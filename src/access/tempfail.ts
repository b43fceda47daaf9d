/** access/tempfail.ts: what a restriction that would have refused does when DNS cannot answer now (reject_tempfail_action). */
import type { Reply } from "../mail/reply.ts";
import type { Outcome } from "./restriction.ts";

export type TempfailAction = "defer" | "defer_if_permit";

/** `reply` at once, or at the end of the lists if nothing else refuses. */
export function tempfailOutcome(action: TempfailAction, reply: Reply): Outcome {
  return action === "defer" ? { kind: "refuse", cause: "policy", reply } : { kind: "deferIfPermit", reply };
}
