/** queue/future-releases.ts: which messages of a shard are not to be sent before a time, and for whom they are held. Inside
 *  the caller's transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

export class FutureReleases {
  readonly #insert: StatementSync;
  readonly #drop: StatementSync;
  readonly #set: StatementSync;
  readonly #until: StatementSync;
  readonly #count: StatementSync;
  /** False: there was none in this shard since it was opened. Nobody pays for what nobody uses. */
  #any: boolean;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare("INSERT INTO future_release (message, until, owner) VALUES (?, ?, ?)");
    this.#drop = db.prepare("DELETE FROM future_release WHERE message = ?");
    this.#set = db.prepare("UPDATE future_release SET until = ? WHERE message = ?");
    this.#until = db.prepare("SELECT until FROM future_release WHERE message = ? AND until > ?");
    this.#count = db.prepare("SELECT count(*) AS n FROM future_release WHERE owner = ? AND until > ?");
    this.#any = db.prepare("SELECT 1 FROM future_release LIMIT 1").get() !== undefined;
  }

  add(key: bigint, untilMs: number, owner: string): void {
    this.#any = true;
    this.#insert.run(key, Math.round(untilMs), owner);
  }

  set(key: bigint, untilMs: number): void {
    this.#set.run(untilMs, key);
  }

  drop(key: bigint): void {
    if (this.#any) this.#drop.run(key);
  }

  /** Until when the message must wait; undefined: it need not. */
  untilMs(key: bigint, nowMs: number): number | undefined {
    const row = this.#any ? this.#until.get(key, Math.floor(nowMs)) : undefined;
    return row && Number(row.until);
  }

  /** How many messages of that owner must wait. */
  heldFor(owner: string, nowMs: number): number {
    return this.#any ? Number(this.#count.get(owner, Math.floor(nowMs))?.n) : 0;
  }
}
