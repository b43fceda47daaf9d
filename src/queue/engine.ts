/** queue/engine.ts: group commit over the open shards: batches of operations in, answers out, one transaction per shard
 *  and batch. Owns the handling of faults: retry one by one, poison, reopen, verify. Synchronous; the port is in
 *  store-thread.ts. */
import { renameSync } from "node:fs";
import { dirname } from "node:path";
import { drainedName, removeDrained } from "./directory.ts";
import { Doubts } from "./doubts.ts";
import { asQueueError, type Fault, faultOf } from "./faults.ts";
import { type Answer, type Operation, perform } from "./operations.ts";
import type { Note } from "./recovery.ts";
import { openShard, type Shard, type ShardOptions } from "./shard.ts";
import { QueueError } from "./store.ts";

/** WAL size from which an idle moment is used for a checkpoint. */
const SOFT_WAL_BYTES = 16 << 20;
/** WAL size at which requests wait for a checkpoint. */
const HARD_WAL_BYTES = 64 << 20;

/** The worker of this shard adopts, so it also removes what is left of adopted ones. */
const ADOPTING_SHARD = 0;

export interface Request {
  readonly id: number;
  readonly shard: number;
  readonly op: Operation;
}

export type Reply =
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly error: string; readonly full: boolean; readonly undecided: boolean };

interface Slot {
  readonly options: ShardOptions;
  readonly adopted: boolean;
  shard: Shard | undefined;
  poison: Fault | undefined;
  readonly doubts: Doubts;
}

class CommitFailed extends Error {
  override readonly name = "CommitFailed";
  readonly answers: readonly Answer[];
  constructor(cause: unknown, answers: readonly Answer[]) {
    super("Commit failed", { cause });
    this.answers = answers;
  }
}

export class Engine {
  readonly #slots = new Map<number, Slot>();
  readonly #note: (note: Note) => void;
  readonly #drained: (shard: number) => void;

  readonly #openShard: typeof openShard;

  /** `open` is the seam where failure tests put a shard whose disk fails. */
  constructor(events: {
    readonly note: (note: Note) => void;
    readonly drained: (shard: number) => void;
    readonly open?: typeof openShard;
  }) {
    this.#openShard = events.open ?? openShard;
    this.#note = events.note;
    this.#drained = events.drained;
  }

  /** Opens a shard and returns the floor of its queue ids. Throws QueueError. */
  open(options: ShardOptions, role: { readonly adopted: boolean }): number {
    if (this.#slots.has(options.shard)) throw new QueueError(`Queue shard ${options.shard} is already open`, {});
    const { shard, notes } = this.#openShard(options);
    notes.forEach(this.#note);
    if (options.shard === ADOPTING_SHARD) this.#sweep(options.directory);
    const slot: Slot = { options, adopted: role.adopted, shard, poison: undefined, doubts: new Doubts() };
    this.#slots.set(options.shard, slot);
    this.#removeIfDrained(slot);
    return shard.floorMicros;
  }

  /** Commits one batch. Never throws for a storage fault; every request has one reply. */
  run(requests: readonly Request[]): readonly Reply[] {
    const groups = new Map<number, Request[]>();
    for (const request of requests) {
      const group = groups.get(request.shard);
      if (group) group.push(request);
      else groups.set(request.shard, [request]);
    }
    return [...groups].flatMap(([number, group]) => this.#runGroup(this.#slots.get(number), group));
  }

  /** Checkpoints shards whose WAL has reached the bound; the next batch waits meanwhile. */
  checkpoint(when: "idle" | "bound"): void {
    const limit = when === "idle" ? SOFT_WAL_BYTES : HARD_WAL_BYTES;
    for (const slot of this.#slots.values()) {
      if (!slot.shard || slot.poison) continue;
      try {
        if (slot.shard.walBytes >= limit) slot.shard.checkpoint();
      } catch (error) {
        this.#poison(slot, error);
      }
    }
  }

  close(): void {
    for (const slot of this.#slots.values()) slot.shard?.close();
    this.#slots.clear();
  }

  #runGroup(slot: Slot | undefined, group: readonly Request[]): readonly Reply[] {
    if (!slot) return group.map(({ id, shard }) => refusal(id, new QueueError(`Queue shard ${shard} is not open`, {})));
    let shard: Shard;
    try {
      shard = this.#ready(slot);
    } catch (error) {
      return group.map(({ id }) => refusal(id, error));
    }
    try {
      return this.#transact(slot, shard, group);
    } catch (error) {
      return this.#afterFailure(slot, group, error);
    }
  }

  #transact(slot: Slot, shard: Shard, group: readonly Request[]): readonly Reply[] {
    const answers: Answer[] = [];
    try {
      shard.begin();
      for (const { op } of group) answers.push(slot.doubts.answerOf(shard, op) ?? perform(shard, op));
    } catch (error) {
      shard.rollback();
      throw error;
    }
    try {
      shard.commit();
    } catch (error) {
      throw new CommitFailed(error, answers);
    }
    for (const { op } of group) slot.doubts.forget(op);
    shard.removeDoomedFiles().forEach(this.#note);
    this.#removeIfDrained(slot);
    return group.map(({ id }, i) => ({ id, answer: answers[i] }));
  }

  #afterFailure(slot: Slot, group: readonly Request[], error: unknown): readonly Reply[] {
    if (error instanceof CommitFailed) {
      for (const [i, { op }] of group.entries()) slot.doubts.add(op, error.answers[i]);
      slot.doubts.addFiles(slot.shard?.delivery.doomedFiles ?? []);
      this.#poison(slot, error.cause, "io");
      return group.map(({ id }) => refusal(id, error.cause, { undecided: true }));
    }
    const fault = faultOf(error);
    // A full disk or a bad request: the neighbours may still do. Rolled back cleanly, so no reopening in between.
    if (group.length > 1 && (fault === undefined || fault === "full")) {
      return group.flatMap((request) => this.#runGroup(slot, [request]));
    }
    if (fault) this.#poison(slot, error);
    return group.map(({ id }) => refusal(id, error));
  }

  #poison(slot: Slot, error: unknown, otherwise: Fault = "io"): void {
    slot.poison = faultOf(error) ?? otherwise;
    const { directory, shard } = slot.options;
    this.#note({
      severity: "error",
      text: asQueueError(`queue shard ${shard} in "${directory}" failed`, error).message,
    });
  }

