/** master/pipe-client.ts: a worker's way to commands that only the master can run, and the master's end of it. */
import { mkdirSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { CommandEnd } from "../local/command-result.ts";
import type { PipeDoor } from "../local/pipe.ts";
import type { PipeAsk, PipeCommands } from "./pipe-commands.ts";
import type { Methods } from "./rpc.ts";
import type { WorkerLink } from "./worker-process.ts";

export interface PipeDoorParts {
  readonly directory: string;
  readonly shard: number;
  /** Calls the master. */
  readonly call: (method: string, args: unknown) => Promise<unknown>;
}

/** Removes what an earlier life of the worker has left. run() rejects if the master is gone. */
export function pipeDoor({ directory, shard, call }: PipeDoorParts): PipeDoor {
  let files = 0;
  let asks = 0;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(directory)) if (name.startsWith(`${shard}.`)) unlinkSync(join(directory, name));
  return {
    directory,
    nextFileName: () => `${shard}.${++files}`,
    async run(order, signal) {
      signal.throwIfAborted();
      const id = ++asks;
      // Fails only when the master has gone, and with it the command.
      const cancel = () => void call("pipeCancel", { id }).catch(() => undefined);
      signal.addEventListener("abort", cancel, { once: true });
      try {
        return (await call("pipe", { ...order, id } satisfies PipeAsk)) as CommandEnd;
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    },
  };
}

/** The worker that `spawn` starts may have commands run, until its end. */
export function spawnWithPipes(
  commands: PipeCommands,
  methods: Methods,
  spawn: (methods: Methods) => WorkerLink,
): WorkerLink {
  const owner = {};
  const own = new Map<string, (args: never) => unknown>([
    ["pipe", (ask: PipeAsk) => commands.run(owner, ask)],
    ["pipeCancel", ({ id }: { readonly id: number }) => commands.cancel(owner, id)],
  ]);
  const link = spawn(new Map([...methods, ...own]));
  void link.ended.then(() => commands.drop(owner));
  return link;
}
