/** queue/admin.ts: the operators' view of several shards as one queue. Over the store thread while the server runs, over
 *  shards opened in place while it does not; only `call` differs. */
import { join } from "node:path";
import type { QueueId } from "../mail/queue-id.ts";
import type { AdminChange, ChangeAsk, RangeChanged, Selection } from "./admin-rows.ts";
import { type ContentParts, contentBehind } from "./content.ts";
import type { Answer, Operation, OperationKind } from "./operations.ts";
import { keyOf, requireKey } from "./schema.ts";
import { QueueShape } from "./shape.ts";
import type { ShapePage } from "./shape-rows.ts";
import {
  type QueueAdmin,
  QueueError,
  type QueueListing,
  type Retiming,
  type ShapeCount,
  type ShapeQuery,
} from "./store.ts";

/** Messages per transaction when an operator says ALL. */
const PAGE_MESSAGES = 500;

/** Recipients that are counted in one go: some 3 ms of processor time. */
const PAGE_COUNTED = 500;

/** Messages per transaction of which few are changed. */
const PAGE_LOOKED_AT = 5000;

/** How shards are reached. */
export interface ShardAccess {
  /** Open shards at this moment. */
  shards(): readonly number[];
  directoryOf(shard: number): string;
  call<K extends OperationKind>(shard: number, op: Operation<K>): Promise<Answer<K>>;
  nowMs(): number;
}

/** Asks one of several shards. An adopted one may drain, and be removed, while it is asked: then `gone` is the answer. */
export async function askOne<K extends OperationKind>(
  access: ShardAccess,
  shard: number,
  { op, gone }: { readonly op: Operation<K>; readonly gone: Answer<K> },
): Promise<Answer<K>> {
  try {
    return await access.call<K>(shard, op);
  } catch (error) {
    if (error instanceof QueueError && !access.shards().includes(shard)) return gone;
    throw error;
  }
}

/** One QueueAdmin over all open shards. */
export function adminOf(access: ShardAccess): QueueAdmin {
  const change = (what: AdminChange) => (ids: readonly QueueId[] | "ALL") => changeAll(access, { what }, ids);
  return {
    list: (page) => list(access, page),
    shape: (query) => shapeOf(access, query),
    hold: change("hold"),
    release: change("release"),
    delete: change("delete"),
    flush: change("flush"),
    flushReason: (reason) => flushReason(access, reason),
    requeue: (ids, lane) => changeAll(access, { what: "requeue", lane }, ids),
    advance: (ids, atMs) => changeAll(access, { what: "advance", atMs }, ids),
    read: (id) => read(access, id),
  };
}

/** Content of a message in a shard, found again at each iteration. */
export function contentIn(
  access: ShardAccess,
  shard: number,
  where: { readonly key: bigint; readonly sizeBytes: number },
) {
  return contentBehind(where.sizeBytes, async (): Promise<ContentParts> => {
    const row = await access.call<"content">(shard, { kind: "content", key: where.key });
    if (!row) throw new QueueError("The message is not in the queue any more", {});
    const { header, body, file } = row;
    if (file !== undefined) return { header, path: join(access.directoryOf(shard), "content", file) };
    return { header, body: body ?? new Uint8Array(0) };
  });
}

async function list(access: ShardAccess, page: Parameters<QueueAdmin["list"]>[0]): Promise<readonly QueueListing[]> {
  const after = page.after === undefined ? -1n : requireKey(page.after);
  const lists = await Promise.all(
    access
      .shards()
      .map((shard) => askOne<"list">(access, shard, { op: { kind: "list", after, limit: page.limit }, gone: [] })),
  );
  const [only] = lists;
  if (lists.length === 1 && only) return only;
  return lists.flat().sort(byKey).slice(0, page.limit);
}

