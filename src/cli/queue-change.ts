/** cli/queue-change.ts: postern queue hold, release, requeue, delete, flush: by ids, by conditions, or ALL. What matches is
 *  found page by page and changed in batches, so a queue of any length can be worked on. */
import { systemClock } from "../base/clock.ts";
import type { QueueArgs } from "../master/protocol.ts";
import type { QueueListing } from "../queue/store.ts";
import { listQueue, type QueueDoor, withQueue } from "./queue-access.ts";
import { matchesFilter, QUEUE_NAMES, type QueueName } from "./queue-filter.ts";
import { formatLine } from "./queue-lines.ts";
import { parseQueueOptions, type QueueOptions, UsageError } from "./queue-options.ts";
import { EXIT, failed, type Terminal } from "./terminal.ts";

/** More than this many are asked about first. */
const CONFIRM_ABOVE = 10;
/** Ids of one request. */
const BATCH = 500;

export interface Change {
  readonly op: QueueArgs["op"];
  readonly done: string;
  /** Queues whose messages it can touch. */
  readonly queues: readonly QueueName[];
  /** Takes --at TIME. */
  readonly timed?: true;
}

export const CHANGES: ReadonlyMap<string, Change> = new Map([
  ["hold", { op: "hold", done: "placed on hold", queues: ["incoming", "active", "deferred"] }],
  ["release", { op: "release", done: "released from hold", queues: ["hold"] }],
  ["requeue", { op: "requeue", done: "requeued", queues: QUEUE_NAMES }],
  ["delete", { op: "delete", done: "deleted", queues: QUEUE_NAMES }],
  ["advance", { op: "advance", done: "given another time", queues: QUEUE_NAMES, timed: true }],
  ["flush", { op: "flush", done: "due now", queues: ["deferred"] }],
]);

export async function changeQueue(verb: string, args: readonly string[], terminal: Terminal): Promise<number> {
  const change = CHANGES.get(verb);
  if (!change) throw new UsageError(`unknown verb ${verb}`);
  const options = parseQueueOptions(args, change.queues);
  if (options.ids.length === 0 && !options.filtered && !options.all) {
    throw new UsageError(`${verb}: say which: ids, conditions such as --to or --older, or ALL`);
  }
  if (options.atMs !== undefined && !change.timed) throw new UsageError(`${verb}: --at is for: postern queue advance`);
  return withQueue(terminal, async (queue) => {
    if (options.dryRun) return dryRun(queue, options, { verb, terminal });
    if (!(await isConfirmed(queue, options, { verb, terminal }))) return EXIT.problems;
    const touched =
      options.ids.length > 0 ? await apply(queue, change, options, options.ids) : await sweep(queue, change, options);
    terminal.stderr(`postern: queue: ${counted(touched.length)} ${change.done}\n`);
    if (options.json) for (const id of touched) terminal.stdout(`${JSON.stringify({ queue_id: id })}\n`);
    return EXIT.done;
  });
}

interface Asked {
  readonly verb: string;
  readonly terminal: Terminal;
}

/** Messages that the options mean, oldest first, at most --limit. */
export async function* selected(queue: QueueDoor, options: QueueOptions): AsyncGenerator<QueueListing> {
  const nowMs = systemClock.now();
  const ids = new Set(options.ids);
  let left = options.limit;
  for await (const entry of listQueue(queue)) {
    if (ids.size > 0 ? !ids.has(entry.queueId) : !matchesFilter(entry, options.filter, nowMs)) continue;
    if (left-- <= 0) return;
    yield entry;
  }
}

async function dryRun(queue: QueueDoor, options: QueueOptions, { verb, terminal }: Asked): Promise<number> {
  let count = 0;
  for await (const entry of selected(queue, options)) {
    terminal.stdout(formatLine(entry, systemClock.now()));
    count++;
  }
  terminal.stderr(`postern: queue: would ${verb} ${counted(count)}; nothing was changed\n`);
  return EXIT.done;
}

async function isConfirmed(queue: QueueDoor, options: QueueOptions, { verb, terminal }: Asked): Promise<boolean> {
  if (options.yes) return true;
  let count = options.ids.length;
  if (count === 0) for await (const _ of selected(queue, options)) count++;
  if (count <= CONFIRM_ABOVE) return true;
  const answer = await terminal.ask?.(`${verb} ${counted(count)}? [y/N] `);
  if (answer !== undefined && /^y(es)?$/i.test(answer.trim())) return true;
  const why =
    answer === undefined
      ? `this would ${verb} ${counted(count)}: add --yes, or look first with --dry-run`
      : "nothing was changed";
  failed(terminal, "queue", why, EXIT.problems);
  return false;
}

async function sweep(queue: QueueDoor, change: Change, options: QueueOptions): Promise<readonly string[]> {
  const touched: string[] = [];
  let batch: string[] = [];
  const flush = async () => {
    for (const id of await apply(queue, change, options, batch)) touched.push(id);
    batch = [];
  };
  for await (const { queueId } of selected(queue, options)) {
    batch.push(queueId);
    if (batch.length >= BATCH) await flush();
  }
  if (batch.length > 0) await flush();
  return touched;
}

async function apply(
  queue: QueueDoor,
  { op }: Change,
  { atMs }: Pick<QueueOptions, "atMs">,
  ids: readonly string[],
): Promise<readonly string[]> {
  return (await queue.ask({ op, ids, ...(atMs !== undefined && { atMs }) })) as string[];
}

function counted(n: number): string {
  return `${n} message${n === 1 ? "" : "s"}`;
}
