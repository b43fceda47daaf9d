/** master/master.ts: the first process: binds ports, starts and watches the workers, owns the log, reads privileged files.
 *  Reads no byte from the network but its control socket. */
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname as systemHostname } from "node:os";
import { join } from "node:path";
import { AnvilServer } from "../anvil/server.ts";
import { systemClock } from "../base/clock.ts";
import { formatProblem, problemText } from "../config/check.ts";
import { loadSnapshot, scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { servicesText } from "../config/services-file.ts";
import type { ConfigSnapshot, FileImage, Problem } from "../config/snapshot.ts";
import { DecisionStore } from "../decisions/store.ts";
import { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type ControlRequest, FOR_EVERYBODY, FOR_GROUP, FOR_OPERATORS, serveControl } from "../net/control-socket.ts";
import { lockDirectory } from "../net/instance-lock.ts";
import { ownNetworks } from "../net/interfaces.ts";
import { type BoundSocket, bindSocket, hasIpv6 } from "../net/listener.ts";
import { TicketKeys } from "../net/ticket-keys.ts";
import { commandsHere } from "./alias-commands.ts";
import { spawnCounted } from "./anvil-host.ts";
import { checkLoaded, inOrder } from "./check.ts";
import { ClaimHost } from "./claim-host.ts";
import { answerControl, makeClientDoor } from "./control.ts";
import {
  operatorsGroup,
  orphanShards,
  prepareDirectories,
  type QueueDirectories,
  queueDirectories,
  StartError,
  workerUser,
} from "./directories.ts";
import { FileWatch } from "./file-watch.ts";
import { Fleet } from "./fleet.ts";
import { inProcessWorker } from "./in-process-worker.ts";
import { type ListenerSpec, listenerSpecs } from "./listeners.ts";
import { MailLog } from "./mail-log.ts";
import { PausedLanes } from "./paused-lanes.ts";
import { pinRestartParameters } from "./pinned.ts";
import { spawnWithPipes } from "./pipe-client.ts";
import { PipeCommands } from "./pipe-commands.ts";
import type { WorkerUser } from "./protocol.ts";
import { reload } from "./reload.ts";
import type { Methods } from "./rpc.ts";
import { SpawnServices } from "./spawn-services.ts";
import { type SpawnSpec, spawnSpecsHere } from "./spawn-specs.ts";
import { isEverybody } from "./user-rights.ts";
import { workerCount } from "./worker-count.ts";
import { forkWorker } from "./worker-process.ts";

/** What sessions and deliveries get at `stop`. */
const STOP_GRACE_MS = 10_000;
/** How long a stop waits for a reload: more than its two phases may take. */
const RELOAD_WAIT_MS = 25_000;
/** How long the workers may take to look for messages. */
const QUEUED_MS = 30_000;

export interface MasterOptions {
  readonly configDirectory: string;
  readonly mailVersion: string;
  /** One line to the operator's terminal. */
  readonly say: (line: string) => void;
  /** Workers stay root: only for the demo in a checkout that nobody but root can read. */
  readonly workersAsRoot?: boolean;
  /** Where the log goes when maillog_file is empty; undefined: data_directory/maillog. */
  readonly defaultLog: string | undefined;
}

interface Loaded {
  readonly snapshot: ConfigSnapshot;
  readonly specs: readonly ListenerSpec[];
}

/** What a master has that no other may have. */
interface Held {
  readonly lock: { release(): void };
  readonly paused: PausedLanes;
}

export class Master {
  readonly #options: MasterOptions;
  readonly #params: Parameters;
  readonly #dirs: QueueDirectories;
  readonly #user: WorkerUser | undefined;
  readonly #lock: { release(): void };
  readonly #mailLog: MailLog;
  readonly #log: Log;
  /** Counters of clients; with one worker they are his. */
  readonly #anvil: AnvilServer | undefined;
  readonly #decisions: DecisionStore;
  readonly #claims: ClaimHost;
  readonly #fleet: Fleet;
  readonly #paused: PausedLanes;
  readonly #spawns: SpawnServices;
  readonly #pipes: PipeCommands;
  readonly #ticketKeys = TicketKeys.fresh(systemClock);
  readonly #sockets = new Map<string, BoundSocket>();
  readonly #watch: FileWatch;
  #loaded: Loaded;
  #doors: { close(): Promise<void> }[] = [];
  #busy: Promise<unknown> = Promise.resolve();
  #stopping = false;
  /** Resolves when the server has stopped. */
  readonly stopped: Promise<void>;
  #resolveStopped: () => void = () => undefined;

  private constructor(options: MasterOptions, loaded: Loaded, { lock, paused }: Held) {
    this.#options = options;
    this.#loaded = loaded;
    this.#lock = lock;
    this.#params = scopeOf(loaded.snapshot);
    this.#dirs = queueDirectories(this.#params);
    this.#user = accountOf(options, this.#params);
    const { defaultLog, say } = options;
    this.#mailLog = new MailLog(this.#params, { defaultLog, say, clock: systemClock, pid: process.pid });
    const host = this.#params.get("myhostname");
    const tag = `${this.#params.get("syslog_name")}/master`;
    this.#log = new Log({ sink: this.#mailLog.sink, now: systemClock.now, tag, id: process.pid });
    this.#anvil = this.#makeAnvil();
    this.#spawns = new SpawnServices({ clock: systemClock, log: this.#log });
    this.#pipes = new PipeCommands({ clock: systemClock, log: this.#log });
    this.#configureCommands();
    this.#decisions = new DecisionStore(
      this.#params.get("data_directory"),
      this.#params.get("postern_decision_log_limit"),
      (text) => this.#log.warning(printableUtf8(text)),
    );
    this.#claims = this.#makeClaims();
    this.#paused = paused;
    this.#fleet = this.#makeFleet(host);
    this.#watch = new FileWatch(
      systemClock,
      (files) => this.#replaceFiles(files),
      (error) => this.#log.warning(printableUtf8(`files that have changed are not known everywhere: ${error.message}`)),
    );
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  /** Reads, validates, binds, forks; resolves when every listener accepts. Throws StartError or BindError. */
  static async start(options: MasterOptions): Promise<Master> {
    const { problems, loaded } = await load(options, 1);
    for (const problem of problems) options.say(formatProblem(problem));
    if (!loaded || problems.some((problem) => problem.severity === "error")) {
      throw new StartError("The configuration has errors; nothing was started");
    }
    const params = scopeOf(loaded.snapshot);
    const dirs = queueDirectories(params);
    prepareDirectories(dirs, accountOf(options, params));
    const lock = await lockBoth(dirs.root, params.get("data_directory"));
    const master = new Master(options, loaded, { lock, paused: readPaused(dirs, lock) });
    try {
      await master.#open();
    } catch (error) {
      await master.#close();
      throw error;
    }
    return master;
  }

  /** Two-phase reload; rejects with the reason when the old configuration stays. Reloads queue up. */
  reload(): Promise<void> {
    const run = this.#busy.then(() => {
      if (this.#stopping) throw new StartError("The server is being stopped");
      return this.#reload();
    });
    this.#busy = run.catch(() => undefined);
    return run;
  }

  /** Finishes sessions (bounded) and stops; `abort` does not wait. */
  async stop(how: { readonly graceMs: number } = { graceMs: STOP_GRACE_MS }): Promise<void> {
    this.#stopping = true;
    this.#log.info("terminating on signal 15"); // Postfix's words for "postfix stop", too
    // A reload under way would open again what is closed here.
    if (how.graceMs > 0) await Promise.race([this.#busy, reloadLimit()]);
    await this.#fleet.stop(how.graceMs);
    await this.#close();
    this.#resolveStopped();
  }

  rotateLog(): Promise<void> {
    return this.#mailLog.reopen();
  }

  async #open(): Promise<void> {
    for (const spec of this.#loaded.specs) this.#sockets.set(spec.key, bindSocket(spec.host, spec.port, spec));
    (await this.#spawns.prepare(this.#spawnSpecs(this.#loaded.snapshot))).commit();
    writeFileSync(this.#dirs.pidFile, `${process.pid}\n`);
    await this.#claims.load();
    await this.#fleet.start(this.#sockets).catch((error: Error) => {
      throw this.#user && /\bEACCES\b|permission denied/.test(error.message)
        ? new StartError(`The account ${this.#user.name} cannot use queue_directory: ${error.message}`)
        : error;
    });
    this.#claims.settle();
    await this.#openDoors();
    this.#watch.start(this.#loaded.snapshot.files);
    const { configDirectory, mailVersion } = this.#options;
    this.#log.info(`daemon started -- version ${mailVersion}, configuration ${configDirectory}`);
  }

  async #openDoors(): Promise<void> {
    const target = {
      fleet: this.#fleet,
      master: this,
      generation: () => this.#loaded.snapshot.generation,
      paused: this.#paused,
      log: this.#log,
    };
    const client = makeClientDoor({
      ...target,
      maildrop: this.#dirs.maildrop,
      trusted: new Set([0, process.getuid?.() ?? 0, this.#user?.uid ?? 0]),
      isOpen: (right) => isEverybody(scopeOf(this.#loaded.snapshot).get(right)),
    });
    this.#doors = [
      await this.#openControl((request) => answerControl(request, target)),
      await serveControl(this.#dirs.client, FOR_EVERYBODY, (request) => client.answer(request)),
    ];
  }

  async #openControl(answer: (request: ControlRequest) => Promise<unknown>): Promise<{ close(): Promise<void> }> {
    const gid = operatorsGroup(this.#params);
    if (gid === undefined) return serveControl(this.#dirs.control, FOR_OPERATORS, answer);
    return serveControl(this.#dirs.control, { ...FOR_GROUP, gid }, answer).catch((error: Error) => {
      const name = this.#params.get("postern_operators_group");
      throw new StartError(
        `postern_operators_group = ${name}: ${error.message}; start as root, or as one of its members`,
      );
    });
  }

  async #reload(): Promise<void> {
    const { configDirectory, mailVersion } = this.#options;
    try {
      const { problems, loaded: read } = await load(this.#options, this.#loaded.snapshot.generation + 1);
      for (const problem of problems) this.#log[problem.severity](problemText(problem));
      const error = problems.find((problem) => problem.severity === "error");
      if (!read || error) throw new StartError(error ? formatProblem(error) : "nothing could be read");
      const { snapshot, kept } = pinRestartParameters(this.#loaded.snapshot, read.snapshot);
      for (const name of kept) this.#log.warning(`${name} has changed: stop and start to use the new value`);
      const loaded = { ...read, snapshot };
      await reload({
        ...loaded,
        sockets: this.#sockets,
        spawns: { services: this.#spawns, specs: this.#spawnSpecs(snapshot) },
        fleet: this.#fleet,
        bind: (spec) => bindSocket(spec.host, spec.port, spec),
        adopt: () => {
          this.#loaded = loaded;
          this.#configureCommands();
        },
        log: this.#log,
      });
      await this.#mailLog.configure(scopeOf(snapshot));
      this.#anvil?.configure(scopeOf(snapshot));
      this.#decisions.configure(scopeOf(snapshot).get("postern_decision_log_limit"));
      this.#watch.start(loaded.snapshot.files);
      this.#log.info(`reload -- version ${mailVersion}, configuration ${configDirectory}`);
    } catch (error) {
      this.#log.error(`reload refused, the old configuration goes on: ${(error as Error).message}`);
      throw error;
    }
  }

  /** Workers that start later get the new bytes with their snapshot. */
  async #replaceFiles(changed: readonly FileImage[]): Promise<void> {
    const files = new Map(this.#loaded.snapshot.files);
    for (const image of changed) files.set(image.path, image);
    this.#loaded = { ...this.#loaded, snapshot: { ...this.#loaded.snapshot, files } };
    try {
      this.#configureCommands(); // aliases may be among them
    } finally {
      await this.#fleet.files(changed);
    }
  }

  #configureCommands(): void {
    this.#pipes.configure(commandsHere(this.#loaded.snapshot, process.getuid?.() ?? 0));
  }

  /** Throws StartError where a command would have to run as somebody whom this master cannot become. */
  #spawnSpecs(snapshot: ConfigSnapshot): readonly SpawnSpec[] {
    const { specs, problems } = spawnSpecsHere(snapshot, { uid: process.getuid?.() ?? 0, ipv6: hasIpv6() });
    const error = problems.find(({ severity }) => severity === "error");
    if (error) throw new StartError(formatProblem(error));
    return specs;
  }

  #makeAnvil(): AnvilServer | undefined {
    if (workerCount(this.#params.get("postern_workers")) === 1) return undefined;
    const log = this.#log.with(`${this.#params.get("syslog_name")}/anvil`);
    return new AnvilServer({ params: this.#params, clock: systemClock, log });
  }

  #makeClaims(): ClaimHost {
    return new ClaimHost({
      path: join(this.#params.get("data_directory"), "duplicates"),
      clock: systemClock,
      warn: (text) => this.#log.warning(printableUtf8(text)),
      queued: async (ids) => new Set((await this.#fleet.callAll("queued", { ids }, QUEUED_MS)).flat() as string[]),
    });
  }

  #makeFleet(host: string): Fleet {
    const workers = workerCount(this.#params.get("postern_workers"));
    const spawn = String(this.#params.get("postern_workers")) === "0" ? inProcessWorker : forkWorker;
    return new Fleet({
      decisions: this.#decisions,
      workers,
      spawn: (methods) => {
        const start = (all: Methods) =>
          this.#claims.spawn(all, (claiming) =>
            spawnWithPipes(this.#pipes, claiming, (methods) => spawn(methods, this.#mailLog.reader())),
          );
        return this.#anvil ? spawnCounted(this.#anvil, methods, start) : start(methods);
      },
      startArgs: (shard) => ({
        snapshot: this.#loaded.snapshot,
        shard,
        workers,
        // Looked up at each start of a worker: those that were drained before it died are gone.
        adopt: shard === 0 ? orphanShards(this.#dirs, workers) : [],
        orphans: this.#claims.orphans,
        paused: this.#paused.keys,
        user: this.#user,
        hostname: host,
        ticketSeed: this.#ticketKeys.seed(),
      }),
      started: ({ queued }) => this.#claims.found(queued),
      clock: systemClock,
      log: this.#log,
    });
  }

  async #close(): Promise<void> {
    this.#watch.stop();
    await this.#fleet.stop(0);
    this.#pipes.close();
    await this.#spawns.close();
    await this.#decisions.idle();
    await this.#claims.close();
    for (const door of this.#doors) await door.close();
    for (const socket of this.#sockets.values()) socket.close();
    rmSync(this.#dirs.pidFile, { force: true });
    this.#anvil?.close();
    await this.#mailLog.close();
    this.#lock.release();
  }
}

/** Holds nobody up who is done. */
function reloadLimit(): Promise<void> {
  return new Promise((resolve) => void systemClock.after(RELOAD_WAIT_MS, resolve, { ref: false }));
}

function readPaused(dirs: QueueDirectories, lock: { release(): void }): PausedLanes {
  try {
    return new PausedLanes(dirs.paused);
  } catch (error) {
    lock.release();
    throw new StartError((error as Error).message);
  }
}

/** Throws StartError if another instance has one of them. */
async function lockBoth(queue: string, data: string): Promise<{ release(): void }> {
  const lock = await lockDirectory(queue);
  if (!lock) throw new StartError(`Another master runs on queue_directory "${queue}"; stop it first`);
  if (!existsSync(data) || realpathSync(data) === realpathSync(queue)) return lock;
  const second = await lockDirectory(data);
  if (!second) {
    lock.release();
    throw new StartError(`Another master runs with data_directory "${data}"; give each instance its own`);
  }
  return {
    release() {
      lock.release();
      second.release();
    },
  };
}

function accountOf(options: MasterOptions, params: Parameters): WorkerUser | undefined {
  return options.workersAsRoot ? undefined : workerUser(params, process.getuid?.() ?? 0);
}

/** Everything that can be known before anything is touched; nothing is loaded from files with syntax errors. */
async function load(
  options: MasterOptions,
  generation: number,
): Promise<{ readonly problems: readonly Problem[]; readonly loaded: Loaded | undefined }> {
  const { snapshot, problems } = await loadSnapshot({
    configDirectory: options.configDirectory,
    generation,
    hostname: systemHostname(),
    mailVersion: options.mailVersion,
    readFile: async (path) => readFileSync(path),
    listDirectory: async (path) => readdirSync(path),
    modifiedMs: async (path) => statSync(path).mtimeMs,
    interfaces: ownNetworks(),
  });
  if (!snapshot) return { problems: inOrder(problems), loaded: undefined };
  // Its problems are among those of checkLoaded().
  const { specs } = listenerSpecs(snapshot, { servicesText: servicesText(snapshot), ipv6: hasIpv6() });
  return { problems: inOrder([...problems, ...(await checkLoaded(snapshot))]), loaded: { snapshot, specs } };
}
