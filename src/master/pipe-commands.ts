/** master/pipe-commands.ts: runs the commands of pipe services for the workers (pipe(8)). A worker names a service, a file in the one
 *  directory of messages, and values for the macros: what is run, and as whom, is master.cf's alone. The file becomes the
 *  command's standard input; its output is kept up to a bound. No shell. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, fchownSync, fstatSync, openSync, statSync } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { fileErrorText } from "../config/file-error.ts";
import { messageVariables } from "../local/command-environment.ts";
import { type CommandEnd, MAX_COMMAND_OUTPUT } from "../local/command-result.ts";
import type { PipeOrder } from "../local/pipe.ts";
import { type PipeValues, pipeArguments } from "../local/pipe-arguments.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { PipeSpec } from "./pipe-specs.ts";
import { signalGroup } from "./process-group.ts";

/** What a command makes is its own alone, as under Postfix. */
const COMMAND_UMASK = 0o077;
/** How long output is waited for when the command has ended, but a process that it left behind holds it open. */
const OUTPUT_GRACE_MS = 1000;
/** EX_TEMPFAIL. */
const TEMPORARY_FAILURE = 75;

/** A worker's order; `id` names it among that worker's. */
export type PipeAsk = PipeOrder & { readonly id: number };

interface Job {
  readonly owner: object;
  readonly id: number;
  child?: ChildProcess;
  cancelled: boolean;
}

/** Commands of one service that run, and orders that wait for one to end. */
interface Slots {
  running: number;
  readonly waiting: (() => void)[];
}

export class PipeCommands {
  readonly #clock: Clock;
  readonly #log: Log;
  #specs: ReadonlyMap<string, PipeSpec> = new Map();
  readonly #slots = new Map<string, Slots>();
  readonly #jobs = new Set<Job>();

  constructor(context: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = context.clock;
    this.#log = context.log;
  }

  /** From the next command on. */
  configure(specs: ReadonlyMap<string, PipeSpec>): void {
    this.#specs = specs;
  }

  /** Never rejects. `owner`: the worker that asks. */
  async run(owner: object, ask: PipeAsk): Promise<CommandEnd> {
    const job: Job = { owner, id: ask.id, cancelled: false };
    this.#jobs.add(job);
    try {
      await this.#slot(ask.service);
      const spec = this.#specs.get(ask.service);
      if (job.cancelled) return { kind: "signal", signal: os.signals.SIGTERM, output: "" };
      if (!spec || spec.refusal !== undefined) {
        this.#warn(spec, `service ${ask.service}: ${spec?.refusal ?? "no such service"}`);
        return { kind: "refused" };
      }
      return await this.#runCommand(job, spec, ask);
    } finally {
      this.#jobs.delete(job);
      this.#free(ask.service);
    }
  }

