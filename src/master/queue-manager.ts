/** master/queue-manager.ts: wires the scheduler of a worker: it outlives the generations, and asks the current one. */
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { createQueueManager, type QueueManager } from "../qmgr/create.ts";
import type { QueueStore } from "../queue/store.ts";
import type { Generation } from "./generation.ts";
import type { WorkerKit } from "./kit.ts";
import type { LeaseClient } from "./lease-client.ts";
import { liveParameters, liveResolver } from "./live.ts";

export interface SchedulerParts {
  readonly kit: Omit<WorkerKit, "queue">;
  readonly store: QueueStore;
  readonly leases: LeaseClient;
  readonly workers: number;
  readonly current: () => Generation;
}

export function wireQueueManager({ kit, store, leases, workers, current }: SchedulerParts): QueueManager {
  const params = liveParameters(() => current().params);
  const logFor = (program: string) => kit.logFor(current().logTag(program));
  return createQueueManager({
    store,
    resolver: liveResolver(() => current().resolver),
    agent: (transport) => current().agents.get(transport),
    bounces: { compose: (input) => current().bounces.compose(input) },
    nextQueueId: kit.nextQueueId as () => QueueId,
    params,
    log: logFor("qmgr"),
    logFor,
    clock: kit.clock,
    random: Math.random,
    maxproc: (transport) => maxprocOf(current().snapshot, transport),
    workers,
    leases,
  });
}

/** The rooms' door to the queue; opens when the scheduler is there: each needs the other. */
export function queueDoor(store: QueueStore, scheduler: { readonly qmgr?: QueueManager }): WorkerKit["queue"] {
  const open = (): QueueManager => {
    if (!scheduler.qmgr) throw new Error("The scheduler has not started");
    return scheduler.qmgr;
  };
  return {
    store,
    laneOf: (recipient, sender, filter) => open().laneOf(recipient, sender, filter),
    arrived: (message) => open().arrived(message),
    poke: () => open().poke(),
    dueAt: (dueMs) => open().dueAt(dueMs),
  };
}

/** The process limit that master.cf gives to a transport; undefined where it gives none. */
function maxprocOf({ services }: ConfigSnapshot, transport: string): number | undefined {
  return services.find(({ name, type }) => type === "unix" && name === transport)?.maxproc;
}
