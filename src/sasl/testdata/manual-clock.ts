/** sasl/testdata/manual-clock.ts: time that passes when a test says so. */
import type { Clock } from "../../base/clock.ts";
import { Log, type LogRecord } from "../../log/log.ts";

export class ManualClock implements Clock {
  #now = 1_700_000_000_000;
  #timers: { dueAt: number; run: () => void }[] = [];

  now = () => this.#now;
  monotonic = () => this.#now;
  nowMicros = () => this.#now * 1000;

  after(delayMs: number, run: () => void) {
    const timer = { dueAt: this.#now + delayMs, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Delays until the timers now pending, for claims about backoff. */
  get pending(): readonly number[] {
    return this.#timers.map((timer) => timer.dueAt - this.#now);
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter((timer) => timer.dueAt <= this.#now);
    this.#timers = this.#timers.filter((timer) => timer.dueAt > this.#now);
    for (const timer of due) timer.run();
  }
}

/** A log that keeps its lines. */
export function keptLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const sink = (record: LogRecord) => lines.push(`${record.severity}: ${record.text}`);
  return { lines, log: new Log({ sink, now: () => 0, tag: "postfix/smtpd", id: 1 }) };
}
