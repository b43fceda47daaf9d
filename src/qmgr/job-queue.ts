/** qmgr/job-queue.ts: the deliveries that wait in a lane, in the order of their priority (RFC 6710 §5), within one priority in
 *  the order they came. Without priorities it is one queue. */
import type { Job } from "./active.ts";
import { Fifo } from "./fifo.ts";

/** One in so many goes to the least urgent, so that nobody waits for ever. */
const TURN_OF_LAST = 10;

export class JobQueue {
  /** Priority 0. */
  readonly #plain = new Fifo<Job>();
  /** Other priorities that wait now; undefined: there never were any. */
  #others: Map<number, Fifo<Job>> | undefined;
  #length = 0;
  #turns = 0;

  get length(): number {
    return this.#length;
  }

  /** Something with a priority above 0 waits. */
  get urgent(): boolean {
    if (this.#others === undefined || this.#others.size === 0) return false;
    for (const priority of this.#others.keys()) if (priority > 0) return true;
    return false;
  }

  push(job: Job): void {
    this.#length++;
    this.#queueOf(job.active.message.envelope.priority ?? 0).push(job);
  }

  /** The next, removed; undefined when empty. */
  take(): Job | undefined {
    const priority = this.#nextPriority();
    const queue = priority === undefined ? this.#plain : this.#others?.get(priority);
    const job = queue?.take();
    if (job === undefined) return undefined;
    this.#length--;
    if (priority !== undefined && queue?.length === 0) this.#others?.delete(priority);
    return job;
  }

  /** Everything; empty afterwards. */
  drain(): readonly Job[] {
    const jobs: Job[] = [];
    for (let job = this.take(); job; job = this.take()) jobs.push(job);
    return jobs;
  }

  /** undefined: the plain queue. */
  #nextPriority(): number | undefined {
    if (this.#others === undefined || this.#others.size === 0) return undefined;
    const waiting = [...this.#others.keys(), ...(this.#plain.length > 0 ? [0] : [])];
    const last = ++this.#turns % TURN_OF_LAST === 0;
    const next = last ? Math.min(...waiting) : Math.max(...waiting);
    return next === 0 ? undefined : next;
  }

  #queueOf(priority: number): Fifo<Job> {
    if (priority === 0) return this.#plain;
    this.#others ??= new Map();
    const known = this.#others.get(priority) ?? new Fifo<Job>();
    this.#others.set(priority, known);
    return known;
  }
}