async function shapeOf(access: ShardAccess, query: ShapeQuery): Promise<readonly ShapeCount[]> {
  const shape = new QueueShape();
  for (const shard of access.shards()) {
    for (let after: bigint | undefined = -1n; after !== undefined; ) {
      const op = { kind: "shape", query, after, limit: PAGE_COUNTED } as const;
      const page: ShapePage = await askOne<"shape">(access, shard, { op, gone: { counts: [], next: undefined } });
      shape.add(page.counts);
      after = page.next;
    }
  }
  return shape.counts;
}

function byKey(a: QueueListing, b: QueueListing): number {
  const difference = (keyOf(a.queueId) ?? 0n) - (keyOf(b.queueId) ?? 0n);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

async function changeAll(
  access: ShardAccess,
  { what, lane = "", atMs = 0 }: Pick<ChangeAsk, "what"> & Partial<ChangeAsk>,
  ids: readonly QueueId[] | "ALL",
): Promise<readonly QueueId[]> {
  const touched: QueueId[] = [];
  for (const shard of access.shards()) {
    let selection = firstPage(ids);
    while (selection) {
      const op = { kind: "change", what, selection, nowMs: access.nowMs(), lane, atMs } as const;
      const answer = await askOne<"change">(access, shard, { op, gone: { ids: [], next: undefined } });
      for (const id of answer.ids) touched.push(id);
      selection = nextPage(ids, answer.next, selection);
    }
    if (touched.length === ids.length && ids !== "ALL") break;
  }
  return touched;
}

function flushReason(access: ShardAccess, reason: string): Promise<number> {
  return overRanges(access, (after) => {
    return { kind: "flushReason", reason, nowMs: access.nowMs(), after, limit: PAGE_LOOKED_AT };
  });
}

/** Moves due times in all shards; how many. */
export async function retime(access: ShardAccess, how: Retiming): Promise<number> {
  const shards: number[] = [];
  for (const shard of access.shards()) {
    const op = { kind: "dueAfter", aboveMs: how.aboveMs } as const;
    if (await askOne<"dueAfter">(access, shard, { op, gone: false })) shards.push(shard);
  }
  return overRanges(access, (after) => ({ kind: "retime", how, after, limit: PAGE_LOOKED_AT }), shards);
}

/** Goes through all messages of the shards, some in each transaction; how many recipients were changed. */
async function overRanges<K extends "flushReason" | "retime">(
  access: ShardAccess,
  ask: (after: bigint) => Operation<K>,
  shards = access.shards(),
): Promise<number> {
  let recipients = 0;
  for (const shard of shards) {
    for (let after: bigint | undefined = -1n; after !== undefined; ) {
      const gone: RangeChanged = { recipients: 0, next: undefined };
      const answer: RangeChanged = await askOne<K>(access, shard, { op: ask(after), gone });
      recipients += answer.recipients;
      after = answer.next;
    }
  }
  return recipients;
}

function firstPage(ids: readonly QueueId[] | "ALL"): Selection | undefined {
  return ids === "ALL" ? { after: -1n, limit: PAGE_MESSAGES } : nextPage(ids, undefined, { ids: [] });
}

function nextPage(
  ids: readonly QueueId[] | "ALL",
  next: bigint | undefined,
  previous: Selection & { readonly from?: number },
): (Selection & { readonly from?: number }) | undefined {
  if (ids === "ALL") return next === undefined ? undefined : { after: next, limit: PAGE_MESSAGES };
  const from = (previous.from ?? -PAGE_MESSAGES) + PAGE_MESSAGES;
  return from < ids.length ? { ids: ids.slice(from, from + PAGE_MESSAGES), from } : undefined;
}

async function read(access: ShardAccess, id: QueueId): Promise<Awaited<ReturnType<QueueAdmin["read"]>>> {
  const key = keyOf(id);
  if (key === undefined) return undefined;
  for (const shard of access.shards()) {
    const found = await askOne<"read">(access, shard, { op: { kind: "read", queueId: id }, gone: undefined });
    if (!found) continue;
    const { listing } = found;
    const content = contentIn(access, shard, { key, sizeBytes: listing.sizeBytes });
    return { envelope: JSON.parse(found.envelope), listing, content };
  }
  return undefined;
}
