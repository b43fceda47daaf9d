/** log/log-file.ts: the file (or standard output) that the master writes the log to. Appends only; reopen() after rotation. */
import { createWriteStream, type WriteStream } from "node:fs";
import type { LineWriter } from "./line-batch.ts";

/** Lines above this many waiting bytes are dropped and counted by the writers in front of this one. */
export class LogFile implements LineWriter {
  readonly #path: string;
  readonly #onError: (error: Error) => void;
  #stream: WriteStream;

  constructor(path: string, onError: (error: Error) => void) {
    this.#path = path;
    this.#onError = onError;
    this.#stream = this.#open();
  }

  write(lines: string | Uint8Array): void {
    this.#stream.write(lines);
  }

  waitingBytes(): number {
    return this.#stream.writableLength;
  }

  /** Opens the path again; lines that wait still go to the old file. */
  reopen(): void {
    this.#stream.end();
    this.#stream = this.#open();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#stream.end(() => resolve()));
  }

  #open(): WriteStream {
    // Standard output may be a socket, which cannot be opened by name.
    const target = this.#path === "/dev/stdout" ? { fd: 1, autoClose: false } : { flags: "a", mode: 0o600 };
    const stream = createWriteStream(this.#path, target);
    stream.on("error", this.#onError);
    return stream;
  }
}
