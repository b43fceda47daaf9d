/** qmgr/deliver.ts: one call of a delivery agent, made safe: exactly one outcome per recipient comes back, whatever the
 *  agent does. Also the outcomes that qmgr gives by itself. */
import type { Log } from "../log/log.ts";
import type { DeliveryAgent, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type QueuedRecipient, QueueError } from "../queue/store.ts";
import type { DeadReason, Job } from "./active.ts";
import { isOverdue, overdueOutcome } from "./deliver-by.ts";

/** A recipient with what became of it. */
export interface Try {
  readonly recipient: QueuedRecipient;
  readonly outcome: RcptOutcome;
}

/** A deferral that is our own decision: no connection was made. */
function deferredHere(recipientId: number, reason: DeadReason): RcptOutcome {
  return { recipientId, kind: "deferred", ...reason, relay: "none", connectMs: 0, transmitMs: 0 };
}

/** The same deferral for all recipients of a job. */
export function deferAll(job: Job, reason: DeadReason): readonly Try[] {
  return job.recipients.map((recipient) => ({ recipient, outcome: deferredHere(recipient.id, reason) }));
}

export interface AttemptOptions {
  readonly agent: DeliveryAgent | undefined;
  readonly transport: string;
  readonly nexthop: string;
  readonly signal: AbortSignal;
  readonly nowMs: number;
  readonly log: Log;
}

/** Hands the job to the agent. Never rejects. */
export async function attempt(job: Job, options: AttemptOptions): Promise<readonly Try[]> {
  const { agent, transport, nexthop, signal, log } = options;
  const { envelope, content } = job.active.message;
  if (isOverdue(envelope, options.nowMs)) {
    return job.recipients.map((recipient) => ({ recipient, outcome: overdueOutcome(recipient.id) }));
  }
  if (!agent) return deferAll(job, { dsn: "4.3.0", text: "mail transport unavailable" });
  try {
    const { activeMs } = job.active;
    const probe = envelope.verify ? true : undefined;
    const request = { envelope, transport, nexthop, recipients: job.recipients, content, activeMs, probe } as const;
    return matched(job, await agent.deliver(request, signal), log);
  } catch (cause) {
    if (cause instanceof QueueError) {
      log.error(`${envelope.queueId}: cannot read the message: ${printableUtf8(cause.message)}`);
      return deferAll(job, { dsn: "4.3.0", text: "queue file read error" });
    }
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const line = printableUtf8(text.replace(/\s*\n\s*/g, " | "));
    log.error(`${envelope.queueId}: transport ${transport} failed: ${line}`);
    return deferAll(job, { dsn: "4.3.0", text: "unknown mail transport error" });
  }
}

/** Whether the destination itself failed, not this message: no recipient got further than connecting, or the connection
 *  broke (4.4.x). Agents without a connection (local, pipe) never say so: they name no remote MTA. */
export function siteFailure(tries: readonly Try[]): DeadReason | undefined {
  const failed = tries.every(({ outcome }) => {
    if (outcome.kind !== "deferred") return false;
    return outcome.dsn.startsWith("4.4.") || (outcome.remoteMta !== undefined && outcome.transmitMs === 0);
  });
  const first = tries[0]?.outcome;
  return failed && first ? { dsn: first.dsn, text: first.text } : undefined;
}

/** Pairs recipients with their outcomes; an agent that forgets one is a bug, and the recipient is deferred. */
function matched(job: Job, outcomes: readonly RcptOutcome[], log: Log): readonly Try[] {
  const byId = new Map(outcomes.map((outcome) => [outcome.recipientId, outcome]));
  return job.recipients.map((recipient) => {
    const outcome = byId.get(recipient.id);
    if (outcome) return { recipient, outcome };
    log.error(`${job.active.message.envelope.queueId}: no outcome for recipient ${recipient.id}`);
    const reason = { dsn: "4.3.0", text: "unknown mail transport error" };
    return { recipient, outcome: deferredHere(recipient.id, reason) };
  });
}
