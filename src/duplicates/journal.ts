/** duplicates/journal.ts: the lines of claims.ts on disk. Written, not synced: the end of the process loses nothing, a power failure the last
 *  seconds. When it has grown it is replaced by what still counts. For its owner only. Never throws. */
import { constants } from "node:fs";
import { type FileHandle, open, readFile, rename, rm, writeFile } from "node:fs/promises";

/** Never through a link: the directory may be the mail owner's, and the master root. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
/** Bytes under which it is not worth the trouble. */
const LEAST_BYTES = 1024 * 1024;
/** Characters that may wait for a slow disk. */
const MAX_WAITING = 16 * 1024 * 1024;

export interface JournalOptions {
  readonly path: string;
  /** All that still counts. */
  readonly all: () => string;
  /** Told once when the disk refuses, until it takes again. */
  readonly warn: (text: string) => void;
}

export class Journal {
  readonly #options: JournalOptions;
  #file: FileHandle | undefined;
  #size = 0;
  #replaceAt = LEAST_BYTES;
  #waiting = 0;
  #busy: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** "" if there is none. */
  async read(): Promise<string> {
    try {
      return await readFile(this.#options.path, "latin1");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") await this.#fail(error as Error);
      return "";
    }
  }

  /** Resolves when the kernel has the lines, and those before. */
  append(lines: string): Promise<void> {
    if (lines === "") return this.#busy;
    if (this.#waiting > MAX_WAITING) {
      this.#warn("the disk is too slow");
      return this.#busy;
    }
    this.#waiting += lines.length;
    this.#busy = this.#busy
      .then(() => this.#write(lines))
      .then(
        () => {
          this.#failed = false;
        },
        (error: Error) => this.#fail(error),
      );
    return this.#busy;
  }

  async close(): Promise<void> {
    await this.#busy;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #write(lines: string): Promise<void> {
    this.#waiting -= lines.length;
    const { path } = this.#options;
    if (!this.#file) {
      this.#file = await open(path, APPEND, 0o600);
      this.#size = (await this.#file.stat()).size;
    }
    // What a full disk has cut off must not spoil the next line.
    await this.#file.appendFile(this.#failed ? `\n${lines}` : lines, "latin1");
    this.#size += lines.length;
    if (this.#size > this.#replaceAt) await this.#replace(path);
  }

  async #replace(path: string): Promise<void> {
    const all = this.#options.all();
    await rm(`${path}.new`, { force: true });
    await writeFile(`${path}.new`, all, { encoding: "latin1", mode: 0o600, flag: "wx" });
    await rename(`${path}.new`, path);
    await this.#file?.close();
    this.#file = undefined;
    this.#replaceAt = Math.max(LEAST_BYTES, all.length * 4);
  }

  /** The file is opened again with the next lines. */
  async #fail(error: Error): Promise<void> {
    this.#warn(error.message);
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined); // the first failure has been told
  }

  #warn(why: string): void {
    if (!this.#failed) this.#options.warn(`${this.#options.path}: ${why}: a restart forgets whose reply was not read`);
    this.#failed = true;
  }
}
