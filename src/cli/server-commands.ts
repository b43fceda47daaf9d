/** cli/server-commands.ts: start, stop and talk to the master, as postfix(1) does. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { formatProblem } from "../config/check.ts";
import { loadSnapshot, scopeOf } from "../config/load.ts";
import type { Parameters } from "../config/parameters.ts";
import { queueDirectories, StartError } from "../master/directories.ts";
import { Master } from "../master/master.ts";
import type { WorkerStatus } from "../master/protocol.ts";
import { askControl, DeniedError } from "../net/control-socket.ts";
import { BindError } from "../net/listener.ts";
import { mainCfOf, sourceOf } from "./main-cf.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Runs in the foreground until SIGTERM or SIGINT; prints "postern: ready" once every listener accepts. */
export const startForeground: Command = async (args, terminal) => {
  let master: Master;
  try {
    master = await Master.start({
      configDirectory: resolve(terminal.configDirectory),
      mailVersion: VERSION,
      say: (line) => terminal.stderr(`${line}\n`),
      defaultLog: args.includes("--background") ? undefined : "/dev/stdout",
    });
  } catch (error) {
    return failed(terminal, "start", (error as Error).message, exitCodeOf(error));
  }
  // Whoever reads "ready" may signal at once.
  onSignals(master);
  terminal.stdout("postern: ready\n");
  await master.stopped;
  return EXIT.done;
};

/** SIGHUP reloads, SIGTERM and SIGINT stop; a second one does not wait for sessions. */
export function onSignals(master: Master): void {
  let stopping = false;
  const stopNow = () => {
    const grace = stopping ? { graceMs: 0 } : undefined;
    stopping = true;
    void (grace ? master.stop(grace) : master.stop());
  };
  process.on("SIGTERM", stopNow);
  process.on("SIGINT", stopNow);
  // The refusal is in the log; the old configuration goes on.
  process.on("SIGHUP", () => void master.reload().catch(() => undefined));
}

/** Starts the server in the background and waits until it is ready or has said why not. */
export const start: Command = (_args, terminal) =>
  new Promise((done) => {
    const bin = new URL("../../bin/postern.js", import.meta.url).pathname;
    const child = spawn(process.execPath, [bin, "-c", terminal.configDirectory, "start-fg", "--background"], {
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (chunk: Buffer) => {
      if (!chunk.includes("postern: ready")) return;
      child.unref();
      child.stdout.destroy();
      terminal.stdout(`postern: started, pid ${child.pid}\n`);
      done(EXIT.done);
    });
    child.on("exit", (code) => done(code ?? EXIT.problems));
  });

export const stop: Command = (_args, terminal) => tell("stop", terminal);
export const abort: Command = (_args, terminal) => tell("abort", terminal);
export const reload: Command = (_args, terminal) => tell("reload", terminal);

export const flush: Command = (_args, terminal) => ask(terminal, "flush", "queue", { op: "flush", ids: "ALL" });

export const status: Command = async (_args, terminal) => {
  const answer = await control(terminal, "status", {});
  if (answer === undefined) {
    terminal.stdout("postern: the mail system is not running\n");
    return EXIT.problems;
  }
  const { pid, generation, workers } = answer as { pid: number; generation: number; workers: WorkerStatus[] };
  terminal.stdout(`postern: the mail system is running: PID: ${pid}, configuration generation ${generation}\n`);
  for (const worker of workers) {
    terminal.stdout(`worker ${worker.shard}: PID ${worker.pid}, ${worker.sessions} sessions\n`);
  }
  return EXIT.done;
};

async function tell(op: string, terminal: Terminal): Promise<number> {
  return ask(terminal, op, op, {});
}

async function ask(terminal: Terminal, command: string, op: string, args: Record<string, unknown>): Promise<number> {
  const answer = await control(terminal, op, args);
  if (answer === undefined) {
    const hint = command === "stop" || command === "abort" ? "" : "; start it: postern start";
    return failed(terminal, command, `the mail system is not running${hint}`, EXIT.notRunning);
  }
  return EXIT.done;
}

/** The master's answer (null if it has nothing to say), or undefined if none runs. */
export async function control(
  terminal: Terminal,
  op: string,
  args: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  return askAt(await controlPath(terminal), op, args);
}

/** The same, for who asks often: main.cf is not read each time. */
export async function askAt(path: string, op: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
  if (!existsSync(path)) return undefined;
  try {
    return await askControl(path, { op, args });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return undefined;
    if (code === "EACCES") {
      throw new DeniedError("it is for root, for who started the server, and for postern_operators_group");
    }
    throw error;
  }
}

/** Found also while main.cf or master.cf are broken: who edits them may want to stop the server. Throws StartError where
 *  nothing can be read and no server is at the default place. */
export async function controlPath(terminal: Terminal): Promise<string> {
  const { params, unreadable } = await mainCfOf(terminal);
  const path = queueDirectories(params).control;
  if (unreadable && !existsSync(path)) throw new StartError(formatProblem(unreadable));
  return path;
}

/** Directories of the configuration at hand, from main.cf as it is now. */
export async function directoriesOf(terminal: Terminal) {
  return queueDirectories(await parametersOf(terminal));
}

/** main.cf as it is now. Throws StartError where it cannot be read. */
export async function parametersOf(terminal: Terminal): Promise<Parameters> {
  const { snapshot, problems } = await loadSnapshot(sourceOf(terminal));
  const error = problems.find((problem) => problem.severity === "error");
  if (!snapshot) throw new StartError(error ? formatProblem(error) : "The configuration cannot be read");
  return scopeOf(snapshot);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof StartError) return EXIT.configuration;
  if (error instanceof BindError) return error.code === "EACCES" ? EXIT.notPermitted : EXIT.problems;
  return EXIT.problems;
}
