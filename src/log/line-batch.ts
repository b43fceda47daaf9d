/** log/line-batch.ts: gathers log lines of one turn of the event loop into one write, and never blocks mail: when the
 *  reader is slow, lines above the bound are dropped and counted, and the count is logged as soon as there is room. */
import type { LogRecord, LogSink } from "./log.ts";
import { formatMaillog } from "./maillog.ts";

/** Bytes that may wait for a slow reader before lines are dropped. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface LineWriter {
  write(lines: string): void;
  /** Bytes accepted but not yet taken by the reader. */
  waitingBytes(): number;
}

export class LineBatch {
  readonly #writer: LineWriter;
  readonly #hostname: string;
  #lines = "";
  #lost = 0;
  #scheduled = false;

  constructor(writer: LineWriter, hostname: string) {
    this.#writer = writer;
    this.#hostname = hostname;
  }

  readonly sink: LogSink = (record) => {
    if (this.#writer.waitingBytes() > MAX_WAITING_BYTES) {
      this.#lost++;
      return;
    }
    if (this.#lost > 0) this.#reportLost(record);
    this.#lines += formatMaillog(record, this.#hostname);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
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
    this.#lines += formatMaillog({ ...like, severity: "warning", text }, this.#hostname);
  }
}
