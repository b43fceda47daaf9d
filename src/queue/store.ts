/** queue/store.ts: the interface of the durable queue (design §9). Implemented by the SQLite shards behind a store thread.
 *  All promises resolve after the group commit that holds the change has been synced. A shard number is in each queue id. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Address } from "../mail/address.ts";
import type { MessageContent, RcptOutcome } from "../mail/delivery.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";

/** Storage failed. `full`: answered 452 4.3.1; otherwise 451 4.3.0. `undecided`: what was asked may be durable all the same;
 *  the store will undo it by itself, so what belongs to it, such as a content file, must be left to the store. */
export class QueueError extends Error {
  override readonly name = "QueueError";
  readonly full: boolean;
  readonly undecided: boolean;
  constructor(message: string, options: { cause?: unknown; full?: boolean; undecided?: boolean }) {
    super(message, { cause: options.cause });
    this.full = options.full ?? false;
    this.undecided = options.undecided ?? false;
  }
}

/** A body on its way into the store. */
export interface BodyWriter {
  /** Bytes written so far. */
  readonly sizeBytes: number;
  /** Takes ownership of the chunk. A promise means: wait for it before the next write (back-pressure). */
  write(chunk: Uint8Array): void | Promise<void>;
  /** Synced on disk if it went to a file; in memory, to ride in the commit, if it stayed small. */
  finish(): Awaitable<StoredBody>;
  /** Forgets the body; also after finish() if the message is not appended. */
  abort(): Promise<void>;
}

export type StoredBody =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly name: string; readonly sizeBytes: number };

export interface NewRecipient {
  readonly address: Address;
  readonly original: Address;
  readonly dsn?: RecipientDsn | undefined;
  /** Opaque to the store; set by qmgr ("transport:nexthop"). */
  readonly lane: string;
  readonly dueMs: number;
}

export interface NewMessage {
  readonly envelope: Envelope;
  /** Header block with the empty line that ends it; made last, committed with the envelope. */
  readonly header: Uint8Array;
  readonly body: StoredBody;
  readonly recipients: readonly NewRecipient[];
  readonly hold: boolean;
}

/** What else is known of the last try than its text; for reports. */
export type LastTry = Pick<RcptOutcome, "dsn" | "remoteMta" | "diagnostic">;

export interface QueuedRecipient extends NewRecipient {
  readonly id: number;
  /** Last reason for delay; "" before the first try. */
  readonly reason: string;
  /** undefined before the first try. */
  readonly lastTry?: LastTry | undefined;
  /** The sender was told of the delay. */
  readonly warned: boolean;
}

/** A message handed to qmgr: claimed, so nobody else delivers these recipients until settle() or release(). */
export interface ClaimedMessage {
  readonly envelope: Envelope;
  readonly sizeBytes: number;
  readonly recipients: readonly QueuedRecipient[];
  /** All recipients still to be delivered, claimed or not. */
  readonly remaining: number;
  readonly content: MessageContent;
}

export interface DeferredRecipient {
  readonly id: number;
  readonly dueMs: number;
  readonly reason: string;
  readonly lastTry?: LastTry | undefined;
}

export interface Settlement {
  readonly queueId: QueueId;
  /** Delivered or finally failed: removed from the queue. */
  readonly done: readonly number[];
  readonly deferred: readonly DeferredRecipient[];
  /** Recipients whose delay `append` tells of, whether of this claim or not; they are told of once. */
  readonly warned?: readonly number[] | undefined;
  /** Delivery reports, committed in the same transaction. */
  readonly append: readonly NewMessage[];
  /** The message itself for other recipients, committed in the same transaction. */
  readonly forwards?: readonly ForwardedCopy[] | undefined;
}

/** The content of the settled message once more, for other recipients; its body is neither read nor sent anywhere. */
export interface ForwardedCopy {
  readonly envelope: Envelope;
  /** Header lines that go on top of the header block. */
  readonly head: Uint8Array;
  readonly recipients: readonly NewRecipient[];
}

export interface LaneDue {
  readonly lane: string;
  readonly earliestDueMs: number;
}

/** How due times of waiting recipients are moved after the clock was set, in epoch milliseconds. */
export type Retiming =
  /** Those after `aboveMs` up to `notAboveMs` move by `byMs`. */
  | { readonly kind: "shift"; readonly aboveMs: number; readonly notAboveMs: number; readonly byMs: number }
  /** Those after `aboveMs` are spread over the `spreadMs` from `nowMs` on. */
  | { readonly kind: "spread"; readonly aboveMs: number; readonly nowMs: number; readonly spreadMs: number };

/** What its sender wants of the way of a message, and who else decides about it; undefined: nothing. */
export type QueuedWishes = Pick<Envelope, "requireTls" | "tlsOptional" | "deliverBy" | "priority" | "filter">;

export interface ListedRecipient {
  readonly address: Address;
  readonly reason: string;
  /** Of a message that was read, not listed. */
  readonly lane?: string | undefined;
  /** Of a message that was read, epoch milliseconds; undefined too if it is being delivered or held. */
  readonly nextTryMs?: number | undefined;
}

