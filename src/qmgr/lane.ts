/** qmgr/lane.ts: one destination (transport, nexthop): its waiting deliveries, its concurrency, and whether it is dead.
 *  Postfix's qmgr_queue.c and qmgr_feedback.c in small. Starts nothing itself: the scheduler asks and tells.
 *
 *  States: open (window ≥ 1) → paused until a time (dead after failed cohorts, or rate delay) → open. */
import type { Envelope } from "../mail/envelope.ts";
import type { DeadReason, Job } from "./active.ts";
import { ExpressQueue } from "./express.ts";
import { JobQueue } from "./job-queue.ts";
import type { TransportLimits } from "./limits.ts";
import type { Slots } from "./slots.ts";

/** One transport of master.cf: its limits and the slots that all its lanes share. */
export class Transport {
  readonly name: string;
  readonly slots: Slots;
  limits: TransportLimits;
  /** Lanes that have work but found no slot, in the order they asked. */
  readonly waiting = new Set<Lane>();

  constructor(name: string, limits: TransportLimits, slots: Slots) {
    this.name = name;
    this.limits = limits;
    this.slots = slots;
  }
}

export interface LaneParts {
  readonly key: string;
  readonly transport: Transport;
  readonly nexthop: string;
  readonly slots: Slots;
}

export class Lane {
  readonly key: string;
  readonly transport: Transport;
  readonly nexthop: string;
  /** What the lane may have in flight beside its window: only leased ones are ever missing. */
  readonly slots: Slots;
  readonly #jobs = new JobQueue();
  /** New small deliveries, while others wait. */
  readonly #express = new ExpressQueue();
  #expressRecipients = 0;
  /** Whose turn it is. */
  #expressNext = true;
  #urgentTurns = 0;
  /** The store may hold further due recipients of this lane. Only set while something is queued or in flight, whose end
   *  makes the scheduler look; else new mail would queue up behind a backlog that nobody reads. */
  more = false;
  #recipients = 0;
  #inFlight = 0;
  #window: number;
  #success = 0;
  #failure = 0;
  #failedCohorts = 0;
  #pausedUntilMs = 0;
  #dead: DeadReason | undefined;

  constructor({ key, transport, nexthop, slots }: LaneParts) {
    this.key = key;
    this.transport = transport;
    this.nexthop = nexthop;
    this.slots = slots;
    this.#window = transport.limits.initialConcurrency;
  }

  get queuedRecipients(): number {
    return this.#recipients;
  }

  /** Of these, the ones that wait their turn in order. */
  get regularRecipients(): number {
    return this.#recipients - this.#expressRecipients;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get window(): number {
    return this.#window;
  }

  /** Epoch milliseconds; 0 when open. */
  get pausedUntilMs(): number {
    return this.#pausedUntilMs;
  }

  get dead(): DeadReason | undefined {
    return this.#dead;
  }

  /** Nothing to remember: the lane may be forgotten. */
  get idle(): boolean {
    const empty = this.#inFlight === 0 && this.#recipients === 0 && !this.more;
    return empty && this.#pausedUntilMs === 0 && this.slots.idle;
  }

  /** How many deliveries may start now, slots aside. */
  get startable(): number {
    return this.ready ? Math.min(this.#window - this.#inFlight, this.#jobs.length + this.#express.length) : 0;
  }

  /** Whether a delivery may start now, slots aside. */
  get ready(): boolean {
    return this.#recipients > 0 && this.#inFlight < this.#window && this.#pausedUntilMs === 0;
  }

  push(job: Job): void {
    this.#jobs.push(job);
    this.#recipients += job.recipients.length;
  }

  /** Whether a new delivery of so many recipients may pass those that wait: it is one connection's work, and its sender
   *  has not many in front of him. A priority has a place of its own in the order. */
  hasExpressFor(envelope: Envelope, recipients: number): boolean {
    const waits = this.more || this.#jobs.length > 0;
    const plain = envelope.priority === undefined || envelope.priority === 0;
    return plain && waits && recipients <= this.transport.limits.recipients && this.#express.hasRoomFor(envelope);
  }

  pushExpress(job: Job): void {
    this.#express.push(job);
    this.#recipients += job.recipients.length;
    this.#expressRecipients += job.recipients.length;
  }

  /** The next delivery, now in flight; only when `ready`. The two queues take turns, so neither starves; what is urgent
   *  leaves every tenth turn to others. */
  start(): Job | undefined {
    const urgent = this.#jobs.urgent && ++this.#urgentTurns % 10 !== 0;
    const express = !urgent && this.#express.length > 0 && (this.#expressNext || this.#jobs.length === 0);
    const job = express ? this.#express.take() : this.#jobs.take();
    if (!job) return undefined;
    this.#expressNext = !express;
    this.#recipients -= job.recipients.length;
    if (express) this.#expressRecipients -= job.recipients.length;
    this.#inFlight++;
    return job;
  }

  /** Everything that waits, removed. */
  drain(): readonly Job[] {
    this.#recipients = 0;
    this.#expressRecipients = 0;
    return [...this.#jobs.drain(), ...this.#express.drain()];
  }

  /** A delivery ended and the destination answered. True when it was dead and is alive again. */
  succeeded(nowMs: number): boolean {
    const { limits } = this.transport;
    this.#failedCohorts = 0;
    this.#success += limits.positive(this.#window);
    while (this.#success >= 1) {
      this.#success -= 1;
      // Never far above what is used: an unused window says nothing about what the destination bears (qmgr_queue.c).
      const useful = this.#inFlight + limits.initialConcurrency;
      if (this.#window < Math.min(limits.concurrency, useful)) this.#window++;
    }
    const revived = this.#dead !== undefined;
    if (revived) this.reopen();
    this.#ended(nowMs);
    return revived;
  }

  /** A delivery ended and the destination as a whole failed. True when it is dead from now on. */
  failed(reason: DeadReason, nowMs: number): boolean {
    const { limits } = this.transport;
    this.#ended(nowMs);
    this.#failedCohorts += 1 / this.#window;
    this.#failure += limits.negative(this.#window);
    while (this.#failure >= 1) {
      this.#failure -= 1;
      this.#success = 0;
      if (this.#window > 1) this.#window--;
    }
    // 1/5 + 1/4 + … adds up with rounding errors: a hair below the limit is the limit.
    if (this.#failedCohorts < limits.failedCohorts - 1e-9 || this.#dead) return false;
    this.#dead = reason;
    this.#pausedUntilMs = nowMs + limits.retryMs;
    return true;
  }

  /** Opens a paused lane: its time is over, or an operator flushed the queue. */
  reopen(): void {
    this.#pausedUntilMs = 0;
    if (!this.#dead) return;
    this.#dead = undefined;
    this.#failedCohorts = 0;
    this.#window = this.transport.limits.initialConcurrency;
  }

  /** The wall clock was set: a pause lasts as long as it would have. */
  shift(byMs: number): void {
    if (this.#pausedUntilMs > 0) this.#pausedUntilMs += byMs;
  }

  /** The transport's limits changed. */
  limitsChanged(): void {
    this.#window = Math.min(this.#window, this.transport.limits.concurrency);
  }

  #ended(nowMs: number): void {
    this.#inFlight--;
    const { rateDelayMs } = this.transport.limits;
    if (rateDelayMs > 0 && !this.#dead) this.#pausedUntilMs = nowMs + rateDelayMs;
  }
}
