/** master/reload.ts: a reload in two phases (design §4). Read and validate; every worker loads generation g and says so;
 *  then commit. One refusal or a time-out aborts, and nothing has changed. */
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Log } from "../log/log.ts";
import type { BoundSocket } from "../net/listener.ts";
import type { Fleet } from "./fleet.ts";
import type { ListenerSpec } from "./listeners.ts";
import type { SpawnServices } from "./spawn-services.ts";
import type { SpawnSpec } from "./spawn-specs.ts";

const PHASE_TIMEOUT_MS = 10_000;

export interface ReloadInput {
  readonly snapshot: ConfigSnapshot;
  readonly specs: readonly ListenerSpec[];
  /** Sockets of the running generation, by key; updated in place. */
  readonly sockets: Map<string, BoundSocket>;
  readonly spawns: { readonly services: SpawnServices; readonly specs: readonly SpawnSpec[] };
  readonly fleet: Fleet;
  readonly bind: (spec: ListenerSpec) => BoundSocket;
  /** Every worker has loaded it: from now on it is the configuration, whatever a worker does. */
  readonly adopt: () => void;
  readonly log: Log;
}

/** Rejects with the reason, the old generation still running. */
export async function reload(input: ReloadInput): Promise<void> {
  const added = input.specs.filter((spec) => !input.sockets.has(spec.key));
  const bound = new Map<string, BoundSocket>();
  const spawns = await input.spawns.services.prepare(input.spawns.specs);
  try {
    for (const spec of added) bound.set(spec.key, input.bind(spec));
    await input.fleet.callAll("load", { snapshot: input.snapshot }, PHASE_TIMEOUT_MS);
  } catch (cause) {
    for (const socket of bound.values()) socket.close();
    await spawns.discard();
    await input.fleet.callAll("discard", {}, PHASE_TIMEOUT_MS).catch(() => undefined);
    throw cause;
  }
  const keys = input.specs.map((spec) => spec.key);
  input.adopt();
  await input.fleet.commit({ generation: input.snapshot.generation, keys });
  spawns.commit();
  for (const [key, socket] of bound) {
    input.sockets.set(key, socket);
    await input.fleet.listen(key, socket);
  }
  for (const [key, socket] of [...input.sockets]) {
    if (keys.includes(key)) continue;
    input.sockets.delete(key);
    input.fleet.forget(key);
    socket.close();
  }
}
