/** base/clock-jumps.ts: notices that the wall clock was set, by comparing it with the monotonic clock, and remembers what time
 *  never passed. A machine that slept counts as set forward: nothing was done meanwhile. */
import type { Clock } from "./clock.ts";

/** Smaller steps are corrections, not jumps. */
const SMALLEST_JUMP_MS = 60_000;
/** Jumps remembered; more of them in one life of a process are noise. */
const MOST_JUMPS = 50;

export class ClockJumps {
  readonly #clock: Pick<Clock, "now" | "monotonic">;
  #offsetMs: number;
  /** Forward jumps that were not taken back. */
  #forward: { readonly beforeMs: number; readonly byMs: number }[] = [];

  constructor(clock: Pick<Clock, "now" | "monotonic">) {
    this.#clock = clock;
    this.#offsetMs = clock.now() - clock.monotonic();
  }

  /** Milliseconds by which the wall clock was set since the last look: forward above 0, back below; else 0. */
  look(): number {
    const nowMs = this.#clock.now();
    const offsetMs = nowMs - this.#clock.monotonic();
    const byMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    if (Math.abs(byMs) < SMALLEST_JUMP_MS) return 0;
    if (byMs < 0) this.#takeBack(-byMs);
    else this.#forward = [...this.#forward.slice(1 - MOST_JUMPS), { beforeMs: nowMs - byMs, byMs }];
    return Math.round(byMs);
  }

  /** How much of the wall clock's time since `sinceMs` never passed. */
  skippedMs(sinceMs: number): number {
    let skipped = 0;
    for (const { beforeMs, byMs } of this.#forward) if (sinceMs <= beforeMs) skipped += byMs;
    return skipped;
  }

  /** The clock was set right again: the latest jumps never were. */
  #takeBack(ms: number): void {
    for (let left = ms; left > 0; ) {
      const last = this.#forward.pop();
      if (!last) return;
      if (last.byMs > left) this.#forward.push({ ...last, byMs: last.byMs - left });
      left -= last.byMs;
    }
  }
}
