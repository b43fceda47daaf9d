/** test/crash/mailbox.ts: the maildir that the server under test delivers to. What appears in new/ is entered in the ledger,
 *  compared with what was sent, and taken out, as a mail reader would. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { FarEnd } from "./far-end.ts";
import type { Ledger } from "./ledger.ts";

export class Mailbox {
  readonly #directory: string;
  readonly #parts: { readonly ledger: Ledger; readonly farEnd: FarEnd };

  /** `boxes` is made for everybody, since workers are not root. The maildir in it is `box`. */
  constructor(boxes: string, parts: { readonly ledger: Ledger; readonly farEnd: FarEnd }) {
    mkdirSync(boxes);
    chmodSync(boxes, 0o777);
    this.#directory = join(boxes, "box", "new");
    this.#parts = parts;
  }

  collect(): void {
    for (const name of this.#names()) {
      const path = join(this.#directory, name);
      const content = readFileSync(path, "latin1").replaceAll("\n", "\r\n").replace(/\r\n$/, "");
      const atMs = statSync(path).mtimeMs;
      unlinkSync(path);
      const id = /^X-Load-Id: (\S+)/m.exec(content)?.[1] ?? "?";
      const torn = this.#parts.farEnd.torn(id, content);
      this.#parts.ledger.arrived({ id, recipient: `box.${id}@local.test`, torn, atMs });
    }
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return []; // nothing has been delivered yet
      throw error;
    }
  }
}
