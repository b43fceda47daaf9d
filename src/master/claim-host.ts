/** master/claim-host.ts: the claims of the duplicate guard in the master: answers the workers' batches, remembers them over a restart, and asks the
 *  queue what became of a message whose worker ended while it was being queued. Costs nothing until a worker asks. */
import type { Clock } from "../base/clock.ts";
import { type ClaimAnswer, type ClaimRequest, MAX_BATCH } from "../duplicates/claim.ts";
import { Claims } from "../duplicates/claims.ts";
import { Journal } from "../duplicates/journal.ts";
import type { Methods } from "./rpc.ts";
import type { WorkerLink } from "./worker-process.ts";

/** Claims that are remembered: some 20 MB. */
const MAX_CLAIMS = 100_000;
const RETRY_MS = 1000;
const MAX_WINDOW_MS = 7 * 86_400_000;

export interface ClaimHostOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
  /** Which of these messages are in the queue. May reject: then it is asked again. */
  readonly queued: (ids: readonly string[]) => Promise<ReadonlySet<string>>;
}

export class ClaimHost {
  readonly #options: ClaimHostOptions;
  readonly #claims: Claims;
  readonly #journal: Journal;
  readonly #closed = new AbortController();
  #settling: Promise<void> | undefined;
  #warned = false;

  constructor(options: ClaimHostOptions) {
    this.#options = options;
    const { clock, warn, path } = options;
    this.#claims = new Claims({ clock, warn, limit: MAX_CLAIMS });
    this.#journal = new Journal({ path, warn, all: () => this.#claims.allLines() });
  }

  /** Before the first worker starts. */
  async load(): Promise<void> {
    this.#claims.load(await this.#journal.read());
  }

  /** The worker that `spawn` starts may claim. */
  spawn(methods: Methods, spawn: (methods: Methods) => WorkerLink): WorkerLink {
    const holder = {};
    let ended = false;
    const answer = (batch: readonly ClaimRequest[]) => {
      // What it had sent may arrive after its end: a new claim would stay for ever.
      if (ended && batch.some(([what]) => what === "ask")) throw new Error("The worker has ended");
      return this.answer(holder, batch);
    };
    const link = spawn(new Map([...methods, ["claims", answer]]));
    void link.ended.then(() => {
      ended = true;
      if (this.#claims.drop(holder)) this.settle();
    });
    return link;
  }

  /** In the batch's order; a new claim is known only when it would survive the end of this process. Rejects RangeError for a
   *  batch that makes no sense. */
  async answer(holder: object, batch: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    if (!isBatch(batch)) throw new RangeError("Bad batch of claims");
    const answers = batch.map((request) => this.#claims.answer(holder, request));
    const written = this.#journal.append(this.#claims.takeLines());
    if (batch.some(([what]) => what === "ask")) await written;
    return answers;
  }

  /** Messages that workers were about to queue when they ended. */
  get orphans(): readonly string[] {
    return this.#claims.orphans;
  }

  /** Those of them that a worker has found in its shards, before it delivered anything: asked later, it might have them no more. */
  found(queued: readonly unknown[]): void {
    const known = new Set(queued.map(String));
    this.#claims.settle([...known], known);
    void this.#journal.append(this.#claims.takeLines());
  }

  /** Asks the queue about orphans, until it has answered. */
  settle(): void {
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#settling;
    await this.#journal.close();
  }

  async #settle(): Promise<void> {
    const { clock, queued } = this.#options;
    const { signal } = this.#closed;
    for (let ids = this.#claims.orphans; ids.length > 0 && !signal.aborted; ids = this.#claims.orphans) {
      try {
        this.#claims.settle(ids, await queued(ids));
        await this.#journal.append(this.#claims.takeLines());
        this.#warned = false;
      } catch (error) {
        // A worker is being started again, mostly.
        const why = (error as Error).message;
        if (!this.#warned) this.#options.warn(`duplicate guard: the queue cannot be asked; trying again: ${why}`);
        this.#warned = true;
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }
}

/** Workers talk to the network, the master does not: it believes none of them. */
function isBatch(batch: unknown): batch is readonly ClaimRequest[] {
  if (!Array.isArray(batch) || batch.length > MAX_BATCH) return false;
  return batch.every((request: readonly unknown[]) => {
    if (!Array.isArray(request)) return false;
    const [what, key, queueId, windowMs] = request as readonly unknown[];
    const named = /^[\w-]{24}$/.test(String(key)) && /^[A-Za-z0-9]{1,40}$/.test(String(queueId));
    if (what !== "ask") return named && (what === "kept" || what === "read" || what === "gone");
    return named && Number.isSafeInteger(windowMs) && Number(windowMs) > 0 && Number(windowMs) <= MAX_WINDOW_MS;
  });
}
