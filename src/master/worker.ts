/** master/worker.ts: one worker: the whole pipeline over one queue shard. Driven by the master through the methods below;
 *  the same class runs in the master's own process when postern_workers = 0. */

import { resolve as resolvePath } from "node:path";
import { systemClock } from "../base/clock.ts";
import { collectWhenQuiet } from "../base/garbage.ts";
import { scopeOf } from "../config/load.ts";
import { LineBatch, type LineWriter } from "../log/line-batch.ts";
import { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { type AcceptedSocket, type Acceptor, acceptOn } from "../net/listener.ts";
import type { Pickup } from "../pickup/pickup.ts";
import type { QueueManager } from "../qmgr/create.ts";
import { openStore } from "../queue/sqlite-store.ts";
import type { QueueStore } from "../queue/store.ts";
import type { Explanation } from "../smtpd/explanation.ts";
import { type AddressCache, createAddressCache } from "./address-cache.ts";
import { buildGeneration, type Generation } from "./generation.ts";
import { Generations } from "./generations.ts";
import type { HeldArgs } from "./held-mail.ts";
import type { WorkerKit } from "./kit.ts";
import { LeaseClient } from "./lease-client.ts";
import { workerFormat } from "./mail-log.ts";
import { pickupIntervalMs, wirePickup } from "./pickup-service.ts";
import type {
  CommitArgs,
  DrainArgs,
  FilesArgs,
  GrantArgs,
  ListenArgs,
  PauseArgs,
  QueueArgs,
  RecallArgs,
  RefusalArgs,
  RightArgs,
  StartArgs,
  Started,
  WorkerStatus,
} from "./protocol.ts";
import { queueDoor, wireQueueManager } from "./queue-manager.ts";
import { runQueueOperation } from "./queue-operations.ts";
import type { Methods } from "./rpc.ts";
import { SessionCaps } from "./session-caps.ts";
import { type TlsReports, wireTlsReports } from "./tls-reports.ts";
import { makeWorkerKit } from "./worker-kit.ts";

/** Queue operations after which something may be due. */
const WAKING: ReadonlySet<QueueArgs["op"]> = new Set(["flush-reason", "release", "requeue", "advance"]);
/** Those that defer_transports does not stand against. */
const FLUSHING: ReadonlySet<QueueArgs["op"]> = new Set(["flush", "flush-site"]);

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
  readonly addressCache: AddressCache;
  readonly qmgr: QueueManager;
  readonly leases: LeaseClient;
  readonly caps: SessionCaps;
  /** One of the workers takes mail from the maildrop directory. */
  readonly pickup: Pickup | undefined;
  /** The same one sends the TLS reports of all. */
  readonly reports: TlsReports | undefined;
}

