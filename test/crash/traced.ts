/** test/crash/traced.ts: a whole server, or a command, that runs under strace from its first moment, so that it can be
 *  killed at an exact system call of its start, or all that it does be recorded. strike.ts is for workers that run already. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestServer } from "../testbed/server.ts";

const LOOK_MS = 30;
const END_MS = 30_000;
const LONGEST_WRITE_BYTES = 1 << 20;

export class Tracing {
  readonly #directory = mkdtempSync(join(tmpdir(), "traced-"));
  readonly #options: readonly string[];
  readonly #kills: boolean;

  /** `kill`: the call at which any of the processes is killed, once for each thread; undefined: only recorded. */
  constructor(
    calls: readonly string[],
    kill?: { readonly call: string; readonly n: number },
    options: readonly string[] = [],
  ) {
    this.#kills = kill !== undefined;
    const inject = kill ? ["-e", `inject=${kill.call}:signal=KILL:when=${kill.n}`] : [];
    // Not --seccomp-bpf, which would be faster: signals are not injected then (strace 6.1).
    this.#options = ["-f", ...options, "-e", `trace=${calls.join(",")}`, ...inject];
  }

  /** Records calls with times, paths, and all that is written. */
  static whole(calls: readonly string[]): Tracing {
    return new Tracing(calls, undefined, ["--seccomp-bpf", "-ttt", "-y", "-s", String(LONGEST_WRITE_BYTES)]);
  }

  /** True when a process was killed. */
  get hasKilled(): boolean {
    return this.#kills && / \+\+\+ killed by SIGKILL \+\+\+/.test(this.lines());
  }

  /** How often each thread made a call. */
  countsOf(call: string): readonly number[] {
    const counts = new Map<string, number>();
    for (const [, tid = "", made] of this.lines().matchAll(/^(\d+) +(\w+)\(/gm)) {
      if (made === call) counts.set(tid, (counts.get(tid) ?? 0) + 1);
    }
    return [...counts.values()];
  }

  /** Starts the server, lets it work, stops it; ends when it has stopped, or when all is dead after a kill, which `struck`
   *  is told at once. */
  async server(
    server: TestServer,
    { work, struck }: { work: (isOver: () => boolean) => Promise<unknown>; struck: () => void },
  ): Promise<void> {
    const started = server.start(this.#words()).then(
      () => true,
      () => false,
    );
    let over = false;
    const watch = this.#killed(() => over).then((killed) => {
      if (killed) struck();
    });
    try {
      const isReady = await Promise.race([started, watch.then(() => false)]);
      if (isReady) await work(() => this.hasKilled);
      if (isReady && !this.hasKilled) this.#signal(server, "SIGTERM");
      await Promise.race([server.ended(), watch]);
      if (this.hasKilled) this.#signal(server, "SIGKILL");
      await this.#endOf(server);
    } finally {
      over = true;
      await watch;
    }
  }

  /** Runs a command to its end. */
  async command(server: TestServer, args: readonly string[]): Promise<void> {
    const words = [...this.#words(), process.execPath, ...server.words(args)];
    const child: ChildProcess = spawn(words[0] ?? "", words.slice(1), { stdio: "ignore", timeout: END_MS });
    await new Promise<void>((resolve) => child.once("close", () => resolve()));
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #words(): readonly string[] {
    return ["strace", ...this.#options, "-o", join(this.#directory, "trace")];
  }

  /** What strace has written. */
  lines(): string {
    try {
      return readFileSync(join(this.#directory, "trace"), "latin1");
    } catch {
      return "";
    }
  }

  async #killed(isOver: () => boolean): Promise<boolean> {
    while (!this.hasKilled && !isOver()) await sleep(LOOK_MS);
    return this.hasKilled;
  }

  /** To the master, strace's only child. */
  #signal(server: TestServer, signal: NodeJS.Signals): void {
    try {
      const children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, "latin1");
      for (const pid of children.trim().split(" ").filter(Boolean)) process.kill(Number(pid), signal);
    } catch {
      // It has ended by itself.
    }
  }

  /** Orphaned workers end by themselves. */
  async #endOf(server: TestServer): Promise<void> {
    const late = setTimeout(() => server.kill("SIGKILL"), END_MS);
    await server.ended();
    clearTimeout(late);
  }
}
