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

/** Epoch milliseconds of the next try: after as long as the message is old, within the backoff limits, ±10 %.
 *  `random` is in [0, 1). */
export function nextTryMs(times: RetryTimes, at: { arrivalMs: number; nowMs: number }, random: number): number {
  const ageMs = Math.max(0, at.nowMs - at.arrivalMs);
  const delayMs = Math.max(times.minimalMs, Math.min(ageMs, times.maximalMs));
  return Math.round(at.nowMs + delayMs * (1 - JITTER + 2 * JITTER * random));
}

/** Whether a recipient that is deferred at `nowMs` has been tried long enough. */
export function isExpired(times: RetryTimes, envelope: Pick<Envelope, "sender" | "arrivalMs">, nowMs: number): boolean {
  const lifetimeMs = envelope.sender === "" ? times.bounceLifetimeMs : times.lifetimeMs;
  return nowMs - envelope.arrivalMs >= lifetimeMs;
}
