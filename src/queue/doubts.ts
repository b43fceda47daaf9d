/** queue/doubts.ts: requests that were refused because COMMIT failed, although what they ask may be durable. When the shard is
 *  open again, before anything else, it shows: refused appends and claims are undone, content files of refused appends
 *  removed. A settlement stands, for what happened did happen; it will be asked again, and is then answered, not done. */
import { unreachable } from "../base/unreachable.ts";
import type { ClaimedRow, Settled, SettleRow } from "./delivery-rows.ts";
import type { Answer, Operation } from "./operations.ts";
import type { Note } from "./recovery.ts";
import { keyOf } from "./schema.ts";
import type { Shard } from "./shard.ts";

interface Doubt {
  readonly op: Operation;
  readonly answer: Answer;
}

export class Doubts {
  #open: Doubt[] = [];
  /** Content files that were to go with the commit. */
  #doomedFiles: string[] = [];
  /** Settlements that were committed, but whose askers were told otherwise. */
  readonly #committed = new Set<string>();

  /** `answer` is what would have been told after the commit. */
  add(op: Operation, answer: Answer): void {
    this.#open.push({ op, answer });
  }

  /** Content files of what the requests would have removed. */
  addFiles(names: readonly string[]): void {
    this.#doomedFiles.push(...names);
  }

  /** Decides all of them in the shard as it was opened again. Throws SQLite's errors; then they stay. */
  decide(shard: Shard): readonly Note[] {
    if (this.#open.length === 0) return [];
    shard.begin();
    try {
      for (const doubt of this.#open) this.#decideOne(shard, doubt);
      for (const name of this.#doomedFiles) decideFile(shard, name);
      shard.commit();
    } catch (error) {
      shard.rollback();
      throw error;
    }
    this.#open = [];
    this.#doomedFiles = [];
    return shard.removeDoomedFiles();
  }

  /** The answer to a settlement that is known to have been committed; undefined for everything else. */
  answerOf(shard: Shard, op: Operation): Settled | undefined {
    if (op.kind !== "settle" || !this.#committed.has(signatureOf(op.settlement))) return undefined;
    return { removed: !shard.delivery.has(op.settlement.key), appended: false, forwardedBytes: [] };
  }

  /** The answer has been given. */
  forget(op: Operation): void {
    if (this.#committed.size > 0 && op.kind === "settle") this.#committed.delete(signatureOf(op.settlement));
  }

  #decideOne(shard: Shard, { op, answer }: Doubt): void {
    switch (op.kind) {
      case "append": {
        const { key, file } = op.message;
        if (!shard.delivery.remove(key) && file !== undefined) shard.delivery.doomedFiles.push(file);
        return;
      }
      case "claim":
        for (const row of answer as readonly ClaimedRow[]) {
          const ids = row.recipients.map((recipient) => recipient.id);
          shard.delivery.unclaim(row.key, ids);
        }
        return;
      case "settle":
        if (!shard.delivery.isSettled(op.settlement)) return;
        this.#committed.add(signatureOf(op.settlement));
        // Its bounces and copies have nobody who claims them.
        for (const { key } of [...op.settlement.append, ...op.settlement.forwards]) {
          shard.delivery.unclaim(key, undefined);
        }
        return;
      // Asked again they do no harm, and change nothing that somebody else relies on.
      case "unclaim":
      case "lanes":
      case "delayed":
      case "content":
      case "list":
      case "shape":
      case "change":
      case "flushReason":
      case "read":
      case "dueAfter":
      case "heldFor":
      case "retime": // never asked again: what it moved stays moved
        return;
      default:
        unreachable(op);
    }
  }
}

/** Of a message that is gone after all: nothing else knows of its file until the next start. */
function decideFile({ delivery }: Shard, name: string): void {
  const key = keyOf(name.slice(0, name.indexOf(".")));
  const isNeeded = key === undefined || delivery.fileOf(key) === name;
  if (!isNeeded && !delivery.doomedFiles.includes(name)) delivery.doomedFiles.push(name);
}

/** Equal for the same settlement asked again, and for no other: a recipient is settled once for each time it is claimed. */
function signatureOf({ key, done, deferred, warned, append, forwards }: SettleRow): string {
  const made = [...append, ...forwards].map((message) => message.queueId);
  return JSON.stringify([String(key), done, deferred.map(({ id, dueMs }) => [id, dueMs]), warned, made]);
}
