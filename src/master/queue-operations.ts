/** master/queue-operations.ts: one operator's operation on one worker's queue; the master merges the workers' answers. */
import type { QueueId } from "../mail/queue-id.ts";
import { REQUEUE_LANE } from "../qmgr/lane-map.ts";
import type { QueueAdmin } from "../queue/store.ts";
import type { QueueArgs } from "./protocol.ts";
import { flushSite } from "./site-flush.ts";

/** Rows of one page of a listing. */
const PAGE = 1000;

/** Content of `read` is collected, since it crosses a process border; at most this many bytes of it. */
const MAX_READ_BYTES = 64 * 1024 * 1024;

export async function runQueueOperation(queue: QueueAdmin, args: QueueArgs): Promise<unknown> {
  const ids = args.ids as readonly QueueId[] | "ALL";
  switch (args.op) {
    case "list":
      return queue.list({ after: args.after as QueueId | undefined, limit: args.limit ?? PAGE });
    case "shape":
      if (args.shape === undefined) throw new Error("It is not said which shape");
      return queue.shape(args.shape);
    case "hold":
      return queue.hold(ids);
    case "release":
      return queue.release(ids);
    case "delete":
      return queue.delete(ids);
    case "flush":
      return queue.flush(ids);
    case "requeue":
      return queue.requeue(ids, REQUEUE_LANE);
    case "advance":
      return queue.advance(ids, args.atMs ?? 0);
    case "flush-reason":
      return queue.flushReason(args.reason ?? "");
    case "flush-site":
      return flushSite(queue, args.site ?? "");
    case "read":
      return readMessage(queue, ids === "ALL" ? undefined : ids[0]);
    default:
      throw new Error(`Unknown queue operation "${String(args.op)}"`);
  }
}

async function readMessage(queue: QueueAdmin, id: QueueId | undefined): Promise<unknown> {
  const found = id === undefined ? undefined : await queue.read(id);
  if (!found) return undefined;
  if (found.content.sizeBytes > MAX_READ_BYTES) throw new Error(`Message ${id} is too large to show`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of found.content.chunks()) chunks.push(chunk);
  return { envelope: found.envelope, listing: found.listing, content: Buffer.concat(chunks).toString("latin1") };
}
