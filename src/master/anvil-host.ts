/** master/anvil-host.ts: where clients are counted. With several workers: in the master, which answers their calls and
 *  drops what a dead one held. With one: in that worker, which asks nobody. */
import type { Anvil, AnvilRequest } from "../anvil/anvil.ts";
import { AnvilServer } from "../anvil/server.ts";
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import { AnvilClient } from "./anvil-client.ts";
import type { Methods } from "./rpc.ts";
import type { WorkerLink } from "./worker-process.ts";

/** The counters as a worker has them. */
export interface WorkerAnvil extends Anvil {
  /** Takes over the times of a new configuration. */
  configure(params: Parameters): void;
  /** Logs the last statistics, if they are this worker's. */
  close(): void;
}

export interface WorkerAnvilOptions {
  readonly workers: number;
  readonly params: Parameters;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls the master. */
  readonly call: (method: string, args: unknown) => Promise<unknown>;
}

export function workerAnvil({ workers, params, clock, log, call }: WorkerAnvilOptions): WorkerAnvil {
  if (workers > 1) {
    const client = new AnvilClient({ call, clock, warn: (text) => log.warning(text) });
    return Object.assign(client, { configure: () => undefined, close: () => undefined });
  }
  const server = new AnvilServer({ params, clock, log });
  const counters = server.local(server);
  return { ...counters, configure: (changed) => server.configure(changed), close: () => server.close() };
}

/** The worker that `spawn` starts may ask the master's counters, until its end. */
export function spawnCounted(
  server: AnvilServer,
  methods: Methods,
  spawn: (methods: Methods) => WorkerLink,
): WorkerLink {
  const holder = {};
  let ended = false;
  const answer = (batch: readonly AnvilRequest[]) => {
    // What it had sent may arrive after its end: counted now, it would never be given back.
    if (ended) throw new Error("The worker has ended");
    return server.answer(holder, batch);
  };
  const link = spawn(new Map([...methods, ["anvil", answer]]));
  void link.ended.then(() => {
    ended = true;
    server.drop(holder);
  });
  return link;
}
