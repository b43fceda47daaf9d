/** master/in-process-worker.ts: postern_workers = 0: the one worker runs in the master's process (small devices, debugging).
 *  Refused as root, since nothing would give up privileges. The calls are the same as over IPC. */
import { readFileSync } from "node:fs";
import { type Methods, Rpc } from "./rpc.ts";
import { Worker } from "./worker.ts";
import type { WorkerLink } from "./worker-process.ts";

export function inProcessWorker(methods: Methods, onLog: (lines: Uint8Array) => void): WorkerLink {
  let end: (how: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const worker = new Worker({
    pid: process.pid,
    logWriter: { write: (lines) => onLog(Buffer.from(lines)), waitingBytes: () => 0 },
    hostsText: readFileSync("/etc/hosts", "latin1"),
    call: (method, args) => workerSide.call(method, args),
    fail: (error) => end(error.message),
  });
  // A turn of the microtask queue stands for the channel, so that no call runs inside another.
  const masterSide: Rpc = new Rpc(
    (message, handle) => queueMicrotask(() => workerSide.receive(message, handle)),
    methods,
  );
  const workerSide: Rpc = new Rpc((message) => queueMicrotask(() => masterSide.receive(message)), worker.methods());
  return {
    pid: process.pid,
    call: (method, args, handle) => masterSide.call(method, args, handle),
    disconnect: () => end("stopped"),
    kill: () => end("stopped"),
    ended,
  };
}
