/** master/spawn-service.ts: one spawn service (spawn(8)): runs a command for each connection, with the connection as its
 *  standard input, output and error. No shell; nothing of the connection is read here.
 *  A connection above maxproc waits, as it would in the listen queue of Postfix; only so many may wait. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Clock } from "../base/clock.ts";
import { fileErrorText } from "../config/file-error.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { UnreadConnection } from "../net/unread-connections.ts";
import { signalGroup } from "./process-group.ts";
import type { SpawnSpec } from "./spawn-specs.ts";

/** Connections that may wait for a command to end: Postfix's inet_listen_backlog. */
const MOST_WAITING = 100;
/** What a command makes is its own alone, as under Postfix. */
const COMMAND_UMASK = 0o077;
/** What commands get between SIGTERM and SIGKILL when the service ends. */
const END_GRACE_MS = 1000;

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

export class SpawnService {
  #spec: SpawnSpec;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #running = new Set<Running>();
  readonly #waiting = new Set<UnreadConnection>();
  #closed = false;

  constructor(spec: SpawnSpec, context: { readonly clock: Clock; readonly log: Log }) {
    this.#spec = spec;
    this.#clock = context.clock;
    this.#log = context.log;
  }

  /** From the next command on. */
  configure(spec: SpawnSpec): void {
    this.#spec = spec;
    this.#serve();
  }

  accept(connection: UnreadConnection): void {
    if (this.#closed || this.#waiting.size >= MOST_WAITING) {
      connection.close();
      if (!this.#closed)
        this.#warn(`service "${this.#spec.name}" has reached its process limit: a connection was closed`);
      return;
    }
    this.#waiting.add(connection);
    this.#serve();
  }

  /** Ends all commands. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const connection of this.#waiting) connection.close();
    this.#waiting.clear();
    const all = Promise.all([...this.#running].map(({ ended }) => ended));
    for (const { child } of this.#running) signalGroup(child, "SIGTERM");
    const late = this.#clock.after(END_GRACE_MS, () => {
      for (const { child } of this.#running) signalGroup(child, "SIGKILL");
    });
    await all;
    late.cancel();
  }

  #serve(): void {
    for (const connection of this.#waiting) {
      if (this.#running.size >= this.#spec.maxproc) return;
      this.#waiting.delete(connection);
      this.#run(connection);
    }
  }

  #run({ stdio, close }: UnreadConnection): void {
    const { argv, timeLimitMs } = this.#spec;
    const [program] = argv;
    let child: ChildProcess;
    try {
      child = startCommand(this.#spec, stdio);
    } catch (error) {
      this.#warn(`spawn_command: ${program}: ${(error as Error).message}`);
      return;
    } finally {
      close();
    }
    const limit = this.#clock.after(timeLimitMs, () => {
      this.#warn(`${program}: process id ${child.pid}: command time limit exceeded`);
      signalGroup(child, "SIGKILL");
    });
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        this.#warn(`spawn_command: execvp ${program}: ${fileErrorText(error)}`);
        resolve();
      });
      child.once("exit", (status, signal) => {
        this.#tellEnd(program, status, signal);
        resolve();
      });
    });
    const entry: Running = { child, ended };
    this.#running.add(entry);
    void ended.then(() => {
      limit.cancel();
      this.#running.delete(entry);
      this.#serve();
    });
  }

  #tellEnd(program: string, status: number | null, signal: NodeJS.Signals | null): void {
    if (this.#closed) return; // we ended it
    if (signal !== null) this.#warn(`command ${program} killed by signal ${constants.signals[signal]}`);
    else if (status !== 0) this.#warn(`command ${program} exit status ${status}`);
  }

  #warn(text: string): void {
    this.#log.warning(printableUtf8(text));
  }
}

/** Some failures are thrown, others become the child's error. */
function startCommand({ argv, account, environment, directory }: SpawnSpec, stdio: UnreadConnection["stdio"]) {
  const [program, ...args] = argv;
  const before = process.umask(COMMAND_UMASK);
  try {
    return spawn(program, args, {
      cwd: directory,
      env: environment,
      stdio: [stdio, stdio, stdio],
      detached: true, // setsid(2), as Postfix: its offspring ends with it
      ...account,
    });
  } finally {
    process.umask(before);
  }
}
