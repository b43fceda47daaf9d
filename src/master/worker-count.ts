/** master/worker-count.ts: postern_workers as a number. */
import { availableParallelism } from "node:os";
import { MAX_SHARDS } from "../mail/queue-id.ts";

/** "auto" is one worker per available core; 0 (one, inside the master) counts as one shard. */
export function workerCount(setting: string | number): number {
  const wanted = String(setting) === "auto" ? availableParallelism() : Number(setting);
  return Math.min(Math.max(1, wanted), MAX_SHARDS);
}
