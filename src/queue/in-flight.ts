/** queue/in-flight.ts: which messages are inside a delivery agent at this moment, kept so that the next life can tell
 *  which of them a crash took down (a message active at three crashes is held, design §4).
 *  One fixed 32-byte slot each, written with one small synchronous pwrite into the page cache and never synced: a killed process
 *  leaves its page cache behind, and a power failure, which does not, is no crash that a message caused. Two to three
 *  microseconds a write; a trip through the thread pool would cost more and could arrive in the wrong order. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import type { QueueId } from "../mail/queue-id.ts";

const SLOT_BYTES = 32;
const EMPTY_SLOT = new Uint8Array(SLOT_BYTES);

export class InFlightMarks {
  readonly #fd: number;
  readonly #marks = new Map<QueueId, { readonly slot: number; count: number }>();
  readonly #free: number[] = [];
  #slots = 0;

  /** Starts with an empty file; the shard's recovery has read the old one before. */
  constructor(path: string) {
    this.#fd = openSync(path, "w", 0o600);
  }

  /** Marks count: a message in two agents needs two clears. Throws the file system's error. */
  mark(queueId: QueueId): void {
    const known = this.#marks.get(queueId);
    if (known) {
      known.count++;
      return;
    }
    const slot = this.#free.pop() ?? this.#slots++;
    this.#marks.set(queueId, { slot, count: 1 });
    writeSync(
      this.#fd,
      queueId
        .padEnd(SLOT_BYTES - 1)
        .slice(0, SLOT_BYTES - 1)
        .concat("\n"),
      slot * SLOT_BYTES,
    );
  }

  clear(queueId: QueueId): void {
    const known = this.#marks.get(queueId);
    if (!known || --known.count > 0) return;
    this.#marks.delete(queueId);
    this.#free.push(known.slot);
    writeSync(this.#fd, EMPTY_SLOT, 0, SLOT_BYTES, known.slot * SLOT_BYTES);
  }

  /** A graceful end: nothing was in flight. */
  close(): void {
    ftruncateSync(this.#fd, 0);
    closeSync(this.#fd);
  }
}

/** The queue ids in a marks file; a torn or foreign slot is skipped. */
export function parseMarks(bytes: Uint8Array): readonly string[] {
  const ids = new Set<string>();
  for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
    const text = Buffer.from(bytes.subarray(at, at + SLOT_BYTES)).toString("latin1");
    if (/^[0-9A-Za-z]+ *\n$/.test(text)) ids.add(text.trim());
  }
  return [...ids];
}
