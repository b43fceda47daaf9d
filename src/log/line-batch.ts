/** log/line-batch.ts: gathers log lines for a moment into one write (measured: a write per turn of the event loop cost a
 *  tenth of a worker's time under load), and never blocks mail: when the reader is slow, lines above the bound are dropped and counted, and the count is logged as soon as there is room. */
import type { Clock } from "../base/clock.ts";
import type { LineFormat } from "./line-format.ts";
import type { LogRecord, LogSink } from "./log.ts";

/** Bytes that may wait for a slow reader before lines are dropped. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** How long a line may wait for others; what a kill -9 may cost the log. */
const GATHER_MS = 10;

export interface LineWriter {
  write(lines: string): void;
  /** Bytes accepted but not yet taken by the reader. */
  waitingBytes(): number;
}

export class LineBatch {
  readonly #writer: LineWriter;
  #format: LineFormat;
  readonly #clock: Clock;
  #lines = "";
  #lost = 0;
  #scheduled = false;

  constructor(writer: LineWriter, format: LineFormat, clock: Clock) {
    this.#writer = writer;
    this.#clock = clock;
    this.#format = format;
  }

  /** The form of the lines from now on. */
  set format(format: LineFormat) {
    this.flush();
    this.#format = format;
  }

  readonly sink: LogSink = (record) => {
    if (this.#writer.waitingBytes() > MAX_WAITING_BYTES) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) this.#reportLost(record);
    this.#lines += this.#format(record);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(GATHER_MS, () => this.flush());
  };

  /** Writes what has gathered now; at exit. */
  flush(): void {
    this.#scheduled = false;
    if (this.#lines === "") return;
    const lines = this.#lines;
    this.#lines = "";
    this.#writer.write(lines);
  }

  #reportLost(like: LogRecord): void {
    const text = `${this.#lost} log lines were lost because the log was too slow`;
    this.#lost = 0;
    this.#lines += this.#format({ ...like, severity: "warning", text, fields: undefined });
  }
}
