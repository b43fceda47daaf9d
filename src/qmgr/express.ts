/** qmgr/express.ts: small deliveries that need not wait behind a mailing: the second queue of a lane, served in turn with the
 *  first. Nobody fills it alone, so whoever sends much waits behind his own mail, and all others pass. */
import type { Envelope } from "../mail/envelope.ts";
import type { Job } from "./active.ts";
import { Fifo } from "./fifo.ts";

/** Deliveries of one sender in it at a time. */
const MOST_OF_ONE_SENDER = 20;
/** Deliveries in it; more wait as all others do. */
const MOST = 1000;

export class ExpressQueue {
  readonly #jobs = new Fifo<Job>();
  /** Deliveries in the queue by sender. */
  readonly #senders = new Map<string, number>();

  get length(): number {
    return this.#jobs.length;
  }

  /** Whether a delivery of such a message may come in. */
  hasRoomFor(envelope: Envelope): boolean {
    return this.#jobs.length < MOST && (this.#senders.get(senderOf(envelope)) ?? 0) < MOST_OF_ONE_SENDER;
  }

  push(job: Job): void {
    const sender = senderOf(job.active.message.envelope);
    this.#senders.set(sender, (this.#senders.get(sender) ?? 0) + 1);
    this.#jobs.push(job);
  }

  /** The oldest; undefined when empty. */
  take(): Job | undefined {
    const job = this.#jobs.take();
    if (!job) return undefined;
    const sender = senderOf(job.active.message.envelope);
    const left = (this.#senders.get(sender) ?? 0) - 1;
    if (left > 0) this.#senders.set(sender, left);
    else this.#senders.delete(sender);
    return job;
  }

  /** Everything, oldest first; empty afterwards. */
  drain(): readonly Job[] {
    this.#senders.clear();
    return this.#jobs.drain();
  }
}

/** Who logged in; a mailing may have an envelope sender of its own for each message (VERP). */
function senderOf({ origin, sender }: Envelope): string {
  return origin.saslUsername ?? sender;
}
