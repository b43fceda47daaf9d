/** cli/queue-commands.ts: postqueue, mailq, postsuper, postcat: through the master when it runs, on the shards when not. */
import type { Envelope } from "../mail/envelope.ts";
import { parseQueueId, type QueueId } from "../mail/queue-id.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { runQueueOperation } from "../master/queue-operations.ts";
import { openOffline } from "../queue/offline.ts";
import type { QueueListing } from "../queue/store.ts";
import {
  formatPostcatEnd,
  formatPostcatEnvelope,
  formatQueueEntry,
  formatQueueHeading,
  formatQueueJson,
  formatQueueTotals,
} from "./queue-format.ts";
import { control, directoriesOf } from "./server-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

const PAGE = 1000;

/** One operation, wherever the queue is. */
async function onQueue(terminal: Terminal, args: QueueArgs): Promise<unknown> {
  const answer = await control(terminal, "queue", args as never);
  if (answer !== undefined) return answer ?? undefined;
  const queue = openOffline((await directoriesOf(terminal)).queue);
  try {
    for (const note of queue.notes) terminal.stderr(`postern: queue: ${note}\n`);
    return await runQueueOperation(queue, args);
  } finally {
    queue.close();
  }
}

/** All messages, page by page, in queue id order within each page. */
async function* listQueue(terminal: Terminal): AsyncGenerator<QueueListing> {
  let after: string | undefined;
  for (;;) {
    const page = (await onQueue(terminal, { op: "list", ids: "ALL", after, limit: PAGE })) as QueueListing[];
    yield* page;
    after = page.at(-1)?.queueId;
    if (page.length < PAGE) return;
  }
}

export const mailq: Command = (_args, terminal) => printQueue(terminal);

export const postqueue: Command = async (args, terminal) => {
  const [option, value] = args;
  if (option === "-p") return printQueue(terminal);
  if (option === "-j") {
    for await (const entry of listQueue(terminal)) terminal.stdout(formatQueueJson(entry));
    return EXIT.done;
  }
  const ids = option === "-i" && value !== undefined ? [value] : "ALL";
  if (option !== "-f" && ids === "ALL")
    return failed(terminal, "postqueue", "specify one of: -p, -j, -f, -i QUEUE_ID", EXIT.usage);
  return change(terminal, "postqueue", { op: "flush", ids });
};

async function printQueue(terminal: Terminal): Promise<number> {
  const format = { longIds: false };
  let messages = 0;
  let sizeBytes = 0;
  for await (const entry of listQueue(terminal)) {
    terminal.stdout(messages === 0 ? formatQueueHeading(format) : "\n");
    terminal.stdout(formatQueueEntry(entry, format));
    messages++;
    sizeBytes += entry.sizeBytes;
  }
  terminal.stdout(formatQueueTotals({ messages, sizeBytes }));
  return EXIT.done;
}

const POSTSUPER = new Map<string, { readonly op: QueueArgs["op"]; readonly done: string; readonly total: string }>([
  ["-d", { op: "delete", done: "removed", total: "Deleted" }],
  ["-h", { op: "hold", done: "placed on hold", total: "Placed on hold" }],
  ["-H", { op: "release", done: "released from hold", total: "Released from hold" }],
]);

export const postsuper: Command = async (args, terminal) => {
  const [option = "", ...given] = args;
  const what = POSTSUPER.get(option);
  if (!what || given.length === 0) {
    return failed(
      terminal,
      "postsuper",
      "usage: postsuper -d|-h|-H ALL | QUEUE_ID … | - (ids on standard input)",
      EXIT.usage,
    );
  }
  const names = given[0] === "-" ? (await terminal.stdin()).split(/\s+/).filter(Boolean) : given;
  if (names.includes("ALL")) return change(terminal, "postsuper", { op: what.op, ids: "ALL" }, what);
  return change(terminal, "postsuper", { op: what.op, ids: names }, what);
};

/** Names that are no queue id of ours are refused before anything is touched. */
async function change(
  terminal: Terminal,
  command: string,
  args: QueueArgs,
  words?: { readonly done: string; readonly total: string },
): Promise<number> {
  const bad = args.ids === "ALL" ? undefined : args.ids.find((id) => !parseQueueId(id));
  if (bad !== undefined) return failed(terminal, command, `invalid queue id: ${bad}`, EXIT.problems);
  const touched = (await onQueue(terminal, args)) as QueueId[];
  if (!words) return EXIT.done;
  for (const id of touched) terminal.stderr(`${command}: ${id}: ${words.done}\n`);
  if (touched.length > 0)
    terminal.stderr(`${command}: ${words.total}: ${touched.length} message${touched.length === 1 ? "" : "s"}\n`);
  return EXIT.done;
}

export const postcat: Command = async (args, terminal) => {
  const flags = args.filter((arg) => arg.startsWith("-")).join("");
  const id = args.find((arg) => !arg.startsWith("-"));
  if (!flags.includes("q") || id === undefined)
    return failed(terminal, "postcat", "usage: postcat [-bhe] -q QUEUE_ID", EXIT.usage);
  const found = (await onQueue(terminal, { op: "read", ids: [id] })) as
    | { envelope: Envelope; listing: QueueListing; content: string }
    | undefined;
  if (!found) return failed(terminal, "postcat", `open queue file ${id}: No such file or directory`, EXIT.problems);
  const all = !/[bhe]/.test(flags);
  const split = found.content.indexOf("\r\n\r\n") + 2;
  const unix = (text: string) => text.replaceAll("\r\n", "\n");
  if (all || flags.includes("e")) terminal.stdout(formatPostcatEnvelope(found.envelope, found.listing));
  if (all || flags.includes("h")) terminal.stdout(unix(found.content.slice(0, split)));
  if (all || flags.includes("b")) terminal.stdout(unix(found.content.slice(split)));
  if (all || flags.includes("e")) terminal.stdout(formatPostcatEnd(found.listing));
  return EXIT.done;
};