  /** Ends a command; its run() tells how. */
  cancel(owner: object, id: number): void {
    for (const job of this.#jobs) if (job.owner === owner && job.id === id) end(job);
  }

  /** The worker has ended: its mail will be tried again. */
  drop(owner: object): void {
    for (const job of this.#jobs) if (job.owner === owner) end(job);
  }

  close(): void {
    for (const job of this.#jobs) end(job);
  }

  async #slot(service: string): Promise<void> {
    const slots = this.#slots.get(service) ?? { running: 0, waiting: [] };
    this.#slots.set(service, slots);
    slots.running++;
    if (slots.running <= (this.#specs.get(service)?.maxproc ?? 1)) return;
    await new Promise<void>((resolve) => slots.waiting.push(resolve));
  }

  #free(service: string): void {
    const slots = this.#slots.get(service);
    if (!slots) return;
    slots.running--;
    slots.waiting.shift()?.();
    if (slots.running === 0) this.#slots.delete(service);
  }

  async #runCommand(job: Job, spec: PipeSpec, { fileName, values }: PipeAsk): Promise<CommandEnd> {
    const [program = "", ...args] = pipeArguments(spec.command, values, spec.delimiter);
    const away = directoryProblem(spec);
    if (away !== undefined) {
      this.#warn(spec, `fatal: ${away}`);
      return { kind: "exit", status: TEMPORARY_FAILURE, output: "" };
    }
    let message: number;
    try {
      message = openMessage(spec, fileName);
    } catch (error) {
      this.#warn(spec, `cannot open a message: ${(error as Error).message}`);
      return { kind: "exit", status: TEMPORARY_FAILURE, output: "" };
    }
    try {
      job.child = startCommand({ ...spec, environment: environmentFor(spec, values) }, program, args, message);
    } catch (error) {
      return this.#notStarted(spec, program, error);
    } finally {
      closeSync(message);
    }
    return this.#ended(job.child, spec, program);
  }

  #ended(child: ChildProcess, spec: PipeSpec, program: string): Promise<CommandEnd> {
    const output = new Output(child);
    let timedOut = false;
    const limit = this.#clock.after(spec.timeLimitMs, () => {
      timedOut = true;
      this.#warn(spec, "pipe_command_read: read time limit exceeded");
      signalGroup(child, "SIGKILL");
    });
    return new Promise<CommandEnd>((resolve) => {
      const tell = (status: number | null, signal: NodeJS.Signals | null) => {
        limit.cancel();
        const text = output.text();
        if (timedOut) resolve({ kind: "timeLimit", output: text });
        else if (signal !== null) resolve({ kind: "signal", signal: os.signals[signal], output: text });
        else resolve({ kind: "exit", status: status ?? TEMPORARY_FAILURE, output: text });
      };
      child.once("error", (error) => {
        limit.cancel();
        resolve(this.#notStarted(spec, program, error));
      });
      child.once("exit", () => {
        limit.cancel(); // it was in time, whoever holds its output open: to run it again would deliver twice
        const late = this.#clock.after(OUTPUT_GRACE_MS, () => {
          child.stdout?.destroy();
          child.stderr?.destroy();
        });
        child.once("close", () => late.cancel());
      });
      child.once("close", tell);
    });
  }

  /** In the words that Postfix's child writes before it ends. */
  #notStarted(spec: PipeSpec, program: string, error: unknown): CommandEnd {
    const text = `fatal: pipe_command: execvp ${program}: ${fileErrorText(error)}`;
    this.#warn(spec, text);
    return { kind: "notStarted", text: `pipe: ${text}\n` };
  }

  #warn(spec: PipeSpec | undefined, text: string): void {
    (spec ? this.#log.with(spec.logTag) : this.#log).warning(printableUtf8(text));
  }
}

/** The first bytes of standard output and standard error, as they come. */
class Output {
  #text = "";

  constructor({ stdout, stderr }: ChildProcess) {
    for (const stream of [stdout, stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        if (this.#text.length < MAX_COMMAND_OUTPUT)
          this.#text += chunk.slice(0, MAX_COMMAND_OUTPUT - this.#text.length);
      });
      stream?.on("error", () => undefined);
    }
  }

  text(): string {
    return this.#text;
  }
}

function end(job: Job): void {
  job.cancelled = true;
  if (job.child) signalGroup(job.child, "SIGKILL");
}

function directoryProblem({ directory, account }: PipeSpec): string | undefined {
  try {
    if (statSync(directory).isDirectory()) return undefined;
    return `cannot change directory to "${directory}": Not a directory`;
  } catch (error) {
    const who = account ? ` for uid=${account.uid} gid=${account.gid}` : "";
    return `cannot change directory to "${directory}"${who}: ${fileErrorText(error)}`;
  }
}

/** Only a file that the worker itself has made: a link would let it read as root. The command becomes its owner, so that it can open
 *  /dev/stdin too. Throws file system errors. */
function openMessage({ messages, account }: PipeSpec, fileName: string): number {
  if (!/^[0-9A-Za-z][0-9A-Za-z.]*$/.test(fileName)) throw new Error(`bad file name ${fileName}`);
  const fd = openSync(
    join(messages.directory, fileName),
    constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  );
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.nlink !== 1 || found.uid !== messages.uid)
      throw new Error(`${fileName} is no message`);
    if (account) fchownSync(fd, account.uid, account.gid);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function environmentFor({ environment, exportFilter, delimiter }: PipeSpec, values: PipeValues) {
  if (exportFilter === undefined) return environment;
  // What the operator exports counts more than what a message brings.
  return { ...messageVariables(values, { allowed: exportFilter, delimiter }), ...environment };
}

/** Some failures are thrown, others become the child's error. */
function startCommand(spec: PipeSpec, program: string, args: readonly string[], message: number): ChildProcess {
  const before = process.umask(COMMAND_UMASK);
  try {
    return spawn(program, [...args], {
      cwd: spec.directory,
      env: spec.environment,
      stdio: [message, "pipe", "pipe"],
      detached: true, // setsid(2), as Postfix: its offspring ends with it
      ...spec.account,
    });
  } finally {
    process.umask(before);
  }
}
