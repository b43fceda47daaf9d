/** base/deadlines.ts: thousands of timeouts for the price of one timer. A session re-arms its deadline at every command,
 *  so a Node timer each would be created and destroyed several times a message; here re-arming writes a number.
 *  Deadlines fire up to one tick late, never early. */
import type { Clock, Timer } from "./clock.ts";

const TICK_MS = 250;

export interface Deadline {
  /** Starts or restarts the countdown. */
  arm(delayMs: number): void;
  /** Stops the countdown; arm() may start it again. */
  disarm(): void;
  /** Ends the deadline for good. */
  close(): void;
}

/** All deadlines of one process. The tick runs only while some deadline exists. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #tick: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A disarmed deadline that calls `expire` once each time an armed countdown runs out. */
  open(expire: () => void): Deadline {
    const entry: Entry = { dueAt: Number.POSITIVE_INFINITY, expire };
    this.#entries.add(entry);
    this.#tick ??= this.#clock.after(TICK_MS, () => this.#sweep(), { ref: false });
    return {
      arm: (delayMs) => {
        entry.dueAt = this.#clock.monotonic() + delayMs;
      },
      disarm: () => {
        entry.dueAt = Number.POSITIVE_INFINITY;
      },
      close: () => {
        this.#entries.delete(entry);
      },
    };
  }

  /** Number of open deadlines, for tests and status. */
  get size(): number {
    return this.#entries.size;
  }

  #sweep(): void {
    this.#tick = undefined;
    const now = this.#clock.monotonic();
    for (const entry of this.#entries) {
      if (entry.dueAt > now) continue;
      entry.dueAt = Number.POSITIVE_INFINITY;
      entry.expire();
    }
    if (this.#entries.size > 0) this.#tick = this.#clock.after(TICK_MS, () => this.#sweep(), { ref: false });
  }
}

interface Entry {
  dueAt: number;
  readonly expire: () => void;
}
