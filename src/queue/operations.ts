/** queue/operations.ts: everything one shard can be asked, as values that travel to the store thread, and what performs
 *  them. Each operation addresses one shard and runs inside the caller's transaction. */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync } from "node:fs";
import { join } from "node:path";
import { unreachable } from "../base/unreachable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ChangeAsk, ContentRow, RangeChanged, ReasonAsk, RetimeAsk, Touched } from "./admin-rows.ts";
import { type ClaimedRow, forwardedFileName, type MessageRow, type Settled, type SettleRow } from "./delivery-rows.ts";
import type { ShapeAsk, ShapePage } from "./shape-rows.ts";
import type { Shard } from "./shard.ts";
import type { LaneDue, QueuedRecipient, QueueListing } from "./store.ts";

/** Question and answer of each operation. */
export interface Operations {
  append: { ask: { readonly message: MessageRow; readonly claim: boolean }; answer: undefined };
  claim: {
    ask: { readonly lane: string; readonly nowMs: number; readonly limit: number };
    answer: readonly ClaimedRow[];
  };
  lanes: { ask: { readonly limit: number }; answer: readonly LaneDue[] };
  unclaim: { ask: { readonly key: bigint; readonly ids: readonly number[] }; answer: undefined };
  /** `filesFrom`: content directory of the appended messages' files, if it is another shard's. */
  settle: { ask: { readonly settlement: SettleRow; readonly filesFrom: string | undefined }; answer: Settled };
  delayed: { ask: { readonly key: bigint; readonly limit: number }; answer: readonly QueuedRecipient[] };
  heldFor: { ask: { readonly owner: string; readonly nowMs: number }; answer: number };
  retime: { ask: RetimeAsk; answer: RangeChanged };
  dueAfter: { ask: { readonly aboveMs: number }; answer: boolean };
  content: { ask: { readonly key: bigint }; answer: ContentRow | undefined };
  list: { ask: { readonly after: bigint; readonly limit: number }; answer: readonly QueueListing[] };
  shape: { ask: ShapeAsk; answer: ShapePage };
  change: { ask: ChangeAsk; answer: Touched };
  flushReason: { ask: ReasonAsk; answer: RangeChanged };
  read: {
    ask: { readonly queueId: QueueId };
    answer: { readonly envelope: string; readonly listing: QueueListing } | undefined;
  };
}

export type OperationKind = keyof Operations;
export type Operation<K extends OperationKind = OperationKind> = {
  [N in K]: { readonly kind: N } & Operations[N]["ask"];
}[K];
export type Answer<K extends OperationKind = OperationKind> = Operations[K]["answer"];

/** Runs one operation. Throws SQLite's errors; the caller rolls back. */
export function perform(shard: Shard, op: Operation): Answer {
  switch (op.kind) {
    case "append":
      shard.delivery.append(op.message, op.claim);
      shard.noteKey(op.message.key);
      return undefined;
    case "claim":
      return shard.delivery.claim(op);
    case "lanes":
      return shard.delivery.lanes(op.limit);
    case "unclaim":
      shard.delivery.unclaim(op.key, op.ids);
      return undefined;
    case "settle":
      return settle(shard, op);
    case "delayed":
      return shard.delivery.delayed(op.key, op.limit);
    case "heldFor":
      return shard.delivery.releases.heldFor(op.owner, op.nowMs);
    case "retime":
      return shard.admin.retime(op);
    case "dueAfter":
      return shard.delivery.dueAfter(op.aboveMs);
    case "content":
      return shard.admin.content(op.key);
    case "list":
      return shard.admin.list(op.after, op.limit);
    case "shape":
      return shard.shape.page(op);
    case "change":
      return shard.admin.change(op);
    case "flushReason":
      return shard.admin.flushReason(op);
    case "read":
      return shard.admin.read(op.queueId);
    default:
      return unreachable(op);
  }
}

function settle(shard: Shard, op: Operation<"settle">): Settled {
  const { settlement, filesFrom } = op;
  if (filesFrom !== undefined) takeFiles(shard, settlement.append, filesFrom);
  if (settlement.forwards.length > 0) linkFiles(shard, settlement);
  const settled = shard.delivery.settle(settlement);
  if (settled.appended) for (const { key } of [...settlement.append, ...settlement.forwards]) shard.noteKey(key);
  return settled;
}

/** Bounces of an adopted shard stay in it, so their content files move there before the commit names them. */
function takeFiles(shard: Shard, messages: readonly MessageRow[], from: string): void {
  const to = join(shard.directory, "content");
  for (const { file } of messages) {
    if (file === undefined || !existsSync(join(from, file))) continue;
    renameSync(join(from, file), join(to, file));
    syncDirectory(to);
  }
}

/** A forwarded copy shares its content file with the original, which is never written again. Recovery removes the name if
 *  the commit that tells of it never comes. */
function linkFiles(shard: Shard, { key, forwards }: SettleRow): void {
  const file = shard.delivery.fileOf(key);
  if (file === undefined) return;
  const content = join(shard.directory, "content");
  for (const { queueId } of forwards) {
    try {
      linkSync(join(content, file), join(content, forwardedFileName(queueId)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // the same settlement, tried before
    }
  }
  syncDirectory(content);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