export class Worker {
  readonly #host: WorkerHost;
  #batch: LineBatch | undefined;
  #running: Running | undefined;
  #logFor: WorkerKit["logFor"] | undefined;
  readonly #generations = new Generations((text) => this.#logFor?.(`${this.#syslogName}/worker`).error(text));
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
      ["discard", () => this.#generations.discard()],
      ["files", ({ files }: FilesArgs) => this.#generations.replaceFiles(files)],
      ["queue", (args: QueueArgs) => this.queue(args)],
      ["pause", ({ keys }: PauseArgs) => this.#need().qmgr.pause(keys)],
      ["adopt", (args: { shard: number }) => this.adopt(args.shard)],
      ["allows", ({ right, user }: RightArgs) => this.#currentGeneration().rights[right].allows(user)],
      ["held", (args: HeldArgs) => this.#need().kit.heldMail.own(args)],
      ["pickup", () => this.#running?.pickup?.wake()],
      ["queued", ({ ids }: { ids: readonly string[] }) => this.queued(ids)],
      ["status", () => this.status()],
      ["refusals", (args: RefusalArgs) => this.refusals(args)],
      ["granted", (args: GrantArgs) => this.#running?.leases.granted(args)],
      ["recalled", (args: RecallArgs) => this.#running?.leases.recalled(args)],
      ["drain", (args: DrainArgs) => this.drain(args)],
    ]);
  }

  /** Opens the shard, builds the rooms, starts the scheduler. Accepts nothing yet. */
  async start(args: StartArgs): Promise<Started> {
    const params = scopeOf(args.snapshot);
    const clock = systemClock;
    this.#batch = new LineBatch(this.#host.logWriter, workerFormat(params), systemClock);
    const sink = this.#batch.sink;
    const logFor = (tag: string, id = this.#host.pid) => new Log({ sink, now: clock.now, tag, id });
    this.#logFor = logFor;
    const directory = resolvePath(params.get("queue_directory"), "queue");
    const log = logFor(`${params.get("syslog_name")}/queue`);
    const inlineLimit = params.get("postern_queue_inline_limit");
    const failed = (error: Error) => this.#storeFailed(error);
    const store = await openStore({ directory, shard: args.shard, inlineLimit, log, clock, failed });
    const scheduler: { qmgr?: QueueManager } = {};
    const recorded = params.get("address_verify_map") !== "";
    const addressCache = createAddressCache(recorded ? directory : undefined, () =>
      logFor(`${this.#syslogName}/verify`),
    );
    const made = makeWorkerKit({ args, store, addressCache, logFor, ...this.#hostParts() });
    const kit = { ...made, queue: queueDoor(store, scheduler) };
    this.#generations.load(buildGeneration(args.snapshot, kit));
    this.#generations.commit(args.snapshot.generation);
    const warn = (text: string) => logFor(`${this.#syslogName}/worker`).warning(printableUtf8(text));
    const leases = new LeaseClient({ call: (method, ask) => this.#host.call(method, ask), clock, warn });
    const current = () => this.#currentGeneration();
    const qmgr = wireQueueManager({ kit, store, leases, workers: args.workers, current });
    qmgr.pause(args.paused);
    scheduler.qmgr = qmgr;
    const caps = new SessionCaps({ workers: args.workers, leases, clock, warn });
    caps.configure(args.snapshot);
    const pickup = args.shard === 0 ? wirePickup({ kit, store, current }) : undefined;
    const reports = pickup && wireTlsReports({ kit, pickup, params: () => current().params });
    this.#running = { args, store, kit, addressCache, qmgr, leases, caps, pickup, reports };
    for (const shard of args.adopt) await store.adopt(shard);
    await pickup?.recover();
    // Before they are delivered, and gone.
    const queued = await this.queued(args.orphans);
    qmgr.start();
    pickup?.start(() => pickupIntervalMs(current().snapshot));
    reports?.start();
    collectWhenQuiet(clock);
    return { queued };
  }

  async listen({ key }: ListenArgs, handle: unknown): Promise<void> {
    const serviceName = key.split("|")[0] ?? "";
    const { kit, caps } = this.#need();
    const log = kit.logFor(`${this.#syslogName}/worker`);
    const accept = (socket: AcceptedSocket) => {
      const start = (stressed: boolean) => {
        const smtpd = this.#generations.current?.smtp.find(serviceName, { stressed });
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
    this.#generations.load(buildGeneration(snapshot, this.#need().kit));
  }

  /** Second phase. Sessions of the old generation finish under it. */
  async commit({ generation, keys }: CommitArgs): Promise<void> {
    const next = this.#generations.commit(generation);
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
  }

  async queue(args: QueueArgs): Promise<unknown> {
    const { store, qmgr } = this.#need();
    const result = await runQueueOperation(store, args);
    if (FLUSHING.has(args.op)) qmgr.flushed();
    else if (WAKING.has(args.op)) qmgr.poke();
    return result;
  }

  /** Which of these messages its shards have. */
  async queued(ids: readonly string[]): Promise<readonly string[]> {
    const { store } = this.#need();
    const found: string[] = [];
    for (const id of ids) if ((await store.read(id as QueueId)) !== undefined) found.push(id);
    return found;
  }

  async adopt(shard: number): Promise<void> {
    const { store, qmgr } = this.#need();
    await store.adopt(shard);
    qmgr.poke();
  }

  status(): WorkerStatus {
    let sessions = 0;
    for (const smtpd of this.#generations.services) sessions += smtpd.sessions;
    return {
      pid: this.#host.pid,
      shard: this.#need().args.shard,
      generation: this.#generations.current?.snapshot.generation ?? 0,
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
    await Promise.all(this.#generations.services.map((smtpd) => smtpd.drain(graceMs)));
    // They may wait for a server of somebody else: deliveries are ended in order first.
    const reports = this.#running?.reports?.close();
    await this.#running?.kit.decisions.flush();
    await this.#running?.pickup?.close();
    const running = this.#running;
    this.#running = undefined;
    await running?.qmgr.stop();
    await running?.kit.tally?.flush();
    await this.#generations.close();
    await running?.store.close();
    running?.kit.dns.close();
    running?.kit.anvil.close();
    running?.addressCache.close();
    await reports;
    this.#batch?.flush();
  }

  /** A worker without its store would refuse everything for ever; the next one finds the shard as a kill leaves it. */
  #storeFailed(error: Error): void {
    for (const acceptor of this.#acceptors.values()) void acceptor.close();
    this.#acceptors.clear();
    this.#batch?.flush();
    this.#host.fail(error);
  }

  #hostParts() {
    const { pid, hostsText } = this.#host;
    return { pid, hostsText, call: (method: string, args: unknown) => this.#host.call(method, args) };
  }

  get #syslogName(): string {
    return this.#generations.current?.params.get("syslog_name") ?? "postfix";
  }

  #need(): Running {
    if (!this.#running) throw new Error("The worker has not started");
    return this.#running;
  }

  #currentGeneration(): Generation {
    const { current } = this.#generations;
    if (!current) throw new Error("No configuration is loaded");
    return current;
  }
}
