/** queue/sqlite-store.ts: QueueStore over SQLite shards in a store thread: the worker's own shard and those it adopted.
 *  Turns messages into rows and rows into claimed messages; commits, faults and recovery are the thread's. */
import { statfsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import type { Envelope } from "../mail/envelope.ts";
import { holdingOwner } from "../mail/future-release.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { adminOf, askOne, contentIn, retime, type ShardAccess } from "./admin.ts";
import { ContentDirectory, SpillingBody } from "./body-writer.ts";
import { contentAtHand, contentBehind, readChunks } from "./content.ts";
import type { ClaimedRow, ForwardRow, MessageRow } from "./delivery-rows.ts";
import { checkQueueDirectory, shardName } from "./directory.ts";
import { asQueueError } from "./faults.ts";
import { InFlightMarks } from "./in-flight.ts";
import type { Answer, Operation, OperationKind } from "./operations.ts";
import { requireKey } from "./schema.ts";
import {
  type BodyWriter,
  type ClaimedMessage,
  type ForwardedCopy,
  type LaneDue,
  type NewMessage,
  type NewRecipient,
  type QueueAdmin,
  type QueuedRecipient,
  QueueError,
  type QueueStore,
  type Retiming,
  type Settlement,
  type StoredBody,
} from "./store.ts";
import { StoreClient } from "./store-client.ts";

const FREE_BYTES_AGE_MS = 1000;

export interface StoreOptions {
  /** The queue directory that holds `shard-NN`; made if it does not exist. */
  readonly directory: string;
  readonly shard: number;
  /** Bodies above this many bytes become files. */
  readonly inlineLimit: number;
  readonly log: Log;
  readonly clock: Clock;
  /** Nothing can be kept any more: whoever has opened the store must be started anew. */
  readonly failed?: ((error: QueueError) => void) | undefined;
  /** Bound of the database in pages, for failure tests. */
  readonly maxPages?: number | undefined;
}

/** Opens a worker's shard. Throws QueueError: in use, of another version, Postfix's directory, I/O. */
export async function openStore(options: StoreOptions): Promise<QueueStore> {
  const refused = checkQueueDirectory(options.directory);
  if (refused !== undefined) throw new QueueError(refused, {});
  let store: SqliteStore | undefined;
  const client = new StoreClient({
    log: options.log,
    drained: (shard) => store?.forget(shard),
    failed: (error) => store && options.failed?.(error),
  });
  const { directory, shard, maxPages } = options;
  try {
    const floor = await client.open({ directory, shard, create: true, life: "new", maxPages }, { adopted: false });
    store = new SqliteStore(options, client, floor);
    return store;
  } catch (error) {
    await client.close();
    throw error;
  }
}

class SqliteStore implements QueueStore, ShardAccess {
  readonly floorMicros: number;
  readonly #options: StoreOptions;
  readonly #client: StoreClient;
  readonly #contents: ContentDirectory;
  readonly #marks = new Map<number, InFlightMarks>();
  readonly #admin: QueueAdmin;
  /** Where claimed messages of adopted shards are; those of the own shard are not in here. */
  readonly #foreign = new Map<QueueId, number>();
  #free: { readonly bytes: number; readonly atMs: number } | undefined;
  #markFailed = false;
  /** Adopted shards that were empty: drained before adopt() had its answer. */
  readonly #drainedEarly = new Set<number>();

  constructor(options: StoreOptions, client: StoreClient, floorMicros: number) {
    this.#options = options;
    this.#client = client;
    this.floorMicros = floorMicros;
    this.#contents = new ContentDirectory(join(this.directoryOf(options.shard), "content"));
    this.#openMarks(options.shard);
    this.#admin = adminOf(this);
  }

  shards(): readonly number[] {
    return [...this.#marks.keys()];
  }

  directoryOf(shard: number): string {
    return join(this.#options.directory, shardName(shard));
  }

  nowMs(): number {
    return this.#options.clock.now();
  }

  call<K extends OperationKind>(shard: number, op: Operation<K>): Promise<Answer<K>> {
    return this.#client.call(shard, op);
  }

  beginBody(queueId: QueueId): BodyWriter {
    return new SpillingBody(this.#contents, { queueId, inlineLimit: this.#options.inlineLimit });
  }

  readBody(body: StoredBody): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    return body.kind === "inline" ? [body.bytes] : readChunks(join(this.#contents.path, body.name), body.sizeBytes);
  }

  async append(message: NewMessage, options: { readonly claim: boolean }): Promise<ClaimedMessage | undefined> {
    const { shard } = this.#options;
    const claim = options.claim && !message.hold;
    await this.call<"append">(shard, { kind: "append", message: rowOf(message), claim });
    return claim ? this.#claimedFromMemory(shard, message) : undefined;
  }

  async claimDue(lane: string, nowMs: number, limit: number): Promise<readonly ClaimedMessage[]> {
    const claimed: ClaimedMessage[] = [];
    let left = limit;
    for (const shard of this.shards()) {
      if (left <= 0) break;
      const rows = await askOne<"claim">(this, shard, { op: { kind: "claim", lane, nowMs, limit: left }, gone: [] });
      for (const row of rows) {
        left -= row.recipients.length;
        claimed.push(this.#claimedFromRow(shard, row));
      }
    }
    return claimed;
  }

  async dueLanes(limit: number): Promise<readonly LaneDue[]> {
    const ask = (shard: number) => askOne<"lanes">(this, shard, { op: { kind: "lanes", limit }, gone: [] });
    const lists = await Promise.all(this.shards().map(ask));
    const [only] = lists;
    if (lists.length === 1 && only) return only;
    return mergeLanes(lists.flat()).slice(0, limit);
  }

  async unclaim(queueId: QueueId, recipientIds: readonly number[]): Promise<void> {
    const shard = this.#shardOf(queueId);
    await this.call<"unclaim">(shard, { kind: "unclaim", key: requireKey(queueId), ids: recipientIds });
  }

  async settle(
    settlement: Settlement,
  ): Promise<{ readonly removed: boolean; readonly appended: readonly ClaimedMessage[] }> {
    const { queueId, done, deferred, warned = [], append, forwards = [] } = settlement;
    const shard = this.#shardOf(queueId);
    const foreign = shard !== this.#options.shard;
    const settled = await this.call<"settle">(shard, {
      kind: "settle",
      settlement: {
        ...{ key: requireKey(queueId), done, deferred, warned },
        append: append.map(rowOf),
        forwards: forwards.map(forwardRowOf),
      },
      filesFrom: foreign && append.length > 0 ? this.#contents.path : undefined,
    });
    if (settled.removed) this.#foreign.delete(queueId);
    const claimable = settled.appended ? append.filter((message) => !message.hold) : [];
    const reports = claimable.map((message) => this.#claimedFromMemory(shard, message));
    const copies = settled.forwardedBytes.flatMap((bytes, i) => this.#claimedCopy(shard, forwards[i], bytes) ?? []);
    return { removed: settled.removed, appended: [...reports, ...copies] };
  }

  async delayed(queueId: QueueId, limit: number): Promise<readonly QueuedRecipient[]> {
    const shard = this.#shardOf(queueId);
    return this.call<"delayed">(shard, { kind: "delayed", key: requireKey(queueId), limit });
  }

  async heldFor(owner: string): Promise<number> {
    const op = { kind: "heldFor", owner, nowMs: this.nowMs() } as const;
    const counts = await Promise.all(this.shards().map((shard) => askOne<"heldFor">(this, shard, { op, gone: 0 })));
    return counts.reduce((sum, n) => sum + n, 0);
  }

  retime(how: Retiming): Promise<number> {
    return retime(this, how);
  }

  freeBytes(): number {
    const atMs = this.#options.clock.monotonic();
    if (!this.#free || atMs - this.#free.atMs > FREE_BYTES_AGE_MS) {
      const { bavail, bsize } = statfsSync(this.#options.directory);
      this.#free = { bytes: bavail * bsize, atMs };
    }
    return this.#free.bytes;
  }

  async adopt(shard: number): Promise<void> {
    const { directory } = this.#options;
    await this.#client.open({ directory, shard, create: false, life: "new" }, { adopted: true });
    if (!this.#drainedEarly.delete(shard)) this.#openMarks(shard);
  }

  /** An adopted shard has drained and its directory is gone. */
  forget(shard: number): void {
    const marks = this.#marks.get(shard);
    if (!marks) this.#drainedEarly.add(shard);
    this.#marks.delete(shard);
    marks?.close();
    for (const [queueId, number] of this.#foreign) if (number === shard) this.#foreign.delete(queueId);
  }

  markInFlight(queueId: QueueId): void {
    this.#tryMark(() => this.#marks.get(this.#shardOf(queueId))?.mark(queueId));
  }

  clearInFlight(queueId: QueueId): void {
    // By now the settlement may have forgotten which shard it was; the others do not know the id.
    this.#tryMark(() => {
      for (const marks of this.#marks.values()) marks.clear(queueId);
    });
  }

  list: QueueAdmin["list"] = (page) => this.#admin.list(page);
  shape: QueueAdmin["shape"] = (query) => this.#admin.shape(query);
  hold: QueueAdmin["hold"] = (ids) => this.#admin.hold(ids);
  release: QueueAdmin["release"] = (ids) => this.#admin.release(ids);
  delete: QueueAdmin["delete"] = (ids) => this.#admin.delete(ids);
  flush: QueueAdmin["flush"] = (ids) => this.#admin.flush(ids);
  flushReason: QueueAdmin["flushReason"] = (reason) => this.#admin.flushReason(reason);
  requeue: QueueAdmin["requeue"] = (ids, lane) => this.#admin.requeue(ids, lane);
  advance: QueueAdmin["advance"] = (ids, atMs) => this.#admin.advance(ids, atMs);
  read: QueueAdmin["read"] = (id) => this.#admin.read(id);

  async close(): Promise<void> {
    await this.#client.close();
    for (const marks of this.#marks.values()) marks.close();
    this.#marks.clear();
  }

  #shardOf(queueId: QueueId): number {
    return this.#foreign.get(queueId) ?? this.#options.shard;
  }

  #openMarks(shard: number): void {
    this.#marks.set(shard, new InFlightMarks(join(this.directoryOf(shard), "inflight")));
  }

  /** A mark that cannot be written only undercounts crashes: said once, never in the way of a delivery. */
  #tryMark(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!this.#markFailed) this.#options.log.warning(`${asQueueError("in-flight marks", error).message}`);
      this.#markFailed = true;
    }
  }

  #claimedFromMemory(shard: number, message: NewMessage): ClaimedMessage {
    const { envelope, header, body } = message;
    this.#noteClaim(envelope.queueId, shard);
    const sizeBytes = sizeOf(message);
    const content =
      body.kind === "inline"
        ? contentAtHand(header, body.bytes)
        : contentBehind(sizeBytes, async () => ({ header, path: join(this.directoryOf(shard), "content", body.name) }));
    const recipients = untried(message.recipients);
    return { envelope, sizeBytes, recipients, remaining: recipients.length, content };
  }

  #claimedCopy(shard: number, copy: ForwardedCopy | undefined, sizeBytes: number): ClaimedMessage | undefined {
    if (!copy) return undefined;
    const { envelope } = copy;
    this.#noteClaim(envelope.queueId, shard);
    const recipients = untried(copy.recipients);
    const content = contentIn(this, shard, { key: requireKey(envelope.queueId), sizeBytes });
    return { envelope, sizeBytes, recipients, remaining: recipients.length, content };
  }

  #claimedFromRow(shard: number, row: ClaimedRow): ClaimedMessage {
    const envelope = JSON.parse(row.envelope) as Envelope;
    this.#noteClaim(envelope.queueId, shard);
    const { sizeBytes, recipients, remaining } = row;
    return { envelope, sizeBytes, recipients, remaining, content: contentIn(this, shard, row) };
  }

  #noteClaim(queueId: QueueId, shard: number): void {
    if (shard !== this.#options.shard) this.#foreign.set(queueId, shard);
  }
}

function untried(recipients: readonly NewRecipient[]): readonly QueuedRecipient[] {
  return recipients.map((recipient, i) => ({ ...recipient, id: i + 1, reason: "", warned: false }));
}

/** Throws QueueError as rowOf(). */
function forwardRowOf({ envelope, head, recipients }: ForwardedCopy): ForwardRow {
  const { queueId } = envelope;
  if (recipients.length === 0) throw new QueueError(`Message ${queueId} has no recipients`, {});
  return { key: requireKey(queueId), queueId, envelope: JSON.stringify(envelope), head, recipients };
}

function sizeOf({ header, body }: NewMessage): number {
  return header.length + (body.kind === "inline" ? body.bytes.length : body.sizeBytes);
}

/** Throws QueueError for what must never reach a path or a key. */
function rowOf(message: NewMessage): MessageRow {
  const { envelope, header, body, hold, recipients } = message;
  if (recipients.length === 0) throw new QueueError(`Message ${envelope.queueId} has no recipients`, {});
  if (body.kind === "file" && !/^[0-9A-Za-z]+\.\d+$/.test(body.name)) {
    throw new QueueError(`Bad content file name "${body.name}"`, {});
  }
  return {
    key: requireKey(envelope.queueId),
    queueId: envelope.queueId,
    envelope: JSON.stringify(envelope),
    sizeBytes: sizeOf(message),
    header,
    body: body.kind === "inline" ? body.bytes : undefined,
    file: body.kind === "file" ? body.name : undefined,
    hold,
    release: envelope.futureRelease && {
      untilMs: envelope.futureRelease.untilMs,
      owner: holdingOwner(envelope.origin),
    },
    recipients,
  };
}

function mergeLanes(lanes: readonly LaneDue[]): LaneDue[] {
  const byLane = new Map<string, LaneDue>();
  for (const lane of lanes) {
    const known = byLane.get(lane.lane);
    if (!known) byLane.set(lane.lane, lane);
    else {
      const earliestDueMs = Math.min(known.earliestDueMs, lane.earliestDueMs);
      byLane.set(lane.lane, { lane: lane.lane, earliestDueMs });
    }
  }
  return [...byLane.values()].sort((a, b) => a.earliestDueMs - b.earliestDueMs);
}
