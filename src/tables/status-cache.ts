/** tables/status-cache.ts: what is known about addresses, in one small SQLite file that all workers have open (WAL). It may
 *  be lost: after damage a new one is begun. It is not for mail. Lookups and updates take microseconds and are synchronous. */
import { rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";

/** One address. Times are milliseconds since the epoch; 0: never. */
export interface StatusRecord {
  readonly status: number;
  /** When the last probe was sent whose answer is not here yet. */
  readonly probedMs: number;
  /** When the status was found. */
  readonly updatedMs: number;
  readonly text: string;
}

/** A sweep removes records of this status that were found, or asked for, before that time. */
export interface SweepLimit {
  readonly status: number;
  readonly beforeMs: number;
}

export interface StatusCache {
  get(key: string): StatusRecord | undefined;
  put(key: string, record: StatusRecord): void;
  /** True for the one caller, over all workers, that may sweep: the last sweep was before `beforeMs`. */
  claimSweep(nowMs: number, beforeMs: number): boolean;
  /** Removes at most SWEEP_ROWS records for each limit; how many it removed. */
  sweep(limits: readonly SweepLimit[]): number;
  readonly size: number;
  close(): void;
}

/** How long one worker waits for the other's write. It blocks, so it is short. */
const BUSY_MS = 250;
const SWEEP_ROWS = 1000;
/** The oldest records beyond these go with a sweep. */
const MAX_RECORDS = 1_000_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS address (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    status INTEGER NOT NULL, probed INTEGER NOT NULL, updated INTEGER NOT NULL, text TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS by_age ON address (status, max(probed, updated));
  CREATE TABLE IF NOT EXISTS sweep (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL);
  INSERT OR IGNORE INTO sweep VALUES (1, 0);
`;

const SWEEP_OLD = `DELETE FROM address WHERE id IN
  (SELECT id FROM address WHERE status = ? AND max(probed, updated) < ? LIMIT ${SWEEP_ROWS})`;
const SWEEP_SURPLUS = `DELETE FROM address WHERE id IN
  (SELECT id FROM address WHERE id <= (SELECT max(id) FROM address) - ? LIMIT ${SWEEP_ROWS})`;

const PUT = `INSERT INTO address (key, status, probed, updated, text) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key)
  DO UPDATE SET status = excluded.status, probed = excluded.probed, updated = excluded.updated, text = excluded.text`;

/** Opens or makes the file; `:memory:` for one of this process alone. Throws what SQLite or the file system says. */
export function openStatusCache(path: string): StatusCache {
  try {
    return new SqliteStatusCache(path);
  } catch (error) {
    if (!isDamage(error)) throw error;
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    return new SqliteStatusCache(path);
  }
}

class SqliteStatusCache implements StatusCache {
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<"get" | "put" | "claim" | "sweep" | "surplus" | "count", StatementSync>>;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: BUSY_MS });
    try {
      this.#database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${SCHEMA}`);
      this.#statements = {
        get: this.#database.prepare("SELECT status, probed, updated, text FROM address WHERE key = ?"),
        put: this.#database.prepare(PUT),
        claim: this.#database.prepare("UPDATE sweep SET at = ? WHERE at < ?"),
        sweep: this.#database.prepare(SWEEP_OLD),
        surplus: this.#database.prepare(SWEEP_SURPLUS),
        count: this.#database.prepare("SELECT count(*) AS n FROM address"),
      };
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  get(key: string): StatusRecord | undefined {
    const row = this.#statements.get.get(key);
    if (row === undefined) return undefined;
    return {
      status: Number(row["status"]),
      probedMs: Number(row["probed"]),
      updatedMs: Number(row["updated"]),
      text: String(row["text"]),
    };
  }

  put(key: string, { status, probedMs, updatedMs, text }: StatusRecord): void {
    this.#statements.put.run(key, status, probedMs, updatedMs, text);
  }

  claimSweep(nowMs: number, beforeMs: number): boolean {
    return this.#statements.claim.run(nowMs, beforeMs).changes === 1;
  }

  sweep(limits: readonly SweepLimit[]): number {
    const { sweep, surplus } = this.#statements;
    let removed = Number(surplus.run(MAX_RECORDS).changes);
    for (const { status, beforeMs } of limits) removed += Number(sweep.run(status, beforeMs).changes);
    return removed;
  }

  get size(): number {
    return Number(this.#statements.count.get()?.["n"]);
  }

  close(): void {
    this.#database.close();
  }
}

/** "database disk image is malformed", "file is not a database". */
function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" && ((code & 0xff) === 11 || (code & 0xff) === 26);
}
