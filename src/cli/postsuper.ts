/** cli/postsuper.ts: postsuper(1): -d, -h, -H, -r by queue id, `-` for ids on standard input, ALL, limited by queue names.
 *  -s and -p have nothing to mend: the shards mend themselves when they are opened (src/queue/README.md). */
import { parseQueueId } from "../mail/queue-id.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { listQueue, type QueueDoor, withQueue } from "./queue-access.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

interface Action {
  readonly op: QueueArgs["op"];
  readonly done: string;
  readonly total: string;
}

const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ["-d", { op: "delete", done: "removed", total: "Deleted" }],
  ["-h", { op: "hold", done: "placed on hold", total: "Placed on hold" }],
  ["-H", { op: "release", done: "released from hold", total: "Released from hold" }],
  ["-r", { op: "requeue", done: "requeued", total: "Requeued" }],
]);

/** Postfix's queue names; there is no mail in maildrop or saved that postsuper could touch here. */
const QUEUES: ReadonlySet<string> = new Set(["maildrop", "incoming", "active", "deferred", "hold", "saved", "corrupt"]);
const BATCH = 500;

const USAGE =
  "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-h queue_id (hold)] [-H queue_id (un-hold)] " +
  "[-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] [-v (verbose logging)] [queue...]";

interface Wanted {
  readonly action: Action;
  /** A queue id, `-` or ALL. */
  readonly which: string;
}

interface Parsed {
  readonly wanted: readonly Wanted[];
  readonly queues: ReadonlySet<string>;
}

export const postsuper: Command = async (args, terminal) => {
  const parsed = parse(args);
  if (typeof parsed === "string") return failed(terminal, "postsuper", parsed, EXIT.problems);
  if (parsed.wanted.length === 0) return EXIT.done;
  return withQueue(terminal, async (queue) => {
    for (const action of ACTIONS.values()) {
      const which = parsed.wanted.filter((wanted) => wanted.action === action).map((wanted) => wanted.which);
      if (which.length > 0) await perform(queue, { action, which, queues: parsed.queues }, terminal);
    }
    return EXIT.done;
  });
};

/** What is asked for, or what is wrong with it. A further id behind one counts as if its option had been repeated. */
function parse(args: readonly string[]): Parsed | string {
  const wanted: Wanted[] = [];
  const queues = new Set<string>();
  let last: Action | undefined;
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    const action = ACTIONS.get(word);
    if (action) {
      const which = args[++i];
      if (which === undefined) return USAGE;
      wanted.push({ action, which });
      last = action;
    } else if (/^-[psSv]+$/.test(word)) continue;
    else if (QUEUES.has(word)) queues.add(word);
    else if (last && parseQueueId(word)) wanted.push({ action: last, which: word });
    else return word.startsWith("-") ? USAGE : `invalid directory name: ${word}`;
  }
  return { wanted, queues };
}

interface Job {
  readonly action: Action;
  readonly which: readonly string[];
  readonly queues: ReadonlySet<string>;
}

async function perform(queue: QueueDoor, job: Job, terminal: Terminal): Promise<void> {
  const { action } = job;
  let total = 0;
  for await (const ids of batches(queue, job, terminal)) {
    const touched = (await queue.ask({ op: action.op, ids })) as string[];
    for (const id of touched) terminal.stderr(`postsuper: ${id}: ${action.done}\n`);
    total += touched.length;
  }
  if (total > 0) terminal.stderr(`postsuper: ${action.total}: ${total} message${total === 1 ? "" : "s"}\n`);
}

async function* batches(queue: QueueDoor, job: Job, terminal: Terminal): AsyncGenerator<readonly string[]> {
  let batch: string[] = [];
  for await (const id of named(queue, job, terminal)) {
    batch.push(id);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function* named(queue: QueueDoor, { which, queues }: Job, terminal: Terminal): AsyncGenerator<string> {
  const typed = which.includes("-") ? (await terminal.stdin()).split(/\s+/).filter(Boolean) : [];
  const ids = [...which.filter((word) => word !== "-"), ...typed];
  const good = new Set(ids.filter((id) => isQueueId(id, terminal)));
  const all = ids.includes("ALL");
  if (!all && queues.size === 0) {
    yield* good;
    return;
  }
  for await (const entry of listQueue(queue)) {
    if ((all || good.has(entry.queueId)) && (queues.size === 0 || queues.has(entry.queue))) yield entry.queueId;
  }
}

function isQueueId(id: string, terminal: Terminal): boolean {
  if (id === "ALL") return false;
  if (parseQueueId(id)) return true;
  terminal.stderr(`postsuper: warning: invalid mail queue id: ${id}\n`);
  return false;
}
