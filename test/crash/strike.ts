/** test/crash/strike.ts: strikes a running worker at an exact system call, by strace's fault injection: the process is
 *  killed instead of making the call, or the call fails with an error that a broken disk would give. The product has no
 *  seam for it. Needs the right to trace (root) and Debian's strace. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ATTACH_TIMEOUT_MS = 10_000;

/** A worker's threads by what they do: sockets and log; the database; files of large bodies. */
export type Thread = "main" | "store" | "pool";

/** `signal`: instead of the call. `error`: what the call returns without having been made. */
export type Blow = { readonly signal: "KILL" } | { readonly error: "EIO" | "ENOSPC" };

export interface Strike {
  readonly thread: Thread;
  readonly call: string;
  /** Only calls on this file, absolute; undefined: on any. */
  readonly path?: string | undefined;
  /** The n-th such call of the thread from the attachment on; "N+": that and all later ones. */
  readonly when: string;
  readonly blow: Blow;
}

export interface Attached {
  /** What strace has written so far: it is behind the process. */
  lines(): string;
  /** Lets go; resolves to strace's lines. */
  detach(): Promise<string>;
}

/** Resolves when the thread is followed. `gone` is called when the process has ended, unless it was let go before. */
export function strike(pid: number, { thread, call, path, when, blow }: Strike, gone: () => void): Promise<Attached> {
  const what = "signal" in blow ? `signal=${blow.signal}` : `error=${blow.error}`;
  const only = path === undefined ? [] : ["-P", path];
  const inject = [...only, "-e", `trace=${call}`, "-e", `inject=${call}:${what}:when=${when}`];
  return attach(threadIds(pid, thread), inject, gone);
}

/** Only records. */
export function record(pid: number, calls: readonly string[]): Promise<Attached> {
  return attach([...threadsOf(pid).keys()], ["-e", `trace=${calls.join(",")}`], () => undefined);
}

/** What each thread that record() follows is. */
export function threadsOf(pid: number): ReadonlyMap<number, Thread> {
  const all: readonly Thread[] = ["main", "store", "pool"];
  return new Map(all.flatMap((thread) => threadIds(pid, thread).map((tid) => [tid, thread] as const)));
}

/** Threads as Node names them. With UV_THREADPOOL_SIZE=1, as run.ts sets it, each is one. */
function threadIds(pid: number, thread: Thread): readonly number[] {
  const name = { main: "MainThread", store: "WorkerThread", pool: "libuv-worker" }[thread];
  const tids = readdirSync(`/proc/${pid}/task`).filter(
    (tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, "latin1").trim() === name,
  );
  if (tids.length !== 1) throw new Error(`Process ${pid} has ${tids.length} threads named ${name}, not one`);
  return tids.map(Number);
}

function attach(tids: readonly number[], options: readonly string[], gone: () => void): Promise<Attached> {
  const directory = mkdtempSync(join(tmpdir(), "strike-"));
  const output = join(directory, "trace");
  const args = ["-y", "-s", "60", "-o", output, ...options, ...tids.flatMap((tid) => ["-p", String(tid)])];
  const child = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  let letGo = false;
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = () => (existsSync(output) ? readFileSync(output, "latin1") : "");
  const detach = async () => {
    letGo = true;
    child.kill("SIGINT"); // in vain if the process has ended
    await ended;
    const all = lines();
    rmSync(directory, { recursive: true, force: true });
    return all;
  };
  return new Promise((resolve, reject) => {
    let told = "";
    let attached = 0;
    const late = setTimeout(() => reject(new Error(`strace does not attach: ${told}`)), ATTACH_TIMEOUT_MS);
    child.once("error", reject);
    child.stderr.on("data", (chunk: Buffer) => {
      told += chunk.toString("latin1");
      attached = told.match(/Process \d+ attached/g)?.length ?? 0;
      if (attached < tids.length) return;
      clearTimeout(late);
      resolve({ lines, detach });
    });
    child.once("exit", () => {
      clearTimeout(late);
      reject(new Error(`strace ended: ${told}`));
      if (!letGo) gone();
    });
  });
}
