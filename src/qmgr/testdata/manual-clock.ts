/** qmgr/testdata/manual-clock.ts: time that moves when the test says so. */
import type { Clock, Timer } from "../../base/clock.ts";

export class ManualClock implements Clock {
  #nowMs = 1_000_000_000_000;
  /** By how much the wall clock was set. */
  #setMs = 0;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  now(): number {
    return this.#nowMs + this.#setMs;
  }
  monotonic(): number {
    return this.#nowMs;
  }
  nowMicros(): number {
    return this.now() * 1000;
  }
  after(delayMs: number, run: () => void): Timer {
    const entry = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(entry);
    return { cancel: () => this.#timers.delete(entry) };
  }
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const timer = this.after(delayMs, resolve);
      signal?.addEventListener("abort", () => {
        timer.cancel();
        reject(signal.reason);
      });
    });
  }

  /** Sets the wall clock; timers do not care. */
  jump(ms: number): void {
    this.#setMs += ms;
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Moves on, running what is due in order; lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (!next || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
    await settled();
  }
}

/** Lets everything that waits for promises only come to rest. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}
