/** queue/rebuild.ts: makes a new shard of what can be read of a damaged one, which stays as it is. Exactly once: the new shard
 *  comes into being by one rename, and before it a note in the damaged shard's directory says under which name. */
import {
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { syncDirectorySync } from "../base/durable.ts";
import { MAX_SHARDS } from "../mail/queue-id.ts";
import { listShards, shardName } from "./directory.ts";
import { asQueueError } from "./faults.ts";
import { type Salvage, salvage } from "./salvage.ts";
import { createSchema, openDatabase, rebuildReleases } from "./schema.ts";
import { createShard } from "./shard.ts";
import { QueueError } from "./store.ts";

/** In the damaged shard's directory: which shard was made of it. */
const NOTE = "recovered-as";

export interface Rebuilt extends Salvage {
  /** Number of the new shard; undefined: nothing could be read, none was made. */
  readonly shard: number | undefined;
}

export interface DamagedShard {
  /** Its directory. */
  readonly path: string;
  readonly name: string;
  /** Of its database file and its log. */
  readonly sizeBytes: number;
  /** Name of the shard that was made of it, if one was. */
  readonly recoveredAs: string | undefined;
}

/** What was moved aside below the queue directory, oldest first. */
export function listDamaged(queueDirectory: string): readonly DamagedShard[] {
  const corrupt = join(queueDirectory, "corrupt");
  if (!existsSync(corrupt)) return [];
  return readdirSync(corrupt)
    .sort()
    .map((name) => damagedAt(join(corrupt, name)));
}

/** A damaged shard by its directory or its database file. Throws QueueError where there is none. */
export function damagedAt(given: string): DamagedShard {
  const path = basename(given) === "queue.sqlite" ? dirname(given) : given;
  const size = (file: string) => statSync(join(path, file), { throwIfNoEntry: false })?.size ?? 0;
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new QueueError(`"${path}" is no shard's directory`, {});
  return {
    path,
    name: basename(path),
    sizeBytes: size("queue.sqlite") + size("queue.sqlite-wal"),
    recoveredAs: recoveredAs(path),
  };
}

/** What could be recovered; changes nothing. Throws QueueError. */
export function inspectShard({ path }: DamagedShard): Salvage {
  return attempt(`Cannot read "${path}"`, () => {
    const scratch = new DatabaseSync("", { readBigInts: true }); // a file of its own that is gone when it is closed
    try {
      createSchema(scratch);
      return salvage(scratch, { directory: path, withContent: false });
    } finally {
      scratch.close();
    }
  });
}

/** Makes a new shard whose number is at least `atLeast` (no worker's own). Throws QueueError: recovered already, I/O. */
export function rebuildShard(
  damaged: DamagedShard,
  options: { readonly queueDirectory: string; readonly atLeast: number },
): Rebuilt {
  const { path } = damaged;
  const made = join(options.queueDirectory, `salvage-${damaged.name}`);
  const before = recoveredAs(path);
  // With the note, but not yet renamed: the last attempt was interrupted between the two.
  if (before !== undefined && !existsSync(made)) {
    throw new QueueError(`"${path}" was recovered already, as ${before}; to do it again would send mail twice`, {});
  }
  return attempt(`Cannot recover "${path}"`, () => {
    rmSync(made, { recursive: true, force: true });
    createShard(made);
    const found = fillShard(path, made);
    if (found.messages === 0) {
      rmSync(made, { recursive: true });
      return { ...found, shard: undefined };
    }
    const shard = freeNumber(options);
    giveTo(made, statSync(options.queueDirectory));
    writeNote(path, shardName(shard));
    renameSync(made, join(options.queueDirectory, shardName(shard)));
    syncDirectorySync(options.queueDirectory);
    return { ...found, shard };
  });
}

function fillShard(path: string, made: string): Salvage {
  const db = openDatabase(join(made, "queue.sqlite"));
  try {
    const found = salvage(db, { directory: path, withContent: true });
    rebuildReleases(db);
    // What may have left the queue long ago must not be sent before somebody has looked at it.
    if (found.uncertain) db.exec("UPDATE message SET held = 1; UPDATE recipient SET state = 2");
    for (const row of db.prepare("SELECT body_file FROM message WHERE body_file IS NOT NULL").iterate()) {
      takeFile(join(path, "content", String(row.body_file)), join(made, "content", String(row.body_file)));
    }
    syncDirectorySync(join(made, "content"));
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    return found;
  } finally {
    db.close();
  }
}

/** The same file under a second name, where the file system can: it is only ever read and unlinked. */
function takeFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
    const fd = openSync(to, "r");
    fsyncSync(fd);
    closeSync(fd);
  }
}

function freeNumber({
  queueDirectory,
  atLeast,
}: {
  readonly queueDirectory: string;
  readonly atLeast: number;
}): number {
  const taken = new Set(listShards(queueDirectory));
  for (let number = atLeast; number < MAX_SHARDS; number++) if (!taken.has(number)) return number;
  throw new QueueError("No shard number is free", {});
}

/** Made by root, used by the account of the workers. */
function giveTo(directory: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  if (statSync(directory).uid === uid) return;
  for (const name of ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" })])
    chownSync(join(directory, name), uid, gid);
}

function writeNote(path: string, name: string): void {
  writeFileSync(join(path, NOTE), `${name}\n`, { mode: 0o600, flush: true });
  syncDirectorySync(path);
}

function recoveredAs(path: string): string | undefined {
  try {
    return readFileSync(join(path, NOTE), "latin1").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw asQueueError(`Cannot read "${join(path, NOTE)}"`, error);
  }
}

function attempt<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw asQueueError(what, error);
  }
}
