/** master/worker.ts: one worker: the whole pipeline over one queue shard. Driven by the master through the methods below;
 *  the same class runs in the master's own process when postern_workers = 0. */

import { resolve as resolvePath } from "node:path";
import { systemClock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { scopeOf } from "../config/load.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { DecisionRecorder } from "../decisions/recorder.ts";
import { createDns } from "../dns/create.ts";
import { LineBatch, type LineWriter } from "../log/line-batch.ts";
import { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type QueueId, QueueIdAllocator } from "../mail/queue-id.ts";
import { ownAddresses } from "../net/interfaces.ts";
import { type AcceptedSocket, type Acceptor, acceptOn } from "../net/listener.ts";
import { createQueueManager, type QueueManager } from "../qmgr/create.ts";
import { openStore } from "../queue/sqlite-store.ts";
import type { QueueStore } from "../queue/store.ts";
import { HashPool } from "../sasl/hash-pool.ts";
import type { Explanation } from "../smtpd/explanation.ts";
import { RefusalLog } from "../smtpd/refusal-log.ts";
import { workerAnvil } from "./anvil-host.ts";
import { buildGeneration, type Generation } from "./generation.ts";
import type { WorkerKit } from "./kit.ts";
import { LeaseClient } from "./lease-client.ts";
import { liveParameters, liveResolver } from "./live.ts";
import { workerFormat } from "./mail-log.ts";
import type {
  CommitArgs,
  DrainArgs,
  FilesArgs,
  GrantArgs,
  ListenArgs,
  QueueArgs,
  RecallArgs,
  RefusalArgs,
  StartArgs,
  WorkerStatus,
} from "./protocol.ts";
import { runQueueOperation } from "./queue-operations.ts";
import type { Methods } from "./rpc.ts";
import { SessionCaps } from "./session-caps.ts";

/** Session ids of worker k are k, k+STRIDE, …: unique over all workers, as log parsers key on `[pid]`. */
const SESSION_ID_STRIDE = 256;
const SESSION_ID_WRAP = 4_000_000;

export interface WorkerHost {
  readonly pid: number;
  readonly logWriter: LineWriter;
  readonly hostsText: string;
  /** Calls the master. */
  call(method: string, args: unknown): Promise<unknown>;
  /** A failure that the worker cannot go on after. */
  fail(error: Error): void;
}

interface Running {
  readonly args: StartArgs;
  readonly store: QueueStore;
  readonly kit: WorkerKit;
  readonly qmgr: QueueManager;
  readonly leases: LeaseClient;
  readonly caps: SessionCaps;
}

interface SchedulerParts {
  readonly kit: Omit<WorkerKit, "queue">;
  readonly store: QueueStore;
  readonly leases: LeaseClient;
  readonly workers: number;
}

export class Worker {
  readonly #host: WorkerHost;
  #batch: LineBatch | undefined;
  #running: Running | undefined;
  #current: Generation | undefined;
  #next: Generation | undefined;
  readonly #acceptors = new Map<string, Acceptor>();

  constructor(host: WorkerHost) {
    this.#host = host;
  }

  /** The methods the master calls, by name. */
  methods(): Methods {
    return new Map<string, (args: never, handle: unknown) => unknown>([
      ["start", (args: StartArgs) => this.start(args)],
      ["listen", (args: ListenArgs, handle: unknown) => this.listen(args, handle)],
      ["load", (args: Pick<StartArgs, "snapshot">) => this.load(args.snapshot)],
      ["commit", (args: CommitArgs) => this.commit(args)],
      ["discard", () => this.discard()],
      ["files", (args: FilesArgs) => this.#current?.files.replace(args.files)],
      ["queue", (args: QueueArgs) => this.queue(args)],
      ["adopt", (args: { shard: number }) => this.#need().store.adopt(args.shard)],
      ["status", () => this.status()],
      ["refusals", (args: RefusalArgs) => this.refusals(args)],
      ["granted", (args: GrantArgs) => this.#running?.leases.granted(args)],
      ["recalled", (args: RecallArgs) => this.#running?.leases.recalled(args)],
      ["drain", (args: DrainArgs) => this.drain(args)],
    ]);
  }

  /** Opens the shard, builds the rooms, starts the scheduler. Accepts nothing yet. */
  async start(args: StartArgs): Promise<void> {
    const params = scopeOf(args.snapshot);
    const clock = systemClock;
    this.#batch = new LineBatch(this.#host.logWriter, workerFormat(params), systemClock);
    const sink = this.#batch.sink;
    const logFor = (tag: string, id = this.#host.pid) => new Log({ sink, now: clock.now, tag, id });
    const directory = resolvePath(params.get("queue_directory"), "queue");
    const log = logFor(`${params.get("syslog_name")}/queue`);
    const inlineLimit = params.get("postern_queue_inline_limit");
    const store = await openStore({ directory, shard: args.shard, inlineLimit, log, clock });
    // Rooms and scheduler need each other: the rooms get a door that opens when the scheduler is there.
    const scheduler: { qmgr?: QueueManager } = {};
    const kit = { ...this.#makeKit(args, store, logFor), queue: queueDoor(store, scheduler) };
    this.#current = this.#build(args.snapshot, kit);
    const leases = new LeaseClient({
      call: (method, ask) => this.#host.call(method, ask),
      clock,
      warn: (text) => logFor(`${params.get("syslog_name")}/worker`).warning(printableUtf8(text)),
    });
    const qmgr = this.#makeScheduler({ kit, store, leases, workers: args.workers });
    scheduler.qmgr = qmgr;
    const caps = new SessionCaps({ workers: args.workers, leases });
    caps.configure(args.snapshot);
    this.#running = { args, store, kit, qmgr, leases, caps };
    for (const shard of args.adopt) await store.adopt(shard);
    qmgr.start();
  }

  async listen({ key }: ListenArgs, handle: unknown): Promise<void> {
    const serviceName = key.split("|")[0] ?? "";
    const { kit, caps } = this.#need();
    const log = kit.logFor(`${this.#syslogName}/worker`);
    const accept = (socket: AcceptedSocket) => {
      const start = () => {
        const smtpd = this.#current?.smtpds.get(serviceName);
        if (smtpd) smtpd.accept(socket);
        else socket.destroy();
      };
      if (caps.admit(serviceName, socket, start)) return;
      socket.destroy();
      log.warning(`service "${serviceName}" has reached its process limit: a connection was closed`);
    };
    const acceptor = await acceptOn(handle as never, accept, (error) => log.warning(`accept: ${error.message}`));
    this.#acceptors.set(key, acceptor);
  }

  /** First phase of a reload: everything is built, nothing is changed. Throws with the reason for a refusal. */
  load(snapshot: StartArgs["snapshot"]): void {
    this.#next = this.#build(snapshot, this.#need().kit);
  }

  /** Second phase. Sessions of the old generation finish under it. */
  async commit({ generation, keys }: CommitArgs): Promise<void> {
    const next = this.#next;
    if (next?.snapshot.generation !== generation) throw new Error(`Generation ${generation} was not loaded`);
    const old = this.#current;
    this.#current = next;
    this.#next = undefined;
    for (const [key, acceptor] of this.#acceptors) {
      if (keys.includes(key)) continue;
      this.#acceptors.delete(key);
      void acceptor.close();
    }
    const { kit, qmgr, caps } = this.#need();
    caps.configure(next.snapshot);
    kit.anvil.configure(next.params);
    if (this.#batch) this.#batch.format = workerFormat(next.params);
    kit.refusals.configure(next.params.get("postern_refusal_log_limit"));
    kit.decisions.configure(next.params.get("postern_decision_log_limit"));
    qmgr.reconfigure();
    if (old) void retire(old);
  }

  discard(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next) void next.close();
  }

  async queue(args: QueueArgs): Promise<unknown> {
    const { store, qmgr } = this.#need();
    const result = await runQueueOperation(store, args);
    if (args.op === "flush" || args.op === "flush-site" || args.op === "release") qmgr.poke();
    return result;
  }

  status(): WorkerStatus {
    let sessions = 0;
    for (const smtpd of this.#current?.smtpds.values() ?? []) sessions += smtpd.sessions;
    return {
      pid: this.#host.pid,
      shard: this.#need().args.shard,
      generation: this.#current?.snapshot.generation ?? 0,
      sessions,
    };
  }

  /** The last refusals, oldest first, or the one of that id. */
  refusals({ id, last }: RefusalArgs): readonly Explanation[] {
    const { refusals } = this.#need().kit;
    if (id === undefined) return refusals.last(last);
    const found = refusals.find(id);
    return found === undefined ? [] : [found];
  }

  /** Stops accepting, lets sessions and deliveries finish within the grace, closes the shard. */
  async drain({ graceMs }: DrainArgs): Promise<void> {
    for (const acceptor of this.#acceptors.values()) void acceptor.close();
    this.#acceptors.clear();
    this.#running?.caps.close();
    const sessions = [...(this.#current?.smtpds.values() ?? [])].map((smtpd) => smtpd.drain(graceMs));
    await Promise.all(sessions);
    await this.#running?.kit.decisions.flush();
    const running = this.#running;
    this.#running = undefined;
    await running?.qmgr.stop();
    await this.#current?.close();
    await running?.store.close();
    running?.kit.dns.close();
    running?.kit.anvil.close();
    this.#batch?.flush();
  }

  get #syslogName(): string {
    return this.#current?.params.get("syslog_name") ?? "postfix";
  }

  #need(): Running {
    if (!this.#running) throw new Error("The worker has not started");
    return this.#running;
  }

  #build(snapshot: StartArgs["snapshot"], kit: WorkerKit): Generation {
    return buildGeneration(snapshot, kit).generation;
  }

  #makeKit(args: StartArgs, store: QueueStore, logFor: WorkerKit["logFor"]): Omit<WorkerKit, "queue"> {
    const params = scopeOf(args.snapshot);
    const ids = new QueueIdAllocator({
      nowMicros: systemClock.nowMicros,
      shard: args.shard,
      long: params.get("enable_long_queue_ids"),
      floorMicros: store.floorMicros,
    });
    let session = args.shard + SESSION_ID_STRIDE;
    return {
      clock: systemClock,
      deadlines: new Deadlines(systemClock),
      dns: createDns({ clock: systemClock, hostsText: this.#host.hostsText }),
      hostname: args.hostname,
      pid: this.#host.pid,
      ownAddresses: ownAddresses(),
      logFor,
      nextQueueId: () => ids.next(),
      nextSessionId: () => {
        session =
          session + SESSION_ID_STRIDE < SESSION_ID_WRAP ? session + SESSION_ID_STRIDE : args.shard + SESSION_ID_STRIDE;
        return session;
      },
      freeBytes: () => store.freeBytes(),
      hashes: new HashPool({
        threads: params.get("postern_hash_threads"),
        queueLimit: params.get("postern_hash_queue_limit"),
      }),
      ticketKeys: Buffer.from(args.ticketKeys),
      refusals: new RefusalLog(params.get("postern_refusal_log_limit")),
      decisions: new DecisionRecorder({
        limit: params.get("postern_decision_log_limit"),
        clock: systemClock,
        warn: (text) => logFor(`${params.get("syslog_name")}/worker`).warning(printableUtf8(text)),
        send: (lines) => this.#host.call("decisions", { lines }),
      }),
      flushSite: async (domain) => void (await this.#host.call("flushSite", { domain })),
      anvil: workerAnvil({
        workers: args.workers,
        params,
        clock: systemClock,
        log: logFor(`${params.get("syslog_name")}/anvil`),
        call: (method, batch) => this.#host.call(method, batch),
      }),
    };
  }

  #makeScheduler({ kit, store, leases, workers }: SchedulerParts): QueueManager {
    const current = (): Generation => {
      if (!this.#current) throw new Error("No configuration is loaded");
      return this.#current;
    };
    const params = liveParameters(() => current().params);
    return createQueueManager({
      store,
      resolver: liveResolver(() => current().resolver),
      agent: (transport) => current().agents.get(transport),
      bounces: { compose: (input) => current().bounces.compose(input) },
      nextQueueId: kit.nextQueueId as () => QueueId,
      params,
      log: kit.logFor(`${this.#syslogName}/qmgr`),
      logFor: (program) => kit.logFor(`${this.#syslogName}/${program}`),
      clock: kit.clock,
      random: Math.random,
      maxproc: (transport) => maxprocOf(current().snapshot, transport),
      workers,
      leases,
    });
  }
}

function queueDoor(store: QueueStore, scheduler: { readonly qmgr?: QueueManager }): WorkerKit["queue"] {
  const open = (): QueueManager => {
    if (!scheduler.qmgr) throw new Error("The scheduler has not started");
    return scheduler.qmgr;
  };
  return {
    store,
    laneOf: (recipient, sender, filter) => open().laneOf(recipient, sender, filter),
    arrived: (message) => open().arrived(message),
    poke: () => open().poke(),
  };
}

/** The process limit that master.cf gives to a transport; undefined where it gives none. */
function maxprocOf({ services }: ConfigSnapshot, transport: string): number | undefined {
  return services.find(({ name, type }) => type === "unix" && name === transport)?.maxproc;
}

/** Closes a generation when its last session has ended. */
async function retire(old: Generation): Promise<void> {
  await Promise.all([...old.smtpds.values()].map((smtpd) => smtpd.idle()));
  await old.close();
}
