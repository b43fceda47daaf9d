/** qmgr/due-reader.ts: brings waiting mail from the store into the lanes: after a start, when a retry is due, when a lane
 *  has drained. One look at a time, one timer for the earliest due recipient. New mail does not pass through here. */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { ClaimedMessage, QueueStore } from "../queue/store.ts";

export interface DueReaderOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest time between two looks. */
  readonly intervalMs: () => number;
  /** Lanes that may stand in front of the others without being readable (dead, full). */
  readonly lanesInMemory: () => number;
  /** How many recipients of the lane may be claimed now; 0 marks the lane, so it asks again when it has room. */
  readonly spaceFor: (lane: string) => number;
  /** A claim filled the space given: there may be more. */
  readonly mayHaveMore: (lane: string) => void;
  readonly accept: (message: ClaimedMessage) => Promise<void>;
  /** Before each look. */
  readonly beforeLook: () => void;
  /** The timer fired; before the look. */
  readonly tick: () => void;
}

/** Lanes read in one look, besides those that cannot take mail. */
const LANES_AT_ONCE = 256;
/** Pause after the store failed. */
const RETRY_MS = 5000;

export class DueReader {
  readonly #options: DueReaderOptions;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: DueReaderOptions) {
    this.#options = options;
  }

  /** Looks now; if a look is under way, once more after it. */
  wake(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) this.wake();
    });
  }

  /** Makes sure that a look happens at `dueMs`. */
  wakeAt(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = dueMs;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, dueMs - clock.now()), () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#options.tick();
      this.wake();
    });
  }

  /** The wall clock was set: the timer is for a time that means another one now. */
  forgetTimer(): void {
    this.#timer?.cancel();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  /** No further look; resolves when the present one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#again = false;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log, intervalMs } = this.#options;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        await this.#look();
      }
      this.wakeAt(clock.now() + intervalMs());
    } catch (cause) {
      this.#again = false;
      log.warning(`cannot read the queue, trying again: ${printableUtf8(String(cause))}`);
      this.wakeAt(clock.now() + RETRY_MS);
    }
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#options;
    this.#options.beforeLook();
    const limit = LANES_AT_ONCE + this.#options.lanesInMemory();
    const lanes = await store.dueLanes(limit);
    const nowMs = clock.now();
    let claimed = 0;
    for (const { lane, earliestDueMs } of lanes) {
      if (this.#stopped) return;
      if (earliestDueMs > nowMs) {
        this.wakeAt(earliestDueMs);
        return;
      }
      claimed += await this.#claim(lane, nowMs);
    }
    if (lanes.length >= limit && claimed > 0) this.#again = true;
  }

  /** Recipients claimed. */
  async #claim(lane: string, nowMs: number): Promise<number> {
    const space = this.#options.spaceFor(lane);
    if (space <= 0) return 0;
    const messages = await this.#options.store.claimDue(lane, nowMs, space);
    let recipients = 0;
    for (const message of messages) {
      recipients += message.recipients.length;
      await this.#options.accept(message);
    }
    if (recipients >= space) this.#options.mayHaveMore(lane);
    return recipients;
  }
}
