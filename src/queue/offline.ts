/** queue/offline.ts: the whole queue for a command line program while the server is down: every shard opened in this process
 *  under its exclusive lock. Refused when one is locked: then the server is running and must be asked instead. */
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { adminOf, type ShardAccess } from "./admin.ts";
import { checkQueueDirectory, listShards, shardName } from "./directory.ts";
import { asQueueError } from "./faults.ts";
import { type Operation, perform } from "./operations.ts";
import { openShard, type Shard } from "./shard.ts";
import { type QueueAdmin, QueueError } from "./store.ts";

export interface OfflineQueue extends QueueAdmin {
  /** What recovery had to say ("placed on hold", "moved to corrupt"), for the operator. */
  readonly notes: readonly string[];
  close(): void;
}

/** Opens all shards below `directory` (none is an empty queue). Throws QueueError: locked, other version, I/O. */
export function openOffline(directory: string): OfflineQueue {
  const refused = checkQueueDirectory(directory);
  if (refused !== undefined) throw new QueueError(refused, {});
  const shards = new Map<number, Shard>();
  const notes: string[] = [];
  const close = () => {
    for (const shard of shards.values()) shard.close();
    shards.clear();
  };
  try {
    for (const number of listShards(directory)) {
      const opened = openShard({ directory, shard: number, create: false, life: "new" });
      shards.set(number, opened.shard);
      notes.push(...opened.notes.map((note) => note.text));
    }
  } catch (error) {
    close();
    throw error;
  }
  const access: ShardAccess = {
    shards: () => [...shards.keys()],
    directoryOf: (shard) => join(directory, shardName(shard)),
    nowMs: () => systemClock.now(),
    call: async (number, op) => transact(shards.get(number), op as Operation) as never,
  };
  return { ...adminOf(access), notes, close };
}

function transact(shard: Shard | undefined, op: Operation): ReturnType<typeof perform> {
  if (!shard) throw new QueueError("The queue has been closed", {});
  try {
    shard.begin();
    const answer = perform(shard, op);
    shard.commit();
    shard.removeDoomedFiles();
    return answer;
  } catch (error) {
    shard.rollback();
    throw asQueueError("Queue storage failed", error);
  }
}
