/** sasl/hash-pool.ts: slow hashes in a few threads of their own, with a bounded queue before them (design §4).
 *  Threads start with the first hash and hold the process open only while they compute. A thread that dies fails the
 *  hash it was at; the next one starts a new thread. */
import { Worker } from "node:worker_threads";
import type { HashReply, HashRequest } from "./hash-thread.ts";

/** "overflow": too many wait already. "broken": thread or algorithm failed; `reason` is for the log. */
export type HashOutcome =
  | { readonly kind: "key"; readonly key: Uint8Array }
  | { readonly kind: "overflow" }
  | { readonly kind: "broken"; readonly reason: string };

interface Job {
  readonly request: HashRequest;
  readonly resolve: (outcome: HashOutcome) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | undefined;
}

export class HashPool {
  readonly #size: number;
  readonly #queueLimit: number;
  readonly #threads = new Set<Thread>();
  readonly #queue: Job[] = [];
  #closed = false;

  /** `threads` compute at the same time; `queueLimit` more hashes may wait. */
  constructor(options: { readonly threads: number; readonly queueLimit: number }) {
    this.#size = options.threads;
    this.#queueLimit = options.queueLimit;
  }

  /** Never rejects. */
  scrypt(request: HashRequest): Promise<HashOutcome> {
    if (this.#closed) return Promise.resolve({ kind: "broken", reason: "Hash pool is closed" });
    const free = this.#idle() !== undefined || this.#threads.size < this.#size;
    if (!free && this.#queue.length >= this.#queueLimit) return Promise.resolve({ kind: "overflow" });
    return new Promise((resolve) => {
      this.#queue.push({ request, resolve });
      this.#pump();
    });
  }

  /** Ends the threads; hashes under way are broken. */
  async close(): Promise<void> {
    this.#closed = true;
    const broken: HashOutcome = { kind: "broken", reason: "Hash pool is closed" };
    for (const job of this.#queue.splice(0)) job.resolve(broken);
    const threads = [...this.#threads];
    this.#threads.clear();
    for (const thread of threads) thread.job?.resolve(broken);
    await Promise.all(threads.map((thread) => thread.worker.terminate()));
  }

  #idle(): Thread | undefined {
    for (const thread of this.#threads) if (thread.job === undefined) return thread;
    return undefined;
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idle() ?? (this.#threads.size < this.#size ? this.#spawn() : undefined);
      if (thread === undefined) return;
      thread.job = this.#queue.shift();
      thread.worker.ref();
      thread.worker.postMessage(thread.job?.request);
    }
  }

  #spawn(): Thread {
    // The compiled tree has the same file under .js.
    const entry = import.meta.url.endsWith(".ts") ? "./hash-thread.ts" : "./hash-thread.js";
    const worker = new Worker(new URL(entry, import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: 64 } });
    const thread: Thread = { worker, job: undefined };
    this.#threads.add(thread);
    worker.on("message", (reply: HashReply) => {
      if ("key" in reply) this.#finish(thread, { kind: "key", key: reply.key });
      else this.#finish(thread, { kind: "broken", reason: reply.error });
    });
    worker.on("error", (error) => this.#drop(thread, error instanceof Error ? error.message : String(error)));
    worker.on("exit", (code) => this.#drop(thread, `Hash thread ended with code ${code}`));
    return thread;
  }

  #finish(thread: Thread, outcome: HashOutcome): void {
    const job = thread.job;
    thread.job = undefined;
    thread.worker.unref();
    job?.resolve(outcome);
    this.#pump();
  }

  #drop(thread: Thread, reason: string): void {
    if (!this.#threads.delete(thread)) return;
    this.#finish(thread, { kind: "broken", reason });
  }
}
