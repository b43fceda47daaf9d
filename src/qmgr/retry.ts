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

/** Epoch milliseconds of the next try: after as long as the message is old, within the backoff limits, ±10 %.
 *  `random` is in [0, 1). */
export function nextTryMs(times: RetryTimes, at: { ageMs: number; nowMs: number }, random: number): number {
  const delayMs = Math.max(times.minimalMs, Math.min(at.ageMs, times.maximalMs));
  return Math.round(at.nowMs + delayMs * (1 - JITTER + 2 * JITTER * random));
}

/** Whether a recipient of a message that is so old, and is deferred, has been tried long enough. */
export function isExpired(times: RetryTimes, { sender }: Pick<Envelope, "sender">, ageMs: number): boolean {
  return ageMs >= (sender === "" ? times.bounceLifetimeMs : times.lifetimeMs);
}
