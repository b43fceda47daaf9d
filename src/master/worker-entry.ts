/** master/worker-entry.ts: the program of a forked worker. Root is given up before anything else is done. */
import { readFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { pipeWriter } from "../net/pipe-writer.ts";
import type { StartArgs } from "./protocol.ts";
import { Rpc } from "./rpc.ts";
import { Worker } from "./worker.ts";

/** File descriptor of the log pipe to the master. */
const LOG_FD = 3;
/** What a worker gets to finish when the master has vanished (design §4: workers end after the current commit). */
const ORPHAN_GRACE_MS = 1000;

const worker = new Worker({
  pid: process.pid,
  logWriter: pipeWriter(LOG_FD),
  hostsText: readHosts(),
  call: (method, args) => rpc.call(method, args),
  fail(error) {
    process.stderr.write(`postern: worker: ${error.stack}\n`);
    process.exit(75);
  },
});

const methods = new Map(worker.methods());
const start = methods.get("start");
methods.set("start", (args: StartArgs) => {
  // What was loaded was loaded as root, and only root may write it down for the next start.
  flushCompileCache();
  dropPrivileges(args);
  return start?.(args as never, undefined);
});

const rpc: Rpc = new Rpc((message, handle) => {
  // A master that has just ended cannot be told: "disconnect" follows, and with it the end.
  if (process.connected) process.send?.(message, handle as never, undefined, () => undefined);
}, methods);
process.on("message", (message, handle) => rpc.receive(message, handle));
process.on("disconnect", () => {
  rpc.close("The master has ended");
  void worker.drain({ graceMs: ORPHAN_GRACE_MS }).finally(() => process.exit(0));
});
// The master decides when to stop; a terminal's Ctrl-C reaches the whole process group.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
process.on("SIGHUP", () => undefined);

/** Order matters: groups while still root, the user last. */
function dropPrivileges({ user }: StartArgs): void {
  if (!user || process.getuid?.() !== 0) return;
  // @types/node leaves initgroups(3) out.
  (process as unknown as { initgroups(user: string, group: number): void }).initgroups(user.name, user.gid);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
}

function readHosts(): string {
  try {
    return readFileSync("/etc/hosts", "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