export interface QueueListing extends QueuedWishes {
  readonly queueId: QueueId;
  readonly queue: "active" | "deferred" | "hold" | "incoming";
  readonly arrivalMs: number;
  readonly sizeBytes: number;
  readonly sender: Address;
  /** Its sender's wish, perhaps long past; undefined: none. */
  readonly heldUntilMs?: number | undefined;
  /** When the first of its waiting recipients is due, epoch milliseconds; undefined: none waits. */
  readonly nextTryMs?: number | undefined;
  readonly recipients: readonly ListedRecipient[];
}

export interface ShapeQuery {
  /** From when ages count, epoch milliseconds. */
  readonly nowMs: number;
  /** By recipient each recipient counts, by sender each message. */
  readonly by: "sender" | "recipient";
  /** Messages in other queues do not count. */
  readonly queues: readonly QueueListing["queue"][];
}

/** `domain`: undefined where an address has none. `column`: an index of SHAPE_EDGES (shape.ts), or one behind them. */
export type ShapeCount = readonly [domain: string | undefined, column: number, count: number];

/** What operators may do; each returns the ids it touched. `ids` or all. */
export interface QueueAdmin {
  /** Pages in queue id order, at most `limit` each, starting behind `after`. */
  list(page: { readonly after?: QueueId | undefined; readonly limit: number }): Promise<readonly QueueListing[]>;
  /** Counts by domain and age of all messages, for a QueueShape. Between two pages of it others have their turn. */
  shape(query: ShapeQuery): Promise<readonly ShapeCount[]>;
  hold(ids: readonly QueueId[] | "ALL"): Promise<readonly QueueId[]>;
  release(ids: readonly QueueId[] | "ALL"): Promise<readonly QueueId[]>;
  delete(ids: readonly QueueId[] | "ALL"): Promise<readonly QueueId[]>;
  /** Makes deferred recipients due now; not of messages that are held for later. */
  flush(ids: readonly QueueId[] | "ALL"): Promise<readonly QueueId[]>;
  /** Makes recipients due now that wait for exactly this reason; how many. */
  flushReason(reason: string): Promise<number>;
  /** Released from hold, due now (or when their sender wished), in that lane, as if never tried; what is being delivered is left alone. */
  requeue(ids: readonly QueueId[] | "ALL", lane: string): Promise<readonly QueueId[]>;
  /** Another time for messages that are held for later at their sender's wish; one that has come lets them go now. */
  advance(ids: readonly QueueId[] | "ALL", atMs: number): Promise<readonly QueueId[]>;
  /** Envelope and content of one message, for postcat; undefined if there is none. */
  read(
    id: QueueId,
  ): Promise<
    { readonly envelope: Envelope; readonly listing: QueueListing; readonly content: MessageContent } | undefined
  >;
}

export interface QueueStore extends QueueAdmin {
  /** Newest id time ever stored in the own shard: floor of the allocator. */
  readonly floorMicros: number;
  beginBody(queueId: QueueId): BodyWriter;
  /** The bytes of a body that was finished and not appended yet. Iterating rejects QueueError. */
  readBody(body: StoredBody): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Commits one message and hands it back claimed if `claim`, so the hot path never reads what it has just written. */
  append(message: NewMessage, options: { readonly claim: boolean }): Promise<ClaimedMessage | undefined>;
  /** Claims due recipients of one lane, oldest due first, grouped by message. */
  claimDue(lane: string, nowMs: number, limit: number): Promise<readonly ClaimedMessage[]>;
  /** Lanes with waiting, unclaimed, unheld recipients, earliest due first. */
  dueLanes(limit: number): Promise<readonly LaneDue[]>;
  /** Takes back a claim without a try: the recipients are due as before. */
  unclaim(queueId: QueueId, recipientIds: readonly number[]): Promise<void>;
  /** `appended`: reports, then forwarded copies. */
  settle(settlement: Settlement): Promise<{ readonly removed: boolean; readonly appended: readonly ClaimedMessage[] }>;
  /** The message enters a delivery agent; counted, so each call needs its clearInFlight(). Never throws. A message that is
   *  marked at three crashes is held by recovery. */
  markInFlight?(queueId: QueueId): void;
  /** The agent is done with the message. */
  clearInFlight?(queueId: QueueId): void;
  /** Recipients that wait after a try and whose sender was not told of the delay. */
  delayed(queueId: QueueId, limit: number): Promise<readonly QueuedRecipient[]>;
  /** How many messages of that owner (mail/future-release.ts) are held for later, in all open shards. */
  heldFor(owner: string): Promise<number>;
  /** Moves due times, but for those that senders have wished; how many recipients had theirs moved. Cheap when there is
   *  nothing to "spread". */
  retime(how: Retiming): Promise<number>;
  /** Free bytes of the file system that holds the shard, at most a second old. */
  freeBytes(): number;
  /** Opens a dead worker's shard beside the own one; it only drains. */
  adopt(shard: number): Promise<void>;
  close(): Promise<void>;
}
