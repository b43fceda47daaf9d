/** qmgr/scheduling.ts: the scheduler as the worker sees it; scheduler.ts implements it, create.ts makes it. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Clock } from "../base/clock.ts";
import type { BounceComposer } from "../bounce/compose.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { DeliveryAgent } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { SlotLeases } from "../mail/slot-lease.ts";
import type { ClaimedMessage, QueueStore } from "../queue/store.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";

export interface QueueManagerOptions {
  readonly store: QueueStore;
  readonly resolver: AddressResolver;
  /** The agent of a transport of master.cf; undefined: there is no such transport, its mail is deferred. */
  readonly agent: (transport: string) => DeliveryAgent | undefined;
  readonly bounces: BounceComposer;
  readonly nextQueueId: () => QueueId;
  readonly params: Parameters;
  /** Tagged …/qmgr. */
  readonly log: Log;
  /** The log of a transport's program ("smtp", "local", "error", "bounce"); called with the transport's name. */
  readonly logFor: (program: string) => Log;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Most deliveries of one transport at a time (maxproc of master.cf), over all workers; undefined or 0: no limit. */
  readonly maxproc?: ((transport: string) => number | undefined) | undefined;
  /** Number of workers that share every concurrency limit; default 1. */
  readonly workers?: number | undefined;
  /** Slots of limits that cannot be divided among the workers. */
  readonly leases?: SlotLeases | undefined;
}

/** For the status page. */
export interface LaneStatus {
  readonly lane: string;
  readonly queuedRecipients: number;
  readonly inFlight: number;
  readonly concurrency: number;
  /** Epoch milliseconds; undefined when deliveries may start. */
  readonly pausedUntilMs: number | undefined;
  readonly reason: string | undefined;
}

export interface QueueStatus {
  readonly activeMessages: number;
  readonly activeRecipients: number;
  readonly lanes: readonly LaneStatus[];
}

export interface QueueManager {
  /** Lane key of a recipient, for the store; "retry:" when it cannot be found out now. Rejects for bugs only. */
  laneOf(recipient: Address, sender: Address, filter?: string | undefined): Awaitable<string>;
  /** Takes a message that was committed and claimed. Never throws. */
  arrived(message: ClaimedMessage): void;
  /** Reads the queue again and gives dead destinations another chance: after flush, release, requeue. */
  poke(): void;
  /** Mail was committed that is due only then. */
  dueAt(dueMs: number): void;
  /** After a flush: as poke(), and defer_transports does not hold back what is due by now. */
  flushed(): void;
  /** Transports and lanes ("transport:nexthop") that get no mail from now on; all others do. */
  pause(keys: readonly string[]): void;
  /** Reads the limits of transports again, after a reload; then as poke(). */
  reconfigure(): void;
  /** Begins with the mail that is in the queue. */
  start(): void;
  /** Ends deliveries within a few seconds and gives back the rest. */
  stop(): Promise<void>;
  status(): QueueStatus;
}
