/** log/log-file.ts: the file (or standard output) that the master writes the log to. Appends only; reopen() after rotation. */
import { createWriteStream, type WriteStream } from "node:fs";
import type { LineWriter } from "./line-batch.ts";

export interface LogFileOptions {
  readonly path: string;
  /** Mode of a file that is not there yet. */
  readonly mode: number;
  readonly onError: (error: Error) => void;
}

/** Lines above this many waiting bytes are dropped and counted by the writers in front of this one. */
export class LogFile implements LineWriter {
  readonly #options: LogFileOptions;
  #stream: WriteStream;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#stream = this.#open();
  }

  get path(): string {
    return this.#options.path;
  }

  get mode(): number {
    return this.#options.mode;
  }

  write(lines: string | Uint8Array): void {
    this.#stream.write(lines);
  }

  waitingBytes(): number {
    return this.#stream.writableLength;
  }

  /** Opens the path again; resolves when the lines that waited are in the old file. */
  reopen(): Promise<void> {
    const old = this.#stream;
    this.#stream = this.#open();
    return ended(old);
  }

  close(): Promise<void> {
    return ended(this.#stream);
  }

  #open(): WriteStream {
    const { path, mode, onError } = this.#options;
    // Standard output may be a socket, which cannot be opened by name.
    const target = path === "/dev/stdout" ? { fd: 1, autoClose: false } : { flags: "a", mode };
    const stream = createWriteStream(path, target);
    stream.on("error", onError);
    return stream;
  }
}

function ended(stream: WriteStream): Promise<void> {
  // A stream that failed will never finish: its error was told when it came.
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve();
    stream.once("close", resolve);
    stream.end(() => resolve());
  });
}
