/** cli/queue.ts: `postern queue VERB`: the operator's view of the queue, on a running server and on a stopped one. */

import { systemClock } from "../base/clock.ts";
import { DeniedError } from "../net/control-socket.ts";
import { QueueShape } from "../queue/shape.ts";
import type { ShapeCount } from "../queue/store.ts";
import { type QueueDoor, readMessage, withQueue } from "./queue-access.ts";
import { CHANGES, changeQueue, selected } from "./queue-change.ts";
import { QUEUE_NAMES } from "./queue-filter.ts";
import { importQueue } from "./queue-import.ts";
import { inspectQueue } from "./queue-inspect.ts";
import { formatListingJson } from "./queue-json.ts";
import { formatLine, formatMessage, LINE_HEADING } from "./queue-lines.ts";
import { parseQueueOptions, type QueueOptions, UsageError } from "./queue-options.ts";
import { formatPausedNote, pausedNow, pauseLanes } from "./queue-pause.ts";
import { formatShape, formatShapeJson } from "./queue-shape.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const USAGE = `Usage: postern queue VERB [WHICH] [OPTIONS]

  list                       what waits, oldest first
  show ID                    one message: envelope, reasons, header
  hold | release             keep it back; let it go
  requeue                    as if it had just arrived: where it goes is found out anew
  delete                     gone, without a bounce
  flush                      try it now
  advance [--at TIME]        mail that its sender wants held: send it now, or at another time
  pause [TRANSPORT[:NEXTHOP]] …    no mail goes there until you resume it; without a name: what is paused
  resume TRANSPORT[:NEXTHOP] …     mail goes there again, at once
  import DIR [--dry-run] [--json] [--postfix-config DIR]
                             takes over the mail of a queue directory of Postfix; both stopped
  inspect [SHARD [--recover]]      damaged shards that were moved aside: what can be read; put it back
  shape [-s]                 how old the mail of each domain is (-s: of each sender's domain)

WHICH: queue ids, ALL, or conditions, which must all hold:
  --from P --to P            address, with * and ? as wildcards; a bare domain; <> for bounces
  --reason P                 why it waits: text in it, or with wildcards the whole of it
  --older T --newer T        age: 45s, 30m, 2h, 5d, 1w
  --queue Q[,Q]              incoming, active, deferred, hold
  --limit N                  no more than that

OPTIONS: --json, --dry-run (show what would be changed), --yes (do not ask when it is more than 10)
`;

export const queue: Command = async ([verb = "help", ...args], terminal) => {
  try {
    return await run(verb, args, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return failed(terminal, "queue", error.message, EXIT.usage);
  }
};

async function run(verb: string, args: readonly string[], terminal: Terminal): Promise<number> {
  if ([verb, ...args].some((word) => word === "--help" || word === "-h")) return help(terminal);
  if (CHANGES.has(verb)) return changeQueue(verb, args, terminal);
  switch (verb) {
    case "list":
      return list(args, terminal);
    case "show":
      return show(args, terminal);
    case "pause":
    case "resume":
      return pauseLanes(verb, args, terminal);
    case "import":
      return importQueue(args, terminal);
    case "inspect":
      return inspectQueue(args, terminal);
    case "shape":
      return shape(args, terminal);
    case "help":
      return help(terminal);
    default:
      throw new UsageError(`unknown verb ${verb}; see: postern queue help`);
  }
}

function help(terminal: Terminal): number {
  terminal.stdout(USAGE);
  return EXIT.done;
}

function list(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = parseQueueOptions(args, QUEUE_NAMES);
  return withQueue(terminal, async (door) => {
    const nowMs = systemClock.now();
    let messages = 0;
    for await (const entry of selected(door, options)) {
      if (messages++ === 0 && !options.json) terminal.stdout(LINE_HEADING);
      terminal.stdout(options.json ? formatListingJson(entry) : formatLine(entry, nowMs));
    }
    if (options.json) return EXIT.done;
    terminal.stdout(messages === 0 ? "No message.\n" : `${messages} message${messages === 1 ? "" : "s"}.\n`);
    terminal.stdout(await pausedNote(terminal));
    return EXIT.done;
  });
}

/** To users who may list the queue, but are no operators, what is paused is not told. */
async function pausedNote(terminal: Terminal): Promise<string> {
  try {
    return formatPausedNote(await pausedNow(terminal), systemClock.now());
  } catch (error) {
    if (error instanceof DeniedError) return "";
    throw error;
  }
}

function show(args: readonly string[], terminal: Terminal): Promise<number> {
  const { ids, json } = parseQueueOptions(args, QUEUE_NAMES);
  if (ids.length === 0) throw new UsageError("show: name a message by its queue id");
  return withQueue(terminal, async (door) => {
    for (const id of ids) {
      const found = await readMessage(door, id);
      if (!found) return failed(terminal, "queue", `${id} is not in the queue`, EXIT.problems);
      terminal.stdout(json ? formatListingJson(found.listing) : formatMessage(found, systemClock.now()));
    }
    return EXIT.done;
  });
}

function shape(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = parseQueueOptions(args, ["incoming", "active", "deferred"]);
  return withQueue(terminal, async (door) => {
    const rows = (await countedShape(door, options)).rows();
    if (options.json) terminal.stdout(formatShapeJson(rows));
    else terminal.stdout(formatShape(rows) + (await pausedNote(terminal)));
    return EXIT.done;
  });
}

/** The store counts whole queues; what only some messages are meant by is listed, and counted here. */
async function countedShape(door: QueueDoor, options: QueueOptions): Promise<QueueShape> {
  const { queues, ...conditions } = options.filter;
  const query = { nowMs: systemClock.now(), by: options.bySender ? "sender" : "recipient", queues } as const;
  const shape = new QueueShape();
  const whole = [...Object.values(conditions), ...options.ids].every((condition) => condition === undefined);
  if (whole && options.limit === Number.POSITIVE_INFINITY) {
    shape.add((await door.ask({ op: "shape", ids: "ALL", shape: query })) as readonly ShapeCount[]);
  } else for await (const entry of selected(door, options)) shape.addListed(entry, query);
  return shape;
}
