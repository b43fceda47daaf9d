/** master/fleet.ts: the workers: started, given their sockets, watched, restarted after a death, asked together.
 *  A shard changes hands only after its worker was reaped: slot k owns shard k for the master's whole life. */
import type { Clock } from "../base/clock.ts";
import type { FileImage } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import type { SlotAsk } from "../mail/slot-lease.ts";
import { TryAgainError } from "../net/control-socket.ts";
import type { BoundSocket } from "../net/listener.ts";
import { HELD_TIMEOUT_MS, type HeldArgs } from "./held-mail.ts";
import { type Borrower, LaneLeases } from "./lane-leases.ts";
import type {
  CommitArgs,
  DecisionArgs,
  GrantArgs,
  PauseArgs,
  RecallArgs,
  ReleaseArgs,
  StartArgs,
  Started,
} from "./protocol.ts";
import { type Methods, PeerEndedError } from "./rpc.ts";
import { SiteFlushes } from "./site-flush.ts";
import type { WorkerLink } from "./worker-process.ts";

/** A worker that dies is started again at once, but not more often than this. */
const RESPAWN_INTERVAL_MS = 1000;
/** How long a call waits for a worker that is being restarted. */
const RESTART_WAIT_MS = 10_000;
/** How long a worker may take to switch to a configuration that it has loaded. */
const COMMIT_TIMEOUT_MS = 10_000;
const ADOPT_TIMEOUT_MS = 10_000;
/** How long the workers may take to go through their queues for one domain. */
const FLUSH_TIMEOUT_MS = 600_000;

export interface FleetOptions {
  readonly workers: number;
  /** Starts a process that may call `methods`. */
  readonly spawn: (methods: Methods) => WorkerLink;
  readonly startArgs: (shard: number) => StartArgs;
  /** Hears of each worker's start what it has found. */
  readonly started: (found: Started) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes lines of the workers' decisions. */
  readonly decisions: { append(lines: string): void };
}

