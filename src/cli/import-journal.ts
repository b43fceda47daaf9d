/** cli/import-journal.ts: what was imported from Postfix, so that nothing is imported twice: a file of lines in the queue
 *  directory. A message is written there before it is committed, with the id that it will have, and again
 *  behind it. */
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { QueueId } from "../mail/queue-id.ts";

export interface ImportedMessage {
  /** Postfix's id. Short ones come again, so the time belongs to the name. */
  readonly id: string;
  readonly arrivalMs: number;
  readonly queueId: QueueId;
}

const LINE = /^(begin|none|done) (\w+) (\d+) (\w+)$/;

export class ImportJournal {
  readonly #fd: number;
  readonly #begun = new Map<string, QueueId>();
  readonly #done = new Set<string>();

  /** Throws the file system's error. */
  constructor(directory: string) {
    const path = join(directory, "imported");
    this.#fd = openSync(path, "a+", 0o600);
    const lines = readFileSync(path, "latin1").split("\n");
    // A full disk or a power failure may have cut off the last one: neither it nor the next may pass for a whole line.
    if (lines.pop() !== "") writeFileSync(this.#fd, " cut off\n");
    for (const line of lines) {
      const [, state, id = "", arrival = "", queueId = ""] = LINE.exec(line) ?? [];
      const key = `${id} ${arrival}`;
      if (state === "begin") this.#begun.set(key, queueId as QueueId);
      else if (state === "none") this.#begun.delete(key);
      else if (state === "done") this.#done.add(key);
    }
  }

  has(message: Omit<ImportedMessage, "queueId">): boolean {
    return this.#done.has(keyOf(message));
  }

  /** The id under which it may have been committed. */
  begunAs(message: Omit<ImportedMessage, "queueId">): QueueId | undefined {
    return this.#begun.get(keyOf(message));
  }

  /** Durable. */
  begin(message: ImportedMessage): void {
    this.#write("begin", message);
    fsyncSync(this.#fd);
  }

  /** Durable with the next begin(), or with close(): until then the queue itself knows. */
  done(message: ImportedMessage): void {
    this.#write("done", message);
    this.#done.add(keyOf(message));
  }

  /** What was begun has not been committed. */
  none(message: ImportedMessage): void {
    this.#write("none", message);
  }

  close(): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  #write(state: "begin" | "none" | "done", message: ImportedMessage): void {
    writeFileSync(this.#fd, `${state} ${keyOf(message)} ${message.queueId}\n`);
  }
}

function keyOf({ id, arrivalMs }: Omit<ImportedMessage, "queueId">): string {
  return `${id} ${arrivalMs}`;
}
