/** queue/directory.ts: names inside the queue directory, and whether a directory may be used as one at all. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { MAX_SHARDS } from "../mail/queue-id.ts";

const SHARD_NAME = /^shard-(\d{2,3})$/;
const DRAINED_NAME = /^shard-\d{2,3}\.drained$/;

/** `shard-07`; three digits from 100 on. */
export function shardName(shard: number): string {
  return `shard-${String(shard).padStart(2, "0")}`;
}

/** Numbers of all shards below `directory`, ascending; none if the directory does not exist. */
export function listShards(directory: string): readonly number[] {
  if (!isDirectory(directory)) return [];
  const shards: number[] = [];
  for (const name of readdirSync(directory)) {
    const number = Number(SHARD_NAME.exec(name)?.[1] ?? Number.NaN);
    if (number < MAX_SHARDS && shardName(number) === name) shards.push(number);
  }
  return shards.sort((a, b) => a - b);
}

/** What a shard is called while it is being removed: it is empty, and nobody looks for it any more. */
export function drainedName(path: string): string {
  return `${path}.drained`;
}

/** Removes shards that were renamed to drainedName(). Throws the file system's error. */
export function removeDrained(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (DRAINED_NAME.test(name)) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

/** Why `path` must not be used as queue directory, or undefined if it may (also when it does not exist yet). */
export function checkQueueDirectory(path: string): string | undefined {
  const kind = statSync(path, { throwIfNoEntry: false });
  if (!kind) return undefined;
  if (!kind.isDirectory()) return `Queue directory "${path}" is not a directory`;
  // Postfix's own layout: a queue of files in these three, and its master's lock.
  const postfix = ["incoming", "active", "deferred"].every((name) => isDirectory(join(path, name)));
  if (postfix || statSync(join(path, "pid", "master.pid"), { throwIfNoEntry: false })) {
    return `Queue directory "${path}" belongs to Postfix: set queue_directory to a directory of Postern's own`;
  }
  return undefined;
}

/** True for an existing directory. */
function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
