/** test/testbed/strace.ts: follows all threads of a running process with strace and reads back what it wrote. Needs the right
 *  to trace (root) and Debian's strace. What the calls mean is sync-order.ts. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ATTACH_TIMEOUT_MS = 10_000;
/** Longer than a database page and than any reply. */
const STRING_LIMIT_BYTES = 9000;

export interface Trace {
  /** What is written so far: strace is behind the process that it follows. */
  lines(): string;
  /** Lets go of the process; resolves to strace's lines. */
  stop(): Promise<string>;
}

/** Resolves when every thread of `pid` is followed. `calls` as strace's -e trace= has them. */
export function traceProcess(pid: number, calls: readonly string[]): Promise<Trace> {
  const directory = mkdtempSync(join(tmpdir(), "strace-test-"));
  const output = join(directory, "trace");
  const only = `trace=${calls.join(",")}`;
  const args = ["-f", "-ttt", "-y", "-s", String(STRING_LIMIT_BYTES), "-e", only, "-o", output, "-p", String(pid)];
  const child = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const lines = () => (existsSync(output) ? readFileSync(output, "latin1") : "");
  const stop = async () => {
    child.kill("SIGINT");
    await ended;
    const all = lines();
    rmSync(directory, { recursive: true, force: true });
    return all;
  };
  return new Promise((resolve, reject) => {
    let told = "";
    const late = setTimeout(() => reject(new Error(`strace does not attach: ${told}`)), ATTACH_TIMEOUT_MS);
    child.once("error", reject);
    child.stderr.on("data", (chunk: Buffer) => {
      told += chunk.toString("latin1");
      if (!/Process \d+ attached/.test(told)) return;
      clearTimeout(late);
      resolve({ lines, stop });
    });
    child.once("exit", (code) => {
      clearTimeout(late);
      reject(new Error(`strace ended with ${code}: ${told}`));
    });
  });
}

/** True where this machine can trace. */
export function hasStrace(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/strace");
}
