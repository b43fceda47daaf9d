/** qmgr/clock-watch.ts: what the scheduler does when the wall clock is set: retries come as much later as they would have, so
 *  they neither come all at once nor stop, and messages are no older than they were. After a restart nobody can tell by how
 *  much it was set; then retries that are farther away than any backoff are spread over one. */
import type { Clock } from "../base/clock.ts";
import { ClockJumps } from "../base/clock-jumps.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueStore, Retiming } from "../queue/store.ts";
import { longestDelayMs, type RetryTimes } from "./retry.ts";

export interface ClockWatchParts {
  readonly clock: Clock;
  readonly store: Pick<QueueStore, "retime">;
  readonly log: Log;
  readonly times: () => RetryTimes;
  /** The clock was set: all that waits in memory for a time of day. */
  readonly shift: (byMs: number) => void;
  /** Due times in the store have been moved. */
  readonly moved: () => void;
}

export class ClockWatch {
  readonly #parts: ClockWatchParts;
  readonly #jumps: ClockJumps;

  constructor(parts: ClockWatchParts) {
    this.#parts = parts;
    this.#jumps = new ClockJumps(parts.clock);
  }

  /** At the start of the process. */
  start(): void {
    const { clock, times } = this.#parts;
    const nowMs = clock.now();
    const aboveMs = nowMs + longestDelayMs(times());
    this.#retime({ kind: "spread", aboveMs, nowMs, spreadMs: times().maximalMs });
  }

  /** Notices a jump; cheap. */
  look(): void {
    const byMs = this.#jumps.look();
    if (byMs === 0) return;
    const { clock, log, shift, times } = this.#parts;
    const seconds = Math.round(Math.abs(byMs) / 1000);
    log.warning(
      `the system clock was set ${byMs > 0 ? "forward" : "back"} by ${seconds} s: retries keep their distance`,
    );
    shift(byMs);
    const nowMs = clock.now();
    // Forward, what was due before stays due, and what is deferred by the new clock is not meant.
    const [aboveMs, horizonMs] = byMs > 0 ? [nowMs - byMs, longestDelayMs(times())] : [nowMs, Number.MAX_SAFE_INTEGER];
    const notAboveMs = Math.min(aboveMs + horizonMs, Number.MAX_SAFE_INTEGER);
    this.#retime({ kind: "shift", aboveMs, notAboveMs, byMs });
  }

  /** How old a message is, at least 0; time that the clock only jumped over does not count. */
  ageMs(arrivalMs: number): number {
    this.look();
    return Math.max(0, this.#parts.clock.now() - arrivalMs - this.#jumps.skippedMs(arrivalMs));
  }

  #retime(how: Retiming): void {
    const { store, log, moved } = this.#parts;
    store.retime(how).then(
      (recipients) => {
        if (recipients === 0) return;
        log.info(`retries of ${recipients} recipients have been moved to where the clock is now`);
        moved();
      },
      (cause: Error) => log.warning(`cannot move retries to where the clock is now: ${printableUtf8(cause.message)}`),
    );
  }
}
