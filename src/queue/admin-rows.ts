/** queue/admin-rows.ts: the statements behind the operators' commands of one shard: list, hold, release, delete, flush,
 *  read. "All" comes in pages of keys, so that no transaction grows with the queue. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { DeliveryRows } from "./delivery-rows.ts";
import { CLAIMED, keyOf, WAITING } from "./schema.ts";
import type { ListedRecipient, QueueListing, Retiming } from "./store.ts";

/** Which messages: these, or the next `limit` behind a key. */
export type Selection = { readonly ids: readonly QueueId[] } | { readonly after: bigint; readonly limit: number };

export interface Touched {
  readonly ids: readonly QueueId[];
  /** Where the next page begins; undefined at the end. */
  readonly next: bigint | undefined;
}

export type AdminChange = "hold" | "release" | "delete" | "flush" | "requeue" | "advance";

export interface ChangeAsk {
  readonly what: AdminChange;
  readonly selection: Selection;
  readonly nowMs: number;
  /** Of requeue; otherwise not looked at. */
  readonly lane: string;
  /** Of advance; otherwise not looked at. */
  readonly atMs: number;
}

export interface ReasonAsk {
  readonly reason: string;
  readonly nowMs: number;
  readonly after: bigint;
  /** Messages looked at. */
  readonly limit: number;
}

export interface RetimeAsk {
  readonly how: Retiming;
  readonly after: bigint;
  /** Messages looked at. */
  readonly limit: number;
}

/** What was done to a range of messages. */
export interface RangeChanged {
  readonly recipients: number;
  /** Where the next page begins; undefined at the end. */
  readonly next: bigint | undefined;
}

export interface ContentRow {
  readonly header: Uint8Array;
  readonly body: Uint8Array | undefined;
  readonly file: string | undefined;
}

export class AdminRows {
  readonly #delivery: DeliveryRows;
  readonly #one: StatementSync;
  readonly #page: StatementSync;
  readonly #recipients: StatementSync;
  readonly #recipientsOfPage: StatementSync;
  readonly #content: StatementSync;
  readonly #hold: StatementSync;
  readonly #holdRecipients: StatementSync;
  readonly #release: StatementSync;
  readonly #releaseRecipients: StatementSync;
  readonly #flush: StatementSync;
  readonly #requeue: StatementSync;
  readonly #advance: StatementSync;
  readonly #setEnvelope: StatementSync;
  readonly #pageEnd: StatementSync;
  readonly #flushReason: StatementSync;
  readonly #shift: StatementSync;
  readonly #spread: StatementSync;

