/** master/worker-kit.ts: makes what a worker gives to every generation (kit.ts), but for the door to the queue. */
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { DecisionRecorder } from "../decisions/recorder.ts";
import { createDns } from "../dns/create.ts";
import { openValidatingDns } from "../dns/validating.ts";
import { maildirNames } from "../local/maildir-name.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { QueueIdAllocator } from "../mail/queue-id.ts";
import { ownAddresses } from "../net/interfaces.ts";
import { TicketKeys } from "../net/ticket-keys.ts";
import type { QueueStore } from "../queue/store.ts";
import { HashPool } from "../sasl/hash-pool.ts";
import { TlsTally } from "../smtp/tls-tally.ts";
import { RefusalLog } from "../smtpd/refusal-log.ts";
import type { AddressCache } from "./address-cache.ts";
import { workerAnvil } from "./anvil-host.ts";
import { ClaimClient } from "./claim-client.ts";
import { queueDirectories } from "./directories.ts";
import { WorkerHeldMail } from "./held-mail.ts";
import type { WorkerKit } from "./kit.ts";
import { pipeDoor } from "./pipe-client.ts";
import type { StartArgs } from "./protocol.ts";

/** Session ids of worker k are k, k+STRIDE, …: unique over all workers, as log parsers key on `[pid]`. */
const SESSION_ID_STRIDE = 256;
const SESSION_ID_WRAP = 4_000_000;

export interface WorkerKitParts {
  readonly args: StartArgs;
  readonly store: QueueStore;
  readonly addressCache: AddressCache;
  readonly logFor: WorkerKit["logFor"];
  readonly pid: number;
  readonly hostsText: string;
  /** Calls the master. */
  readonly call: (method: string, args: unknown) => Promise<unknown>;
}

export function makeWorkerKit(parts: WorkerKitParts): Omit<WorkerKit, "queue"> {
  const { args, store, logFor, pid, hostsText } = parts;
  const params = scopeOf(args.snapshot);
  const ids = new QueueIdAllocator({
    nowMicros: systemClock.nowMicros,
    shard: args.shard,
    long: params.get("enable_long_queue_ids"),
    floorMicros: store.floorMicros,
  });
  return {
    ...{ clock: systemClock, deadlines: new Deadlines(systemClock), logFor, pid, hostname: args.hostname },
    ...names(params.get("postern_dns_servers"), hostsText),
    tally: new TlsTally({
      directory: queueDirectories(params).tlsReports,
      clock: systemClock,
      log: () => logFor(`${params.get("syslog_name")}/smtp`),
    }),
    ownAddresses: ownAddresses(),
    maildrop: queueDirectories(params).maildrop,
    nextQueueId: () => ids.next(),
    nextSessionId: sessionIds(args.shard),
    nextMaildirName: maildirNames({ clock: systemClock, hostname: args.hostname, pid }),
    freeBytes: () => store.freeBytes(),
    heldMail: new WorkerHeldMail(store, parts.call),
    hashes: new HashPool({
      threads: params.get("postern_hash_threads"),
      queueLimit: params.get("postern_hash_queue_limit"),
    }),
    ticketKeys: new TicketKeys(args.ticketSeed, systemClock),
    refusals: new RefusalLog(params.get("postern_refusal_log_limit")),
    addressCache: parts.addressCache.open,
    ...mastersShare(parts, params),
  };
}

/** The name services: one for every question, one whose answers say what DNSSEC makes of them. */
function names(servers: readonly string[], hostsText: string): Pick<WorkerKit, "dns" | "validatingDns"> {
  const dns = createDns({ clock: systemClock, hostsText, servers });
  return { dns, validatingDns: openValidatingDns({ servers, clock: systemClock, plain: dns }) };
}

/** What the master counts or keeps for all workers. */
function mastersShare({ args, logFor, call }: WorkerKitParts, params: Parameters) {
  const logOf = (program: string) => logFor(`${params.get("syslog_name")}/${program}`);
  return {
    decisions: new DecisionRecorder({
      limit: params.get("postern_decision_log_limit"),
      clock: systemClock,
      warn: (text) => logOf("worker").warning(printableUtf8(text)),
      send: (lines) => call("decisions", { lines }),
    }),
    pipes: pipeDoor({ directory: queueDirectories(params).pipe, shard: args.shard, call }),
    claims: new ClaimClient({ call, clock: systemClock, warn: (text) => logOf("worker").warning(printableUtf8(text)) }),
    flushSite: async (domain: string) => void (await call("flushSite", { domain })),
    anvil: workerAnvil({ workers: args.workers, params, clock: systemClock, log: logOf("anvil"), call }),
  };
}

function sessionIds(shard: number): () => number {
  const first = shard + SESSION_ID_STRIDE;
  let session = first;
  return () => {
    session = session + SESSION_ID_STRIDE < SESSION_ID_WRAP ? session + SESSION_ID_STRIDE : first;
    return session;
  };
}