  /** The open shard; a poisoned one is closed, opened again and verified first. Throws QueueError. */
  #ready(slot: Slot): Shard {
    if (slot.shard && !slot.poison) return slot.shard;
    const fault = slot.poison;
    this.#closeQuietly(slot);
    const { shard, notes } = this.#openShard({
      ...slot.options,
      life: "same",
      create: true,
      check: fault === "corrupt",
    });
    slot.shard = shard;
    notes.forEach(this.#note);
    try {
      verify(shard);
      slot.doubts.decide(shard).forEach(this.#note);
    } catch (error) {
      throw asQueueError(`Cannot verify queue shard ${slot.options.shard}`, error);
    }
    slot.poison = undefined;
    return shard;
  }

  /** What an earlier life could not remove. */
  #sweep(directory: string): void {
    try {
      removeDrained(directory);
    } catch (error) {
      this.#note({ severity: "warning", text: asQueueError(`removing drained shards`, error).message });
    }
  }

  #closeQuietly(slot: Slot): void {
    try {
      slot.shard?.close();
    } catch (error) {
      this.#note({ severity: "warning", text: asQueueError("closing a failed queue shard", error).message });
    }
    slot.shard = undefined;
  }

  #removeIfDrained(slot: Slot): void {
    if (!slot.adopted || !slot.shard?.isEmpty) return;
    const { directory } = slot.shard;
    this.#slots.delete(slot.options.shard);
    this.#closeQuietly(slot);
    try {
      // First renamed: a removal that is cut short must not leave half a shard, which would pass for a damaged one.
      renameSync(directory, drainedName(directory));
      removeDrained(dirname(directory));
    } catch (error) {
      this.#note({ severity: "warning", text: asQueueError(`removing drained "${directory}"`, error).message });
    }
    this.#drained(slot.options.shard);
  }
}

/** A complete checkpoint, unless the disk is full: then removals must go on to make room. */
function verify(shard: Shard): void {
  try {
    shard.checkpoint();
  } catch (error) {
    if (faultOf(error) !== "full") throw error;
  }
}

function refusal(id: number, error: unknown, options: { readonly undecided: boolean } = { undecided: false }): Reply {
  const told = asQueueError("Queue storage failed", error);
  return { id, error: told.message, full: told.full, undecided: options.undecided };
}
