/** master/protocol.ts: what the master asks of a worker, and a worker of the master (`lease` with a SlotAsk, `release`, `decisions`).
 *  Structured-cloneable values only. */

import type { ConfigSnapshot, FileImage } from "../config/snapshot.ts";
import type { TicketSeed } from "../net/ticket-keys.ts";
import type { ShapeQuery } from "../queue/store.ts";

/** Identity that a worker started as root takes on before its first byte. */
export interface WorkerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface StartArgs {
  readonly snapshot: ConfigSnapshot;
  readonly shard: number;
  /** Number of workers; makes session ids unique over all of them. */
  readonly workers: number;
  /** Shards of workers that no longer exist. */
  readonly adopt: readonly number[];
  /** Messages that a worker was about to queue when it ended. */
  readonly orphans: readonly string[];
  /** Transports and lanes that an operator paused. */
  readonly paused: readonly string[];
  readonly user: WorkerUser | undefined;
  readonly hostname: string;
  /** The keys of session tickets (RFC 5077) are made of it, the same in all workers. */
  readonly ticketSeed: TicketSeed;
}

/** What a worker has found before it delivers anything. */
export interface Started {
  /** Those of the orphans that its shards have. */
  readonly queued: readonly string[];
}

/** One listening socket. */
export interface ListenArgs {
  readonly key: string;
}

export interface CommitArgs {
  readonly generation: number;
  /** Listeners that go on; all others stop accepting. */
  readonly keys: readonly string[];
}

export interface FilesArgs {
  readonly files: readonly FileImage[];
}

export interface QueueArgs {
  readonly op:
    | "list"
    | "shape"
    | "hold"
    | "release"
    | "delete"
    | "flush"
    | "flush-site"
    | "flush-reason"
    | "requeue"
    | "advance"
    | "read";
  readonly ids: readonly string[] | "ALL";
  /** Of flush-site: a domain in lower case. */
  readonly site?: string | undefined;
  /** Of flush-reason: the whole of it. */
  readonly reason?: string | undefined;
  /** Of advance: epoch milliseconds; undefined: now. */
  readonly atMs?: number | undefined;
  /** Of shape. */
  readonly shape?: ShapeQuery | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

/** Of an operator: pause or resume a transport or lane, or list what is paused. */
export interface LaneArgs {
  readonly op: "pause" | "resume" | "list";
  readonly lane?: string | undefined;
}

/** To a worker: all that is paused from now on. */
export interface PauseArgs {
  readonly keys: readonly string[];
}

/** The refusal of this explain id, or the last ones. */
export interface RefusalArgs {
  readonly id?: string | undefined;
  readonly last: number;
}

/** Whether a user of this machine may do something. */
export interface RightArgs {
  readonly right: "authorized_mailq_users" | "authorized_flush_users";
  readonly user: { readonly uid: number; readonly name: string | undefined };
}

/** To the master: decisions about recipients, whole lines. */
export interface DecisionArgs {
  readonly lines: string;
}

export interface DrainArgs {
  /** Milliseconds that open sessions get. */
  readonly graceMs: number;
}

export interface WorkerStatus {
  readonly pid: number;
  readonly shard: number;
  readonly generation: number;
  readonly sessions: number;
}

/** To a worker: an answer to its ask for slots. */
export interface GrantArgs {
  readonly key: string;
  readonly count: number;
}

/** To a worker: others wait for slots that it holds; see SlotHolder. */
export interface RecallArgs {
  readonly key: string;
  readonly keep: number;
}

/** To the master: slots given back, by key. */
export interface ReleaseArgs {
  readonly slots: readonly (readonly [key: string, count: number])[];
}
