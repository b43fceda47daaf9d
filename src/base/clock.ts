/** base/clock.ts: the only door to time. Everything that reads a clock or waits takes a Clock, so tests can own time.
 *  Not a scheduler: many timeouts that are mostly cancelled (one per session) belong in base/deadlines.ts. */

/** A pending timer; cancel() is idempotent and a cancelled timer never fires. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since the epoch; may step backwards. */
  now(): number;
  /** Monotonic milliseconds with a fraction; only differences mean something. */
  monotonic(): number;
  /** Wall clock in microseconds since the epoch, for queue ids. */
  nowMicros(): number;
  /** Calls `run` once after at least `delayMs`. `ref: false` lets the process end meanwhile. */
  after(delayMs: number, run: () => void, options?: { readonly ref?: boolean }): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when aborted first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The longest delay a Node timer takes; longer ones would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  nowMicros: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
  after(delayMs, run, options) {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    if (options?.ref === false) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer = systemClock.after(delayMs, () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      });
      signal?.addEventListener("abort", stop, { once: true });
    });
  },
};

/** A meter of this thread's event loop: each call tells the share of the time since the last one that the loop was busy, 0 to 1. */
export function loopMeter(): () => number {
  let seen = performance.eventLoopUtilization();
  return () => {
    const { utilization } = performance.eventLoopUtilization(seen);
    seen = performance.eventLoopUtilization();
    return utilization;
  };
}