  constructor(db: DatabaseSync, delivery: DeliveryRows) {
    const columns = "SELECT id, queue_id, size, held, envelope FROM message";
    this.#delivery = delivery;
    this.#one = db.prepare(`${columns} WHERE id = ?`);
    this.#page = db.prepare(`${columns} WHERE id > ? ORDER BY id LIMIT ?`);
    this.#recipients = db.prepare("SELECT state, due, lane, address, reason FROM recipient WHERE message = ?");
    this.#recipientsOfPage = db.prepare(
      "SELECT message, state, due, address, reason FROM recipient WHERE message > ? AND message <= ? ORDER BY message, id",
    );
    this.#content = db.prepare(
      "SELECT header, body, body_file FROM content JOIN message USING (id) WHERE content.id = ?",
    );
    this.#hold = db.prepare("UPDATE message SET held = 1 WHERE id = ? AND held = 0");
    this.#holdRecipients = db.prepare("UPDATE recipient SET state = 2 WHERE message = ? AND state = 0");
    // A message that an operator looked at starts counting crashes anew.
    this.#release = db.prepare("UPDATE message SET held = 0, crashes = 0 WHERE id = ? AND held = 1");
    this.#releaseRecipients = db.prepare(
      "UPDATE recipient SET state = 0, due = min(due, ?) WHERE message = ? AND state = 2",
    );
    this.#requeue = db.prepare(
      "UPDATE recipient SET state = 0, due = ?, lane = ?, reason = '' WHERE message = ? AND state <> 1",
    );
    this.#flush = db.prepare("UPDATE recipient SET due = ?1 WHERE message = ?2 AND state = 0 AND due > ?1");
    this.#advance = db.prepare("UPDATE recipient SET due = ? WHERE message = ? AND state <> 1");
    this.#setEnvelope = db.prepare("UPDATE message SET envelope = ? WHERE id = ?");
    this.#pageEnd = db.prepare(
      "SELECT max(id) AS last, count(*) AS n FROM (SELECT id FROM message WHERE id > ? ORDER BY id LIMIT ?)",
    );
    // A time that the sender wished is no retry, and stays.
    const wished = "SELECT 1 FROM future_release f WHERE f.message = recipient.message AND f.until >= recipient.due";
    const inRange = (first: number) =>
      `message > ?${first} AND message <= ?${first + 1} AND state = 0 AND NOT EXISTS (${wished})`;
    this.#shift = db.prepare(`UPDATE recipient SET due = due + ?1 WHERE ${inRange(2)} AND due > ?4 AND due <= ?5`);
    this.#spread = db.prepare(`UPDATE recipient SET due = ?1 + (due - ?1) % ?2 WHERE ${inRange(3)} AND due > ?5`);
    this.#flushReason = db.prepare(
      `UPDATE recipient SET due = ?1 WHERE message > ?2 AND message <= ?3 AND state = 0 AND due > ?1 AND reason = ?4`,
    );
  }

  list(after: bigint, limit: number): readonly QueueListing[] {
    const page = this.#page.all(after, limit);
    const last = page.at(-1)?.id as bigint | undefined;
    if (last === undefined) return [];
    // One question for all of them: a third less work for a long queue.
    const recipients = Map.groupBy(this.#recipientsOfPage.all(after, last), (row) => row.message as bigint);
    return page.map((row) => listingOf(row, recipients.get(row.id as bigint) ?? []));
  }

  read(queueId: QueueId): { readonly envelope: string; readonly listing: QueueListing } | undefined {
    const key = keyOf(queueId);
    const row = key === undefined ? undefined : this.#one.get(key);
    return row && { envelope: row.envelope as string, listing: this.#listing(row) };
  }

  content(key: bigint): ContentRow | undefined {
    const row = this.#content.get(key);
    if (!row) return undefined;
    return {
      header: row.header as Uint8Array,
      body: row.body === null ? undefined : (row.body as Uint8Array),
      file: row.body_file === null ? undefined : (row.body_file as string),
    };
  }

  /** `lane` is where requeued recipients wait. */
  change({ what, selection, ...how }: ChangeAsk): Touched {
    const rows = this.#select(selection);
    const ids: QueueId[] = [];
    for (const row of rows) {
      if (this.#apply(what, row.id as bigint, how)) ids.push(row.queue_id as QueueId);
    }
    const full = "after" in selection && rows.length === selection.limit;
    return { ids, next: full ? (rows.at(-1)?.id as bigint) : undefined };
  }

  /** Recipients of the next `limit` messages that wait for exactly that reason. */
  flushReason({ reason, nowMs, after, limit }: ReasonAsk): RangeChanged {
    return this.#range(after, limit, (last) => this.#flushReason.run(Math.floor(nowMs), after, last, reason));
  }

  retime({ how, after, limit }: RetimeAsk): RangeChanged {
    const above = Math.floor(how.aboveMs);
    return this.#range(after, limit, (last) => {
      if (how.kind === "shift") return this.#shift.run(Math.round(how.byMs), after, last, above, how.notAboveMs);
      return this.#spread.run(Math.floor(how.nowMs), Math.ceil(how.spreadMs), after, last, above);
    });
  }

  /** One page of messages, by their keys, of which few rows are changed. */
  #range(after: bigint, limit: number, change: (last: bigint) => { readonly changes: number | bigint }): RangeChanged {
    const page = this.#pageEnd.get(after, limit);
    if (typeof page?.last !== "bigint") return { recipients: 0, next: undefined };
    const { changes } = change(page.last);
    return { recipients: Number(changes), next: Number(page.n) === limit ? page.last : undefined };
  }

  #select(selection: Selection): ReturnType<StatementSync["all"]> {
    if ("after" in selection) return this.#page.all(selection.after, selection.limit);
    return selection.ids.flatMap((id) => {
      const key = keyOf(id);
      const row = key === undefined ? undefined : this.#one.get(key);
      return row ? [row] : [];
    });
  }

  #apply(what: AdminChange, key: bigint, how: Pick<ChangeAsk, "nowMs" | "lane" | "atMs">): boolean {
    const now = Math.floor(how.nowMs);
    const heldUntilMs = this.#delivery.releases.untilMs(key, now);
    const soonest = heldUntilMs ?? now;
    switch (what) {
      case "hold":
        this.#holdRecipients.run(key);
        return Number(this.#hold.run(key).changes) > 0;
      case "release":
        this.#releaseRecipients.run(soonest, key);
        return Number(this.#release.run(key).changes) > 0;
      case "delete":
        return this.#delivery.remove(key);
      case "requeue": {
        const waiting = Number(this.#requeue.run(soonest, how.lane, key).changes) > 0;
        return Number(this.#release.run(key).changes) > 0 || waiting;
      }
      case "flush":
        return heldUntilMs === undefined && Number(this.#flush.run(now, key).changes) > 0;
      case "advance":
        if (heldUntilMs !== undefined) this.#setRelease(key, Math.max(now, Math.floor(how.atMs)));
        return heldUntilMs !== undefined;
    }
  }

  /** The envelope tells it too, for reports and for the age of the message. */
  #setRelease(key: bigint, untilMs: number): void {
    const envelope = JSON.parse(String(this.#one.get(key)?.envelope)) as Envelope;
    const futureRelease = envelope.futureRelease && { ...envelope.futureRelease, untilMs };
    this.#advance.run(untilMs, key);
    this.#delivery.releases.set(key, untilMs);
    this.#setEnvelope.run(JSON.stringify({ ...envelope, futureRelease }), key);
  }

  #listing(row: Row): QueueListing {
    return listingOf(row, this.#recipients.all(row.id as bigint));
  }
}

type Row = Record<string, unknown>;

function listingOf(row: Row, recipients: readonly Row[]): QueueListing {
  const envelope = JSON.parse(row.envelope as string) as Envelope;
  const { queueId, arrivalMs, sender, futureRelease, requireTls, tlsOptional, deliverBy, priority, filter } = envelope;
  const tried = recipients.some((r) => r.reason !== "");
  const active = recipients.some((r) => Number(r.state) === CLAIMED);
  const due = recipients.flatMap((r) => dueOf(r) ?? []);
  return {
    ...{ queueId, arrivalMs, sender, sizeBytes: Number(row.size) },
    queue: row.held ? "hold" : active ? "active" : tried ? "deferred" : "incoming",
    ...(futureRelease && { heldUntilMs: futureRelease.untilMs }),
    ...(due.length > 0 && { nextTryMs: due.reduce((soonest, ms) => Math.min(soonest, ms)) }),
    // Most messages have none of these.
    ...(requireTls && { requireTls }),
    ...(tlsOptional && { tlsOptional }),
    ...(deliverBy && { deliverBy }),
    ...(priority !== undefined && { priority }),
    ...(filter !== undefined && { filter }),
    recipients: recipients.map(listedRecipient),
  };
}

/** `lane` is known of a message that is read. */
function listedRecipient(row: Row): ListedRecipient {
  const listed = { address: asAddress(row.address as string), reason: row.reason as string };
  return row.lane === undefined ? listed : { ...listed, lane: row.lane as string, nextTryMs: dueOf(row) };
}

function dueOf({ state, due }: Row): number | undefined {
  return Number(state) === WAITING ? Number(due) : undefined;
}
