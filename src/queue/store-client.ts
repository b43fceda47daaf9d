/** queue/store-client.ts: the main side of the store thread: promises over a port. Requests of one event-loop turn go in one
 *  post, their bytes packed into one buffer that is transferred, so a caller's (possibly pooled) buffer is never given away. */
import { Worker } from "node:worker_threads";
import type { Log } from "../log/log.ts";
import type { MessageRow } from "./delivery-rows.ts";
import type { Request } from "./engine.ts";
import type { Answer, Operation, OperationKind } from "./operations.ts";
import type { Note } from "./recovery.ts";
import type { ShardOptions } from "./shard.ts";
import { QueueError } from "./store.ts";
import type { FromThread, ToThread } from "./store-thread.ts";

/** Bytes of one post; a turn with more sends several. */
const MAX_POST_BYTES = 8 << 20;

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
      if (this.#gathering.length === 0) setImmediate(() => this.#post());
      this.#gathering.push({ id, shard, op });
      this.#gatheredBytes += bytesOf(op);
      if (this.#gatheredBytes > MAX_POST_BYTES) this.#post();
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

  #post(): void {
    const requests = this.#gathering;
    if (requests.length === 0) return;
    const arena = new Arena(this.#gatheredBytes);
    this.#gathering = [];
    this.#gatheredBytes = 0;
    this.#send({ kind: "requests", requests: requests.map((r) => ({ ...r, op: packed(r.op, arena) })) }, arena);
  }

  #send(message: ToThread, arena?: Arena): void {
    this.#worker.postMessage(message, arena ? [arena.buffer] : []);
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case "replies":
        for (const reply of message.replies) this.#settle(reply.id, reply);
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

/** One buffer for the bytes of one post. */
class Arena {
  readonly buffer: ArrayBuffer;
  #used = 0;

  constructor(sizeBytes: number) {
    this.buffer = new ArrayBuffer(sizeBytes);
  }

  take(bytes: Uint8Array): Uint8Array {
    const copy = new Uint8Array(this.buffer, this.#used, bytes.length);
    copy.set(bytes);
    this.#used += bytes.length;
    return copy;
  }
}

function messagesOf(op: Operation): readonly MessageRow[] {
  if (op.kind === "append") return [op.message];
  return op.kind === "settle" ? op.settlement.append : [];
}

function bytesOf(op: Operation): number {
  const heads = op.kind === "settle" ? op.settlement.forwards.reduce((sum, { head }) => sum + head.length, 0) : 0;
  return messagesOf(op).reduce((sum, { header, body }) => sum + header.length + (body?.length ?? 0), heads);
}

function packed(op: Operation, arena: Arena): Operation {
  const pack = (message: MessageRow): MessageRow => ({
    ...message,
    header: arena.take(message.header),
    body: message.body && arena.take(message.body),
  });
  if (op.kind === "append") return { ...op, message: pack(op.message) };
  if (op.kind === "settle" && op.settlement.append.length + op.settlement.forwards.length > 0) {
    const { settlement } = op;
    const forwards = settlement.forwards.map((copy) => ({ ...copy, head: arena.take(copy.head) }));
    return { ...op, settlement: { ...settlement, append: settlement.append.map(pack), forwards } };
  }
  return op;
}
