/** qmgr/create.ts: makes the scheduler of a worker. */
import { Scheduler } from "./scheduler.ts";
import type { QueueManager, QueueManagerOptions } from "./scheduling.ts";

export type { QueueManager } from "./scheduling.ts";

/** Creates the scheduler of one worker; it does nothing before start(), or before mail arrives. */
export function createQueueManager(options: QueueManagerOptions): QueueManager {
  return new Scheduler(options);
}
