/** master/worker-process.ts: one forked worker as the master sees it: calls, its log pipe, its end. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Methods, Rpc } from "./rpc.ts";

const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./worker-entry.ts" : "./worker-entry.js", import.meta.url),
);

export interface WorkerLink {
  readonly pid: number;
  call(method: string, args: unknown, handle?: unknown): Promise<unknown>;
  /** Closes the channel: a drained worker ends at once. */
  disconnect(): void;
  /** SIGKILL, when it does not answer. */
  kill(): void;
  /** Resolves when the process has been reaped. */
  readonly ended: Promise<string>;
}

/** Starts a worker process, which may call `methods`; `onLog` gets whole chunks of its log pipe. */
export function forkWorker(methods: Methods, onLog: (chunk: Uint8Array) => void): WorkerLink {
  const child: ChildProcess = fork(ENTRY, [], {
    // For base/garbage.ts.
    execArgv: [...process.execArgv, "--expose-gc"],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "inherit", "pipe", "ipc"],
  });
  const rpc = new Rpc((message, handle) => {
    if (child.connected) child.send(message as never, handle as never, () => undefined);
  }, methods);
  child.on("message", (message) => rpc.receive(message));
  child.stdio[3]?.on("data", onLog);
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => {
      rpc.close(error.message);
      resolve(error.message);
    });
    child.on("exit", (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `killed by signal ${signal}`;
      rpc.close(`The worker ended: ${how}`);
      resolve(how);
    });
  });
  return {
    pid: child.pid ?? 0,
    call: (method, args, handle) => rpc.call(method, args, handle),
    disconnect: () => {
      if (child.connected) child.disconnect();
    },
    kill: () => child.kill("SIGKILL"),
    ended,
  };
}
