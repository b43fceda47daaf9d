/** queue/delivery-rows.ts: the statements of the delivery path of one shard: append, claim, settle. Synchronous, and
 *  always inside a transaction that the caller begins and commits. Operators' statements are in admin-rows.ts. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { asAddress } from "../mail/address.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import { FutureReleases } from "./future-releases.ts";
import { CLAIMED, HELD, WAITING } from "./schema.ts";
import type { DeferredRecipient, LaneDue, LastTry, NewRecipient, QueuedRecipient } from "./store.ts";

/** A message as it is stored; the envelope already is JSON text. */
export interface MessageRow {
  readonly key: bigint;
  readonly queueId: string;
  readonly envelope: string;
  readonly sizeBytes: number;
  readonly header: Uint8Array;
  readonly body: Uint8Array | undefined;
  readonly file: string | undefined;
  readonly hold: boolean;
  /** Not to be sent before that time, at the wish of that owner. */
  readonly release?: { readonly untilMs: number; readonly owner: string } | undefined;
  readonly recipients: readonly NewRecipient[];
}

/** A claimed message as it travels to the main side; content is read when it is asked for. */
export interface ClaimedRow {
  readonly key: bigint;
  readonly envelope: string;
  readonly sizeBytes: number;
  readonly remaining: number;
  readonly recipients: readonly QueuedRecipient[];
}

/** A copy of the settled message; its queue id also names its content file, if it has one. */
export interface ForwardRow {
  readonly key: bigint;
  readonly queueId: string;
  readonly envelope: string;
  readonly head: Uint8Array;
  readonly recipients: readonly NewRecipient[];
}

export interface SettleRow {
  readonly key: bigint;
  readonly done: readonly number[];
  readonly deferred: readonly DeferredRecipient[];
  readonly warned: readonly number[];
  readonly append: readonly MessageRow[];
  readonly forwards: readonly ForwardRow[];
}

export interface Settled {
  /** The message is not in the queue any more. */
  readonly removed: boolean;
  /** Whether `append` went in; not if an operator had deleted the message. */
  readonly appended: boolean;
  /** Size of each forwarded copy. */
  readonly forwardedBytes: readonly number[];
}

/** The content file of a forwarded copy. Bodies that clients send are numbered from 1. */
export function forwardedFileName(queueId: string): string {
  return `${queueId}.0`;
}

export class DeliveryRows {
  readonly #insertMessage: StatementSync;
  readonly #insertContent: StatementSync;
  readonly #insertRecipient: StatementSync;
  readonly #original: StatementSync;
  readonly #copyContent: StatementSync;
  readonly #due: StatementSync;
  readonly #setState: StatementSync;
  readonly #message: StatementSync;
  readonly #remaining: StatementSync;
  readonly #lanes: StatementSync;
  readonly #dueAfter: StatementSync;
  readonly #unclaim: StatementSync;
  readonly #unclaimAll: StatementSync;
  readonly #dropRecipient: StatementSync;
  readonly #dropRecipients: StatementSync;
  readonly #defer: StatementSync;
  readonly #warn: StatementSync;
  readonly #delayed: StatementSync;
  readonly #anyLeft: StatementSync;
  readonly #recipient: StatementSync;
  readonly #dropMessage: StatementSync;
  readonly #dropContent: StatementSync;
  readonly releases: FutureReleases;
  /** Content files of removed messages, to be unlinked once the commit that removed them has been synced. */
  doomedFiles: string[] = [];

