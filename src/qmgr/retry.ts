/** qmgr/retry.ts: when a deferred recipient is tried again, and when the queue gives up (postfix.md §6.1). Pure. */
import type { Parameters } from "../config/parameters.ts";
import type { Envelope } from "../mail/envelope.ts";

/** Share of the delay by which a retry is moved at random, so that mail deferred together does not come back together. */
const JITTER = 0.1;

export interface RetryTimes {
  readonly minimalMs: number;
  readonly maximalMs: number;
  readonly lifetimeMs: number;
  readonly bounceLifetimeMs: number;
}

/** The times of this configuration. */
export function retryTimesOf(params: Parameters): RetryTimes {
  return {
    minimalMs: params.get("minimal_backoff_time"),
    maximalMs: params.get("maximal_backoff_time"),
    lifetimeMs: params.get("maximal_queue_lifetime"),
    bounceLifetimeMs: params.get("bounce_queue_lifetime"),
  };
}

/** The longest time between two tries, with what is added at random. */
export function longestDelayMs(times: RetryTimes): number {
  return times.maximalMs * (1 + JITTER);
}

/** What a priority (RFC 6710) makes of the time between two tries: a quarter of it at 9, twice as much at -9. */
function urgency(priority = 0): number {
  return priority > 0 ? 1 - priority / 12 : 1 - priority / 9;
}

/** Epoch milliseconds of the next try: after as long as the message is old, within the backoff limits, sooner or later as
 *  its priority says, ±10 %. `random` is in [0, 1). */
export function nextTryMs(
  times: RetryTimes,
  at: { readonly ageMs: number; readonly nowMs: number; readonly priority?: number | undefined },
  random: number,
): number {
  const delayMs = Math.max(times.minimalMs, Math.min(at.ageMs, times.maximalMs)) * urgency(at.priority);
  return Math.round(at.nowMs + delayMs * (1 - JITTER + 2 * JITTER * random));
}

/** Whether a recipient of a message that is so old, and is deferred, has been tried long enough. */
export function isExpired(times: RetryTimes, { sender }: Pick<Envelope, "sender">, ageMs: number): boolean {
  return ageMs >= (sender === "" ? times.bounceLifetimeMs : times.lifetimeMs);
}
