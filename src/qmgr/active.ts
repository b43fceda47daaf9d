/** qmgr/active.ts: what the scheduler holds in memory of one claimed message, and the bound on all of them. */
import type { RcptOutcome } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ClaimedMessage, QueuedRecipient } from "../queue/store.ts";

/** A recipient whose outcome is reported, kept until all recipients of this claim were tried: one bounce for all. */
export interface Failure {
  readonly recipient: QueuedRecipient;
  readonly outcome: RcptOutcome;
}

/** A claimed message in the active set. */
export interface ActiveMessage {
  readonly message: ClaimedMessage;
  readonly activeMs: number;
  /** Recipients whose outcome is not known yet. */
  pending: number;
  /** Settlements under way. */
  settling: number;
  failed: Failure[];
  /** Recipients whose sender is to be told that they wait. */
  delayed: Failure[];
  readonly claims: Claims;
}

/** Shared by all claims of one message. */
export interface Claims {
  /** How many of them have recipients pending. */
  open: number;
  /** Recipients of whose delay a warning tells that is on its way into the queue. */
  readonly told: Set<number>;
}

/** One delivery to be made: recipients of one message in one lane. */
export interface Job {
  readonly active: ActiveMessage;
  readonly recipients: readonly QueuedRecipient[];
}

/** Why a destination is dead: what deferred mail for it is told. */
export interface DeadReason {
  readonly dsn: string;
  readonly text: string;
}

/** Content up to this size may be held in memory by the store's claim; larger content is in a file. */
const IN_MEMORY_BYTES = 128 * 1024;
/** Bound on the content that active messages may hold in memory, all together. */
const ACTIVE_BYTES = 64 * 1024 * 1024;

/** $qmgr_message_active_limit, $qmgr_message_recipient_limit. */
export interface ActiveLimits {
  readonly messages: number;
  readonly recipients: number;
}

/** The active messages, counted against their limits and a bound on their bytes. */
export class ActiveSet {
  #limits: ActiveLimits;
  readonly #messages = new Set<ActiveMessage>();
  /** By queue id. */
  readonly #claims = new Map<QueueId, Claims>();
  #bytes = 0;
  #recipients = 0;

  constructor(limits: ActiveLimits) {
    this.#limits = limits;
  }

  /** Smaller limits let what is active finish. */
  set limits(limits: ActiveLimits) {
    this.#limits = limits;
  }

  get full(): boolean {
    const { messages, recipients } = this.#limits;
    return this.#messages.size >= messages || this.#recipients >= recipients || this.#bytes >= ACTIVE_BYTES;
  }

  /** Recipients that still fit, also if each is of another message; bytes are looked at when each is added. */
  get space(): number {
    const { messages, recipients } = this.#limits;
    return this.full ? 0 : Math.min(messages - this.#messages.size, recipients - this.#recipients);
  }

  get messages(): number {
    return this.#messages.size;
  }

  get recipients(): number {
    return this.#recipients;
  }

  add(message: ClaimedMessage, recipients: number, activeMs: number): ActiveMessage {
    const { queueId } = message.envelope;
    const claims = this.#claims.get(queueId) ?? { open: 0, told: new Set() };
    claims.open++;
    this.#claims.set(queueId, claims);
    const active = { message, activeMs, pending: recipients, settling: 0, failed: [], delayed: [], claims };
    this.#messages.add(active);
    this.#bytes += costOf(message);
    this.#recipients += recipients;
    return active;
  }

  remove(active: ActiveMessage): void {
    if (!this.#messages.delete(active)) return;
    this.#bytes -= costOf(active.message);
    if (active.claims.open === 0) this.#claims.delete(active.message.envelope.queueId);
  }

  /** `recipients` of some message were tried or given back. */
  tried(recipients: number): void {
    this.#recipients -= recipients;
  }
}

function costOf(message: ClaimedMessage): number {
  return Math.min(message.sizeBytes, IN_MEMORY_BYTES);
}
