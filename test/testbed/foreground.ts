/** test/testbed/foreground.ts: a start of which the end is the question: what it said, its exit code, and that it ended at
 *  all. A server that is meant to run is TestServer.start(). */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { readableCheckout } from "./checkout.ts";

const HUNG_MS = 20_000;

export interface StartEnd {
  /** Exit code, or "hung" when the process had to be killed. */
  readonly code: number | "hung" | null;
  readonly stdout: string;
  /** Lines of standard error. */
  readonly said: readonly string[];
}

/** Runs start-fg in a config directory until it ends; one that gets ready gets SIGTERM if `stop` is set. */
export function startToEnd(configDirectory: string, options: { readonly stop?: boolean } = {}): Promise<StartEnd> {
  const launcher = join(readableCheckout(), "bin/postern.js");
  const child = spawn(process.execPath, [launcher, "-c", configDirectory, "start-fg"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let hung = false;
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("latin1");
    if (options.stop && chunk.includes("postern: ready")) child.kill("SIGTERM");
  });
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("latin1")));
  const late = setTimeout(() => {
    hung = true;
    child.kill("SIGKILL");
  }, HUNG_MS);
  return new Promise((resolve) => {
    // "close" would also wait for workers that a hung master left behind.
    child.once("exit", (code) => {
      clearTimeout(late);
      const end = () => resolve({ code: hung ? "hung" : code, stdout, said: stderr.split("\n").filter(Boolean) });
      if (hung) end();
      else child.once("close", end);
    });
  });
}
