/** queue/shard.ts: one shard directory, opened under its exclusive lock: life cycle, transactions, checkpoints.
 *  Synchronous; runs in the store thread, or in a CLI process while the server is down. The statements are in
 *  delivery-rows.ts and admin-rows.ts, the rules of opening in README.md. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { systemClock } from "../base/clock.ts";
import { makeDirectorySync, syncDirectorySync } from "../base/durable.ts";
import { AdminRows } from "./admin-rows.ts";
import { DeliveryRows } from "./delivery-rows.ts";
import { shardName } from "./directory.ts";
import { asQueueError, faultOf } from "./faults.ts";
import { type Note, recover } from "./recovery.ts";
import { checkSchema, completeSchema, createSchema, openDatabase, PAGE_BYTES } from "./schema.ts";
import { ShapeRows } from "./shape-rows.ts";
import { QueueError } from "./store.ts";

export interface ShardOptions {
  /** The queue directory, which holds `shard-NN`. */
  readonly directory: string;
  readonly shard: number;
  /** False: a shard that does not exist is an error. */
  readonly create: boolean;
  /** "new" runs recovery; "same" reopens after a fault, so claims stay claimed. */
  readonly life: "new" | "same";
  /** Bound of the database in pages; failure tests fill it. */
  readonly maxPages?: number | undefined;
  /** Run quick_check before serving (after SQLite reported corruption). */
  readonly check?: boolean | undefined;
}

export interface OpenedShard {
  readonly shard: Shard;
  readonly notes: readonly Note[];
}

/** Opens or creates a shard. A corrupt one is moved to `corrupt/`, told in the notes, and replaced by an empty one if
 *  `create`. Throws QueueError: locked, other version, I/O. */
export function openShard(options: ShardOptions): OpenedShard {
  const path = join(options.directory, shardName(options.shard));
  try {
    if (!existsSync(path)) {
      if (!options.create) throw new QueueError(`Queue shard "${path}" does not exist`, {});
      createShard(path);
    }
    return openExisting(path, options);
  } catch (error) {
    const fault = faultOf(error);
    if (fault === "locked") {
      throw new QueueError(`Queue shard "${path}" is in use by another process: the server is running`, {
        cause: error,
      });
    }
    if (fault !== "corrupt") throw asQueueError(`Cannot open queue shard "${path}"`, error);
    return replaceCorrupt(path, options, error as Error);
  }
}

function replaceCorrupt(path: string, options: ShardOptions, error: Error): OpenedShard {
  try {
    const aside = moveAside(options.directory, path);
    const note: Note = {
      severity: "error",
      text: `queue shard "${path}" is corrupt (${error.message}): moved to "${aside}", nothing of it was deleted`,
    };
    createShard(path);
    const opened = openExisting(path, options);
    return { shard: opened.shard, notes: [note, ...opened.notes] };
  } catch (cause) {
    throw asQueueError(`Cannot replace corrupt queue shard "${path}"`, cause);
  }
}

/** Thrown for damage that SQLite cannot see; carries SQLITE_CORRUPT so that faultOf() knows it. */
function corruption(text: string): Error {
  return Object.assign(new Error(text), { errcode: 11 });
}

function openExisting(path: string, options: ShardOptions): OpenedShard {
  const file = join(path, "queue.sqlite");
  // An empty file would pass for a new database, and a queue would be lost without a word.
  const found = statSync(file, { throwIfNoEntry: false });
  if ((found?.size ?? 0) === 0) throw corruption("its database is missing or empty");
  if (found && (found.mode & 0o077) !== 0) chmodSync(file, 0o600);
  const db = openDatabase(file, options.maxPages);
  try {
    checkSchema(db, file);
    completeSchema(db);
    if (options.check) quickCheck(db);
    mkdirSync(join(path, "content"), { recursive: true, mode: 0o700 });
    const notes = options.life === "new" ? recover(db, path) : [];
    return { shard: new Shard(db, path, options.shard), notes };
  } catch (error) {
    db.close();
    throw error;
  }
}

function quickCheck(db: DatabaseSync): void {
  const verdict = db.prepare("PRAGMA quick_check(1)").get()?.quick_check;
  if (verdict !== "ok") throw corruption(String(verdict));
}

