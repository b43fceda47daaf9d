/** qmgr/deliver-by.ts: a message that is to be delivered by a time (RFC 2852): what follows from its having passed. Pure. */
import type { RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";

/** RFC 3463: delivery time expired; the class says whether it is tried further. */
const EXPIRED = "4.7";
const TEXT = "delivery time expired";

type Timed = Pick<Envelope, "deliverBy">;

/** Too late, and then it is to be returned. */
export function isOverdue({ deliverBy }: Timed, nowMs: number): boolean {
  return deliverBy?.mode === "R" && nowMs >= deliverBy.untilMs;
}

/** Too late, and then its sender is to be told. */
export function isLate({ deliverBy }: Timed, nowMs: number): boolean {
  return deliverBy?.mode === "N" && nowMs >= deliverBy.untilMs;
}

/** The outcome of a recipient that was not tried, because it is too late. */
export function overdueOutcome(recipientId: number): RcptOutcome {
  return {
    ...{ recipientId, kind: "bounced", dsn: `5.${EXPIRED}`, text: TEXT },
    ...{ relay: "none", connectMs: 0, transmitMs: 0 },
  };
}

/** The last failure, as the report of an overdue or late message has it. */
export function timedOut(outcome: RcptOutcome, kind: "bounced" | "deferred"): RcptOutcome {
  const dsn = `${kind === "bounced" ? 5 : 4}.${EXPIRED}`;
  return { ...outcome, kind, dsn, text: `${TEXT}: ${outcome.text}` };
}

/** When to try next, if `dueMs` is when it would be tried: its time must not pass unseen. */
export function dueInTime({ deliverBy }: Timed, dueMs: number, nowMs: number): number {
  return deliverBy && deliverBy.untilMs > nowMs ? Math.min(dueMs, deliverBy.untilMs) : dueMs;
}
