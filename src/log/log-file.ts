/** log/log-file.ts: the file (or standard output) that the master writes the log to. Appends only; reopen() after rotation. Never blocks: what
 *  a slow or full disk does not take is lost and counted; a file that failed is opened again, so that it has the lines from then on. */
import { createWriteStream, type WriteStream } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { LineWriter } from "./line-batch.ts";

export interface LogFileOptions {
  readonly path: string;
  /** Mode of a file that is not there yet. */
  readonly mode: number;
  readonly clock: Pick<Clock, "monotonic">;
  /** Lines are being lost: once, until it takes some again. */
  readonly onError: (error: Error) => void;
  /** It takes lines again, behind `lost` that are not in it. */
  readonly onBack: (lost: number) => void;
}

/** Bytes that may wait for a slow disk, or for whoever reads standard output. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** How long a file that failed is left alone. */
const RETRY_MS = 1000;
const LF = 10;

type Lines = string | Uint8Array;

/** The file as it was opened once. */
interface Opened {
  readonly stream: WriteStream;
  /** Oldest first. */
  readonly unwritten: Lines[];
  /** Of the oldest. */
  readonly written: (error?: Error | null) => void;
  failed: boolean;
}

export class LogFile implements LineWriter {
  readonly #options: LogFileOptions;
  #opened: Opened;
  #retryAt = 0;
  #lost = 0;
  /** onError() was told. */
  #told = false;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#opened = this.#open();
  }

  get path(): string {
    return this.#options.path;
  }

  get mode(): number {
    return this.#options.mode;
  }

  /** Whole lines. */
  write(lines: Lines): void {
    if (this.#opened.failed && this.#options.clock.monotonic() >= this.#retryAt) this.#opened = this.#open();
    const { stream, unwritten, written, failed } = this.#opened;
    if (failed || stream.writableLength > MAX_WAITING_BYTES) {
      this.#lost += countLines(lines);
      return;
    }
    unwritten.push(lines);
    stream.write(lines, written);
  }

  waitingBytes(): number {
    return this.#opened.failed ? 0 : this.#opened.stream.writableLength;
  }

  /** Opens the path again; resolves when the lines that waited are in the old file. */
  reopen(): Promise<void> {
    const old = this.#opened;
    this.#opened = this.#open();
    return ended(old);
  }

  close(): Promise<void> {
    return ended(this.#opened);
  }

  #open(): Opened {
    const { path, mode, clock } = this.#options;
    // Standard output may be a socket, which cannot be opened by name.
    const target = path === "/dev/stdout" ? { fd: 1, autoClose: false } : { flags: "a", mode };
    const unwritten: Lines[] = [];
    const written = (error?: Error | null) => this.#written(unwritten.shift() ?? "", error);
    const opened: Opened = { stream: createWriteStream(path, target), unwritten, written, failed: false };
    opened.stream.on("error", (error) => {
      opened.failed = true;
      this.#retryAt = clock.monotonic() + RETRY_MS;
      opened.stream.destroy(); // standard output is not by itself
      if (!this.#told) this.#options.onError(error);
      this.#told = true;
    });
    return opened;
  }

  #written(lines: Lines, error: Error | null | undefined): void {
    if (error) {
      this.#lost += countLines(lines);
      return;
    }
    this.#told = false;
    if (this.#lost === 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#options.onBack(lost);
  }
}

function countLines(lines: Lines): number {
  const bytes = Buffer.from(lines);
  let count = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) count++;
  return count;
}

function ended({ stream, failed }: Opened): Promise<void> {
  // A stream that failed will never finish: its error was told when it came.
  return new Promise((resolve) => {
    if (failed || stream.destroyed) return resolve();
    stream.once("close", resolve);
    stream.end(() => resolve());
  });
}
