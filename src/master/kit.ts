/** master/kit.ts: what a worker gives to every generation: clock, names, ids, and the door to the queue. */

import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { CleanupDeps } from "../cleanup/deps.ts";
import type { DecisionRecorder } from "../decisions/recorder.ts";
import type { Dns, ValidatingDns } from "../dns/resolver.ts";
import type { DuplicateClaims } from "../duplicates/claim.ts";
import type { PipeDoor } from "../local/pipe.ts";
import type { Log } from "../log/log.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { TicketKeys } from "../net/ticket-keys.ts";
import type { HashPool } from "../sasl/hash-pool.ts";
import type { TlsTally } from "../smtp/tls-tally.ts";
import type { RefusalLog } from "../smtpd/refusal-log.ts";
import type { StatusCache } from "../tables/status-cache.ts";
import type { WorkerAnvil } from "./anvil-host.ts";
import type { WorkerHeldMail } from "./held-mail.ts";

/** What outlives a generation. */
export interface WorkerKit {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly dns: Dns;
  /** Counts for TLS reports; undefined where nothing is delivered. */
  readonly tally?: TlsTally | undefined;
  /** For deliveries with smtp_dns_support_level = dnssec; undefined where nothing is delivered. */
  readonly validatingDns?: ValidatingDns | undefined;
  readonly hostname: string;
  readonly pid: number;
  readonly ownAddresses: readonly string[];
  readonly logFor: (tag: string, id?: number) => Log;
  readonly nextQueueId: () => QueueId;
  readonly nextSessionId: () => number;
  readonly freeBytes: () => number;
  /** Counted over all workers. */
  readonly heldMail: Pick<WorkerHeldMail, "reserve" | "count" | "own">;
  readonly hashes: HashPool;
  /** Shared by all workers, so that a TLS session can be resumed at any of them. */
  readonly ticketKeys: TicketKeys;
  /** Counters of clients, over all workers. */
  readonly anvil: WorkerAnvil;
  /** Sends what waits for a domain, over all workers; rejects when the master cannot take the request. */
  readonly flushSite: (domain: string) => Promise<void>;
  /** Claims of the duplicate guard, over all workers; undefined: nobody guards. */
  readonly claims?: DuplicateClaims | undefined;
  /** The last refusals, for explain. */
  readonly refusals: RefusalLog;
  /** What was decided about recipients, on its way to the master. */
  readonly decisions: DecisionRecorder;
  /** What is known of addresses, the same for all workers; opened at the first call. Throws if it cannot be. */
  readonly addressCache: () => StatusCache;
  /** A name for a file in any maildir. */
  readonly nextMaildirName: () => string;
  /** Where mail of the server itself goes in; undefined where nothing is sent. */
  readonly maildrop?: string | undefined;
  /** Commands of pipe services, which the master runs. */
  readonly pipes: PipeDoor;
  readonly queue: Pick<CleanupDeps, "store" | "laneOf" | "arrived" | "poke" | "dueAt">;
}
