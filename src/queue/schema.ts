/** queue/schema.ts: the tables of one shard, and opening its database file.
 *  Keys: a message's key is micros × 256 + shard of its queue id, so rows lie in order of time and need no further index.
 *  Content is apart from the message so that listing a long queue does not read bodies. */
import { DatabaseSync } from "node:sqlite";
import { parseQueueId, type QueueId } from "../mail/queue-id.ts";
import { QueueError } from "./store.ts";

/** `user_version` of the database; a queue of another version is refused, never converted silently. */
const SCHEMA_VERSION = 2;
/** `application_id`: "PstQ". */
const APPLICATION_ID = 0x50737451;
/** One 4 KiB message with its header fits one page; measured best together with the split of content from message. */
export const PAGE_BYTES = 8192;

/** recipient.state. */
export const WAITING = 0;
export const CLAIMED = 1;
export const HELD = 2;

/** Messages that are not to be sent before a time (RFC 4865), until they leave. Newer than the others: made where it is
 *  missing, and a program that does not know it leaves rows behind, which opening removes. */
const RELEASES = `
  CREATE TABLE IF NOT EXISTS future_release (message INTEGER PRIMARY KEY, until INTEGER NOT NULL, owner TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS future_release_owner ON future_release (owner, until);
`;

const TABLES = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    held INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    body_file TEXT,
    envelope TEXT NOT NULL
  ) STRICT;
  CREATE TABLE content (id INTEGER PRIMARY KEY, header BLOB NOT NULL, body BLOB) STRICT;
  CREATE TABLE recipient (
    message INTEGER NOT NULL,
    id INTEGER NOT NULL,
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    lane TEXT NOT NULL,
    address TEXT NOT NULL,
    original TEXT NOT NULL,
    dsn TEXT,
    reason TEXT NOT NULL,
    last_try TEXT,
    warned INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX recipient_due ON recipient (lane, due) WHERE state = 0;
  INSERT INTO meta (name, value) VALUES ('floor', 0);
  ${RELEASES}
`;

/** For a database that an older program made or used. */
export function completeSchema(db: DatabaseSync): void {
  db.exec(`${RELEASES} DELETE FROM future_release WHERE message NOT IN (SELECT id FROM message)`);
}

/** Opens the file with the shard's pragmas and takes the exclusive lock. Throws SQLite's error (BUSY: locked). */
export function openDatabase(path: string, maxPages?: number): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 0, readBigInts: true });
  try {
    db.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY`);
    // The first transaction takes the lock for good; before it nothing would stop a second opener.
    db.exec("BEGIN IMMEDIATE; COMMIT");
    if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Makes the tables of a new, empty database. */
export function createSchema(db: DatabaseSync): void {
  db.exec(
    `BEGIN; ${TABLES} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`,
  );
}

/** Refuses a database that is not a queue, or a queue of another version. */
export function checkSchema(db: DatabaseSync, path: string): void {
  const application = Number(db.prepare("PRAGMA application_id").get()?.application_id);
  const version = Number(db.prepare("PRAGMA user_version").get()?.user_version);
  if (application !== APPLICATION_ID) {
    throw new QueueError(`Queue database "${path}" was made by another program`, {});
  }
  if (version !== SCHEMA_VERSION) {
    throw new QueueError(
      `Queue database "${path}" has version ${version}, this program needs version ${SCHEMA_VERSION}: start the release that made it, let the queue drain, then upgrade`,
      {},
    );
  }
}

/** The row key of a queue id; undefined if the text is no queue id. */
export function keyOf(queueId: string): bigint | undefined {
  const parts = parseQueueId(queueId);
  return parts && BigInt(parts.micros) * 256n + BigInt(parts.shard);
}

/** As keyOf(), for ids that must be good. Throws QueueError. */
export function requireKey(queueId: QueueId): bigint {
  const key = keyOf(queueId);
  if (key === undefined) throw new QueueError(`Bad queue id "${queueId}"`, {});
  return key;
}

/** For messages that came into the tables by themselves, without their release times. */
export function rebuildReleases(db: DatabaseSync): void {
  db.exec(`INSERT OR IGNORE INTO future_release (message, until, owner)
    SELECT id, CAST(envelope ->> '$.futureRelease.untilMs' AS INTEGER),
      coalesce(envelope ->> '$.origin.saslUsername', '[' || (envelope ->> '$.origin.clientAddress') || ']')
    FROM message WHERE envelope ->> '$.futureRelease.untilMs' IS NOT NULL`);
}