interface Slot {
  readonly shard: number;
  /** The process, from its fork to its end; it holds the shard's lock. */
  running: WorkerLink | undefined;
  /** The same, while it serves. */
  link: WorkerLink | undefined;
  startedAt: number;
  /** Called once when it serves. */
  readonly waiting: Set<() => void>;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #slots: Slot[] = [];
  /** Listening sockets by key, held for the next worker that needs them. */
  readonly #sockets = new Map<string, BoundSocket>();
  /** Limits that hold over all workers. */
  readonly #leases: LaneLeases;
  readonly #siteFlushes: SiteFlushes;
  #stopping = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#leases = new LaneLeases(options.clock);
    const flushAll = (site: string) => this.callAll("queue", { op: "flush-site", ids: "ALL", site }, FLUSH_TIMEOUT_MS);
    this.#siteFlushes = new SiteFlushes(flushAll, options.log);
    for (let shard = 0; shard < options.workers; shard++) {
      this.#slots.push({ shard, running: undefined, link: undefined, startedAt: 0, waiting: new Set() });
    }
  }

  /** Starts all workers; rejects with the first one's reason, after which stop() must be called. */
  async start(sockets: ReadonlyMap<string, BoundSocket>): Promise<void> {
    for (const [key, socket] of sockets) this.#sockets.set(key, socket);
    await Promise.all(this.#slots.map((slot) => this.#startSlot(slot)));
  }

  /** Calls every worker; waits for one that is being restarted. Rejects if any refuses or `timeoutMs` passes; with
   *  TryAgainError if one is away for too long, or ends meanwhile. */
  async callAll(method: string, args: unknown, timeoutMs: number): Promise<unknown[]> {
    const late = new AbortController();
    const timeout = this.#options.clock.sleep(timeoutMs, late.signal).then(
      () => {
        throw new Error(`A worker did not answer "${method}" within ${timeoutMs / 1000} s`);
      },
      () => [],
    );
    try {
      const calls = this.#slots.map(async (slot) => {
        const link = await this.#serving(slot, late.signal);
        return link.call(method, args).catch((error: Error) => {
          throw error instanceof PeerEndedError ? tryAgain(slot) : error;
        });
      });
      return await Promise.race([Promise.all(calls), timeout]);
    } finally {
      late.abort();
    }
  }

  /** Switches to a configuration that all have loaded, and that startArgs() already tells. */
  commit(args: CommitArgs): Promise<void> {
    return this.#tellAll("commit", args);
  }

  /** The first worker takes over a shard that came into being; should it not be able to, it does at its next start. */
  async adopt(shard: number): Promise<void> {
    const [first] = this.#slots;
    if (first) await (await this.#serving(first, AbortSignal.timeout(ADOPT_TIMEOUT_MS))).call("adopt", { shard });
  }

  /** Tells what is paused, which startArgs() already tells. */
  pause(args: PauseArgs): Promise<void> {
    return this.#tellAll("pause", args);
  }

  /** A worker that cannot follow is started again with what startArgs() tells. */
  async #tellAll(method: string, args: unknown): Promise<void> {
    await Promise.all(
      this.#slots.map(async (slot) => {
        if (!slot.link)
          slot.running?.kill(); // it began with what was before
        else await this.#order(slot.link, method, args);
      }),
    );
  }

  /** Opens one more socket on all workers. */
  async listen(key: string, socket: BoundSocket): Promise<void> {
    this.#sockets.set(key, socket);
    await Promise.all(
      this.#slots.flatMap(({ link }) => (link ? [this.#order(link, "listen", { key }, socket.raw)] : [])),
    );
  }

  /** Forgets sockets that the new generation does not have; the workers have stopped accepting on them. */
  forget(key: string): void {
    this.#sockets.delete(key);
  }

  get pids(): readonly number[] {
    return this.#slots.flatMap((slot) => (slot.link ? [slot.link.pid] : []));
  }

  /** Hands over files that were replaced, which startArgs() already tells. Rejects if a worker cannot take them. */
  async files(files: readonly FileImage[]): Promise<void> {
    await Promise.all(
      this.#slots.map(async ({ link }) => {
        try {
          await link?.call("files", { files });
        } catch (error) {
          if (!(error instanceof PeerEndedError)) throw error; // the next one begins with them
        }
      }),
    );
  }

  /** Finishes sessions for at most `graceMs`, then ends what is left by SIGKILL after as long again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#slots.map((slot) => this.#stopSlot(slot, graceMs)));
  }

  async #stopSlot(slot: Slot, graceMs: number): Promise<void> {
    const { running: link } = slot;
    if (!link) return;
    // One that does not serve yet has nothing to finish.
    if (!slot.link) link.kill();
    const late = new AbortController();
    const killed = this.#options.clock.sleep(graceMs * 2 + 2000, late.signal).then(
      () => link.kill(),
      () => undefined,
    );
    await Promise.race([link.call("drain", { graceMs }).catch(() => undefined), link.ended, killed]);
    link.disconnect();
    await Promise.race([link.ended, killed]);
    late.abort();
    await link.ended;
  }

  /** The worker of a slot, once it serves. Rejects with TryAgainError when that takes too long or the signal fires. */
  async #serving(slot: Slot, signal: AbortSignal): Promise<WorkerLink> {
    if (!slot.link && !this.#stopping) {
      let serves: () => void = () => undefined;
      const served = new Promise<void>((resolve) => {
        serves = resolve;
      });
      slot.waiting.add(serves);
      await Promise.race([served, this.#options.clock.sleep(RESTART_WAIT_MS, signal).catch(() => undefined)]);
      slot.waiting.delete(serves);
    }
    if (!slot.link || signal.aborted) throw tryAgain(slot);
    return slot.link;
  }

  /** What a worker must do. One that does not is ended, and starts again with all that it should know. */
  async #order(link: WorkerLink, method: string, args: unknown, handle?: unknown): Promise<void> {
    const done = new AbortController();
    const late = this.#options.clock.sleep(COMMIT_TIMEOUT_MS, done.signal).then(
      () => Promise.reject(new Error("no answer")),
      () => undefined,
    );
    try {
      await Promise.race([link.call(method, args, handle), late]);
    } catch (error) {
      this.#options.log.error(`worker pid ${link.pid} is ended: ${method}: ${(error as Error).message}`);
      link.kill();
    } finally {
      done.abort();
    }
  }

  /** A process that may borrow slots until it has been reaped. */
  #spawn(): WorkerLink {
    const tell = (method: string, args: GrantArgs | RecallArgs) => {
      // Fails only when the process has ended, and then everything is given back.
      link.call(method, args).catch((error: Error) => {
        if (!this.#stopping) this.#options.log.warning(`worker pid ${link.pid}: ${method}: ${error.message}`);
      });
    };
    const borrower: Borrower = {
      granted: (key, count) => tell("granted", { key, count }),
      recalled: (key, keep) => tell("recalled", { key, keep }),
    };
    const methods = new Map<string, (args: never) => unknown>([
      ["flushSite", ({ domain }: { domain: string }) => this.#siteFlushes.start(domain)],
      ["decisions", ({ lines }: DecisionArgs) => this.#options.decisions.append(String(lines))],
      ["held", (args: HeldArgs) => this.#held(args)],
      ["lease", (ask: SlotAsk) => this.#leases.ask(borrower, ask)],
      [
        "release",
        ({ slots }: ReleaseArgs) => {
          for (const [key, count] of slots) this.#leases.release(borrower, key, count);
        },
      ],
    ]);
    const link: WorkerLink = this.#options.spawn(methods);
    void link.ended.then(() => this.#leases.drop(borrower));
    return link;
  }

  async #held(args: HeldArgs): Promise<number> {
    const counts = (await this.callAll("held", args, HELD_TIMEOUT_MS)) as number[];
    return counts.reduce((sum, n) => sum + n, 0);
  }

  async #startSlot(slot: Slot): Promise<void> {
    const link = this.#spawn();
    slot.running = link;
    slot.startedAt = this.#options.clock.monotonic();
    void link.ended.then((how) => {
      const served = slot.link === link;
      slot.link = undefined;
      slot.running = undefined;
      if (served && !this.#stopping) this.#died(slot, link.pid, how);
    });
    try {
      const args = this.#options.startArgs(slot.shard);
      this.#options.started((await link.call("start", args)) as Started);
      for (const [key, socket] of this.#sockets) await link.call("listen", { key }, socket.raw);
      await this.#catchUp(slot, link, args.snapshot.files);
    } catch (error) {
      // Left alone it would keep the shard locked, and the master from ending.
      link.kill();
      await link.ended;
      throw error;
    }
    slot.link = link;
    for (const serves of slot.waiting) serves();
  }

  /** Files that were replaced while it started: files() did not reach it. */
  async #catchUp({ shard }: Slot, link: WorkerLink, known: StartArgs["snapshot"]["files"]): Promise<void> {
    for (let before = known; ; ) {
      const now = this.#options.startArgs(shard).snapshot.files;
      const files = [...now.values()].filter((image) => before.get(image.path) !== image);
      if (files.length === 0) return;
      before = now;
      await link.call("files", { files });
    }
  }

  #died(slot: Slot, pid: number, how: string): void {
    this.#options.log.warning(`process worker pid ${pid} ${how}`);
    const wait = Math.max(0, slot.startedAt + RESPAWN_INTERVAL_MS - this.#options.clock.monotonic());
    this.#options.clock.after(wait, () => {
      if (this.#stopping) return;
      this.#startSlot(slot).catch((error: Error) => {
        if (this.#stopping) return;
        this.#options.log.error(`cannot restart worker ${slot.shard}: ${error.message}`);
        this.#died(slot, 0, "did not start");
      });
    });
  }
}

function tryAgain({ shard }: Slot): TryAgainError {
  return new TryAgainError(`Worker ${shard} is being restarted; try again`);
}
