/** queue/store-client.ts: the main side of the store thread: promises over a port. Requests of one event-loop turn go in one
 *  post (port-format.ts). While the thread is busy with one post and another waits for it, further requests gather. */
import { Worker } from "node:worker_threads";
import type { Log } from "../log/log.ts";
import type { Request } from "./engine.ts";
import type { Answer, Operation, OperationKind } from "./operations.ts";
import { bytesOf, packRequests, unpackReplies } from "./port-format.ts";
import type { Note } from "./recovery.ts";
import type { ShardOptions } from "./shard.ts";
import { QueueError } from "./store.ts";
import type { FromThread, ToThread } from "./store-thread.ts";

/** Bytes of one post; a turn with more sends several. */
const MAX_POST_BYTES = 8 << 20;

/** Posts without an answer: one that is being committed, and the next, so that the thread never waits for this side. More
 *  would only make smaller commits (measured: each costs both threads about what a message costs). */
const MAX_UNANSWERED_POSTS = 2;

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: QueueError): void;
}

export interface StoreClientOptions {
  readonly log: Log;
  /** An adopted shard is empty and gone. */
  readonly drained: (shard: number) => void;
  /** The thread has ended without having been asked to: from here on everything is refused. */
  readonly failed: (error: QueueError) => void;
  /** Program of the thread, where a test has its own. */
  readonly entry?: URL | undefined;
}

export class StoreClient {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #log: Log;
  readonly #drained: (shard: number) => void;
  readonly #exited: Promise<void>;
  #gathering: Request[] = [];
  #gatheredBytes = 0;
  #isPostDue = false;
  #unansweredPosts = 0;
  #nextId = 1;
  #ended: string | undefined;
  #isClosing = false;
  readonly #failed: (error: QueueError) => void;

  constructor(options: StoreClientOptions) {
    this.#log = options.log;
    this.#drained = options.drained;
    this.#failed = options.failed;
    const entry = import.meta.url.endsWith(".ts") ? "./store-thread.ts" : "./store-thread.js";
    this.#worker = new Worker(options.entry ?? new URL(entry, import.meta.url));
    this.#worker.on("message", (message: FromThread) => this.#receive(message));
    this.#worker.on("error", (error) =>
      this.#end(`Store thread failed: ${error instanceof Error ? error.stack : error}`),
    );
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", () => {
        this.#end("Store thread has ended");
        resolve();
      });
    });
  }

  /** Resolves after the commit. Rejects with QueueError. */
  call<K extends OperationKind>(shard: number, operation: Operation<K>): Promise<Answer<K>> {
    const op = operation as Operation;
    return this.#wait((id) => {
      this.#gathering.push({ id, shard, op });
      this.#gatheredBytes += bytesOf(op);
      if (this.#gatheredBytes > MAX_POST_BYTES) this.#post();
      else if (this.#unansweredPosts < MAX_UNANSWERED_POSTS) this.#postSoon();
    }) as Promise<Answer<K>>;
  }

  /** Opens a shard in the thread; resolves with the floor of its queue ids. */
  open(options: ShardOptions, role: { readonly adopted: boolean }): Promise<number> {
    return this.#wait((id) => this.#send({ kind: "open", id, options, adopted: role.adopted })) as Promise<number>;
  }

  /** Answers what was asked, closes the shards, ends the thread. */
  async close(): Promise<void> {
    this.#post();
    this.#isClosing = true;
    if (this.#ended === undefined) this.#send({ kind: "close" });
    await this.#exited;
  }

  #wait(send: (id: number) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(new QueueError(this.#ended, {}));
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      send(id);
    });
  }

  /** With what else is asked in this turn of the event loop. */
  #postSoon(): void {
    if (this.#isPostDue) return;
    this.#isPostDue = true;
    setImmediate(() => {
      this.#isPostDue = false;
      this.#post();
    });
  }

  #post(): void {
    if (this.#gathering.length === 0) return;
    const packed = packRequests(this.#gathering, this.#gatheredBytes);
    this.#gathering = [];
    this.#gatheredBytes = 0;
    this.#unansweredPosts++;
    this.#worker.postMessage({ kind: "requests", packed } satisfies ToThread, [packed.bytes]);
  }

  #send(message: Exclude<ToThread, { kind: "requests" }>): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case "replies":
        this.#unansweredPosts -= message.posts;
        if (this.#gathering.length > 0) this.#postSoon();
        for (const reply of unpackReplies(message.packed)) this.#settle(reply.id, reply);
        return;
      case "opened":
        this.#settle(message.id, { answer: message.floorMicros });
        return;
      case "refused":
        this.#settle(message.id, message);
        return;
      case "note":
        this.#tell(message.note);
        return;
      case "drained":
        this.#drained(message.shard);
    }
  }

  #settle(
    id: number,
    outcome:
      | { readonly answer: unknown }
      | { readonly error: string; readonly full: boolean; readonly undecided?: boolean },
  ): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if ("answer" in outcome) waiting?.resolve(outcome.answer);
    else {
      const { error, full, undecided = false } = outcome;
      waiting?.reject(new QueueError(error, { full, undecided }));
    }
  }

  #tell(note: Note): void {
    if (note.severity === "error") this.#log.error(note.text);
    else this.#log.warning(note.text);
  }

  /** From here on everything is refused: without the thread nothing can be kept. */
  #end(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    if (!this.#isClosing || this.#waiting.size > 0) this.#log.error(why.split("\n", 1)[0] ?? why);
    for (const waiting of this.#waiting.values()) waiting.reject(new QueueError(why, { undecided: true }));
    this.#waiting.clear();
    if (!this.#isClosing) this.#failed(new QueueError(why, {}));
  }
}