  constructor(db: DatabaseSync) {
    this.#insertMessage = db.prepare(
      "INSERT INTO message (id, queue_id, size, held, body_file, envelope) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#insertContent = db.prepare("INSERT INTO content (id, header, body) VALUES (?, ?, ?)");
    this.#insertRecipient = db.prepare(
      "INSERT INTO recipient (message, id, state, due, lane, address, original, dsn, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')",
    );
    this.#original = db.prepare(
      "SELECT size, body_file, header FROM message JOIN content ON content.id = message.id WHERE message.id = ?",
    );
    this.#copyContent = db.prepare(
      "INSERT INTO content (id, header, body) SELECT ?, ?, body FROM content WHERE id = ?",
    );
    this.#due = db.prepare(
      `SELECT message, id, lane, due, address, original, dsn, reason, last_try, warned FROM recipient
       WHERE state = 0 AND lane = ? AND due <= ? ORDER BY due LIMIT ?`,
    );
    this.#setState = db.prepare("UPDATE recipient SET state = ? WHERE message = ? AND id = ?");
    this.#message = db.prepare("SELECT envelope, size, held FROM message WHERE id = ?");
    this.#remaining = db.prepare("SELECT count(*) AS n FROM recipient WHERE message = ?");
    // One index seek per lane ("loose index scan"), not one step per recipient.
    this.#lanes = db.prepare(
      `WITH RECURSIVE each(lane) AS (
         SELECT min(lane) FROM recipient WHERE state = 0
         UNION ALL
         SELECT (SELECT min(lane) FROM recipient WHERE state = 0 AND lane > each.lane) FROM each WHERE each.lane IS NOT NULL
       ), first(lane, due) AS (
         SELECT lane, (SELECT min(due) FROM recipient WHERE state = 0 AND lane = each.lane) FROM each WHERE lane IS NOT NULL
         ORDER BY 2, 1 LIMIT ?
       )
       SELECT lane, due FROM first`,
    );
    this.#dueAfter = db.prepare(
      `WITH RECURSIVE each(lane) AS (
         SELECT min(lane) FROM recipient WHERE state = 0
         UNION ALL
         SELECT (SELECT min(lane) FROM recipient WHERE state = 0 AND lane > each.lane) FROM each WHERE each.lane IS NOT NULL
       )
       SELECT 1 FROM each WHERE (SELECT max(due) FROM recipient WHERE state = 0 AND lane = each.lane) > ? LIMIT 1`,
    );
    this.#unclaim = db.prepare("UPDATE recipient SET state = ? WHERE message = ? AND id = ? AND state = 1");
    this.#unclaimAll = db.prepare("UPDATE recipient SET state = ? WHERE message = ? AND state = 1");
    this.#dropRecipient = db.prepare("DELETE FROM recipient WHERE message = ? AND id = ?");
    this.#dropRecipients = db.prepare("DELETE FROM recipient WHERE message = ?");
    this.#defer = db.prepare(
      "UPDATE recipient SET state = ?, due = ?, reason = ?, last_try = ? WHERE message = ? AND id = ?",
    );
    this.#warn = db.prepare("UPDATE recipient SET warned = 1 WHERE message = ? AND id = ?");
    this.#delayed = db.prepare(
      `SELECT id, lane, due, address, original, dsn, reason, last_try, warned FROM recipient
       WHERE message = ? AND state = 0 AND reason <> '' AND warned = 0 LIMIT ?`,
    );
    this.#recipient = db.prepare("SELECT state, warned FROM recipient WHERE message = ? AND id = ?");
    this.#anyLeft = db.prepare("SELECT 1 FROM recipient WHERE message = ? LIMIT 1");
    this.#dropMessage = db.prepare("DELETE FROM message WHERE id = ? RETURNING body_file");
    this.#dropContent = db.prepare("DELETE FROM content WHERE id = ?");
    this.releases = new FutureReleases(db);
  }

  append(message: MessageRow, claim: boolean): void {
    const { key } = message;
    const state = message.hold ? HELD : claim ? CLAIMED : WAITING;
    this.#insertMessage.run(
      key,
      message.queueId,
      message.sizeBytes,
      message.hold ? 1 : 0,
      message.file ?? null,
      message.envelope,
    );
    this.#insertContent.run(key, message.header, message.body ?? null);
    this.#insertRecipients(key, state, message.recipients);
    if (message.release) this.releases.add(key, message.release.untilMs, message.release.owner);
  }

  #insertRecipients(key: bigint, state: number, recipients: readonly NewRecipient[]): void {
    let id = 0;
    for (const { address, original, dsn, lane, dueMs } of recipients) {
      const asked = dsn === undefined ? null : JSON.stringify(dsn);
      this.#insertRecipient.run(key, ++id, state, Math.round(dueMs), lane, address, original, asked);
    }
  }

  /** The content file of a message; undefined if the body is in the database, or there is no such message. */
  fileOf(key: bigint): string | undefined {
    const file = this.#original.get(key)?.body_file;
    return typeof file === "string" ? file : undefined;
  }

  /** Adds the copy, claimed, and returns its size. Its content file must be there already. */
  #forward(original: bigint, { key, queueId, envelope, head, recipients }: ForwardRow): number {
    const row = this.#original.get(original);
    if (!row) throw new Error(`No content of message ${original}`);
    const sizeBytes = Number(row.size) + head.length;
    const file = row.body_file === null ? null : forwardedFileName(queueId);
    this.#insertMessage.run(key, queueId, sizeBytes, 0, file, envelope);
    this.#copyContent.run(key, Buffer.concat([head, row.header as Uint8Array]), original);
    this.#insertRecipients(key, CLAIMED, recipients);
    return sizeBytes;
  }

  claim(ask: { readonly lane: string; readonly nowMs: number; readonly limit: number }): readonly ClaimedRow[] {
    const byMessage = new Map<bigint, QueuedRecipient[]>();
    for (const row of this.#due.all(ask.lane, Math.floor(ask.nowMs), ask.limit)) {
      const key = row.message as bigint;
      const recipient = recipientOf(row);
      const group = byMessage.get(key);
      if (group) group.push(recipient);
      else byMessage.set(key, [recipient]);
    }
    return [...byMessage].map(([key, recipients]) => this.#claimed(key, recipients));
  }

  #claimed(key: bigint, recipients: readonly QueuedRecipient[]): ClaimedRow {
    for (const recipient of recipients) this.#setState.run(CLAIMED, key, recipient.id);
    const row = this.#message.get(key);
    if (!row) throw new Error(`Recipients without message ${key}`);
    const remaining = Number(this.#remaining.get(key)?.n);
    return { key, envelope: row.envelope as string, sizeBytes: Number(row.size), remaining, recipients };
  }

  /** Earliest due first. */
  lanes(limit: number): readonly LaneDue[] {
    return this.#lanes.all(limit).map((row) => ({ lane: row.lane as string, earliestDueMs: Number(row.due) }));
  }

  /** Whether a waiting recipient is due later than that. */
  dueAfter(aboveMs: number): boolean {
    return this.#dueAfter.get(Math.floor(aboveMs)) !== undefined;
  }

  /** `ids` undefined: all claimed recipients of the message. */
  unclaim(key: bigint, ids: readonly number[] | undefined): void {
    const held = this.#message.get(key)?.held;
    if (held === undefined) return;
    const state = held ? HELD : WAITING;
    if (ids) for (const id of ids) this.#unclaim.run(state, key, id);
    else this.#unclaimAll.run(state, key);
  }

  /** Recipients that wait after a try and whose sender was not told, at most `limit`. */
  delayed(key: bigint, limit: number): readonly QueuedRecipient[] {
    return this.#delayed.all(key, limit).map(recipientOf);
  }

  settle(settlement: SettleRow): Settled {
    const { key } = settlement;
    const held = this.#message.get(key)?.held;
    if (held === undefined) return { removed: true, appended: false, forwardedBytes: [] };
    const forwardedBytes = settlement.forwards.map((copy) => this.#forward(key, copy));
    for (const id of settlement.done) this.#dropRecipient.run(key, id);
    const state = held ? HELD : WAITING;
    for (const { id, dueMs, reason, lastTry } of settlement.deferred) {
      this.#defer.run(state, Math.round(dueMs), reason, lastTry ? JSON.stringify(lastTry) : null, key, id);
    }
    for (const id of settlement.warned) this.#warn.run(key, id);
    for (const message of settlement.append) this.append(message, true);
    const removed = settlement.deferred.length === 0 && this.#anyLeft.get(key) === undefined;
    if (removed) this.remove(key);
    return { removed, appended: true, forwardedBytes };
  }

  has(key: bigint): boolean {
    return this.#message.get(key) !== undefined;
  }

  /** Whether a settlement was committed; only true to ask while nothing else has changed its recipients. */
  isSettled({ key, done, deferred, warned }: Pick<SettleRow, "key" | "done" | "deferred" | "warned">): boolean {
    if (!this.has(key)) return true;
    const row = (id: number) => this.#recipient.get(key, id);
    if (done.length > 0) return done.every((id) => row(id) === undefined);
    if (deferred.length > 0) return deferred.every(({ id }) => Number(row(id)?.state) !== CLAIMED);
    return warned.every((id) => Number(row(id)?.warned) === 1);
  }

  /** Takes a message out with all that belongs to it; false if there was none. */
  remove(key: bigint): boolean {
    const row = this.#dropMessage.get(key);
    if (!row) return false;
    this.#dropContent.run(key);
    this.#dropRecipients.run(key);
    this.releases.drop(key);
    if (typeof row.body_file === "string") this.doomedFiles.push(row.body_file);
    return true;
  }
}

function recipientOf(row: Record<string, unknown>): QueuedRecipient {
  return {
    id: Number(row.id),
    address: asAddress(row.address as string),
    original: asAddress(row.original as string),
    ...(row.dsn !== null && { dsn: JSON.parse(row.dsn as string) as RecipientDsn }),
    lane: row.lane as string,
    dueMs: Number(row.due),
    reason: row.reason as string,
    ...(row.last_try !== null && { lastTry: JSON.parse(row.last_try as string) as LastTry }),
    warned: Number(row.warned) !== 0,
  };
}
