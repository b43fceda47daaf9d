/** pickup/drop-file.ts: one message on its way into the maildrop directory; used by sendmail(1), as the user who sends. The
 *  directory takes files from everybody and lists them to nobody (mode 3733), and gives them its own group, which is the
 *  server's: it reads what it may not own. A file is complete when its owner may "execute" it, as in Postfix; that and all its
 *  bytes are on stable storage when complete() returns. Synchronous: the program has nothing else to do. */
import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fstatSync, fsyncSync, openSync, statSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

/** rwx for the owner is what says "complete". */
const COMPLETE = 0o740;
/** The same where files do not get the directory's group: nobody but the server can find out the name. */
const COMPLETE_FOR_ALL = 0o744;

export class DropFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #mode: number;

  /** Throws the file system's error. */
  constructor(directory: string) {
    // Whoever could guess a name could link or move a file to it.
    this.#path = join(directory, randomBytes(16).toString("hex"));
    this.#fd = openSync(this.#path, "wx", 0o600);
    this.#mode = fstatSync(this.#fd).gid === statSync(directory).gid ? COMPLETE : COMPLETE_FOR_ALL;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  /** The bytes first, the mark after them. A new file's sync covers its name, too. */
  complete(): void {
    fsyncSync(this.#fd);
    fchmodSync(this.#fd, this.#mode);
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  /** There was no message after all. */
  abandon(): void {
    closeSync(this.#fd);
    unlinkSync(this.#path);
  }
}