/** Makes the shard aside and renames it, so that a shard directory always holds a whole database. */
export function createShard(path: string): void {
  const aside = `${path}.new`;
  makeDirectorySync(dirname(path), 0o700);
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(join(aside, "content"), { recursive: true, mode: 0o700 });
  const file = join(aside, "queue.sqlite");
  closeSync(openSync(file, "wx", 0o600)); // SQLite gives its other files the same mode
  const db = openDatabase(file);
  try {
    createSchema(db);
  } finally {
    db.close();
  }
  syncDirectorySync(aside);
  renameSync(aside, path);
  syncDirectorySync(dirname(path));
}

function moveAside(directory: string, path: string): string {
  const corrupt = join(directory, "corrupt");
  mkdirSync(corrupt, { recursive: true, mode: 0o700 });
  const aside = join(corrupt, `${basename(path)}-${systemClock.nowMicros()}`);
  renameSync(path, aside);
  syncDirectorySync(corrupt);
  syncDirectorySync(directory);
  return aside;
}

export class Shard {
  readonly number: number;
  readonly directory: string;
  readonly delivery: DeliveryRows;
  readonly admin: AdminRows;
  readonly shape: ShapeRows;
  readonly #db: DatabaseSync;
  readonly #walFrames: StatementSync;
  readonly #setFloor: StatementSync;
  readonly #anyMessage: StatementSync;
  #floorMicros: number;
  #storedFloorMicros: number;

  constructor(db: DatabaseSync, directory: string, number: number) {
    this.#db = db;
    this.directory = directory;
    this.number = number;
    this.delivery = new DeliveryRows(db);
    this.admin = new AdminRows(db, this.delivery);
    this.shape = new ShapeRows(db);
    this.#walFrames = db.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#setFloor = db.prepare("UPDATE meta SET value = ? WHERE name = 'floor'");
    this.#anyMessage = db.prepare("SELECT 1 FROM message LIMIT 1");
    this.#floorMicros = Number(db.prepare("SELECT value FROM meta WHERE name = 'floor'").get()?.value);
    this.#storedFloorMicros = this.#floorMicros;
  }

  /** Time of the newest queue id of this shard that was ever committed; see noteKey(). */
  get floorMicros(): number {
    return this.#floorMicros;
  }

  /** Raises the floor; written with the next commit, so that a removed message's id is never given again. */
  noteKey(key: bigint): void {
    if (Number(key & 0xffn) === this.number) this.#floorMicros = Math.max(this.#floorMicros, Number(key >> 8n));
  }

  get isEmpty(): boolean {
    return this.#anyMessage.get() === undefined;
  }

  begin(): void {
    this.#db.exec("BEGIN");
  }

  /** Returns after the WAL has been synced. */
  commit(): void {
    if (this.#floorMicros > this.#storedFloorMicros) this.#setFloor.run(this.#floorMicros);
    this.#db.exec("COMMIT");
    this.#storedFloorMicros = this.#floorMicros;
  }

  /** Also when SQLite has rolled back by itself, as it does on SQLITE_FULL. */
  rollback(): void {
    this.delivery.doomedFiles = [];
    if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
  }

  /** Unlinks the content of removed messages; call after commit(). Files that cannot be removed now go at the next start. */
  removeDoomedFiles(): readonly Note[] {
    const notes: Note[] = [];
    for (const name of this.delivery.doomedFiles) {
      try {
        unlinkSync(join(this.directory, "content", name));
      } catch (error) {
        notes.push({ severity: "warning", text: `cannot remove content "${name}": ${(error as Error).message}` });
      }
    }
    this.delivery.doomedFiles = [];
    return notes;
  }

  get walBytes(): number {
    return Number(this.#walFrames.get()?.log) * PAGE_BYTES;
  }

  /** Moves the whole WAL into the database and syncs it; the next commit starts the WAL file from its beginning. */
  checkpoint(): void {
    const result = this.#db.prepare("PRAGMA wal_checkpoint(RESTART)").get();
    if (result?.busy) throw new Error("Checkpoint is busy");
  }

  close(): void {
    this.#db.close();
  }
}
