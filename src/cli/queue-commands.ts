/** cli/queue-commands.ts: postqueue(1), mailq, postcat(1). */
import { parseQueueId } from "../mail/queue-id.ts";
import type { QueueArgs } from "../master/protocol.ts";
import { mainCfOf } from "./main-cf.ts";
import { listQueue, type ReadMessage, readMessage, withQueue } from "./queue-access.ts";
import {
  formatPostcatEnd,
  formatPostcatEnvelope,
  formatQueueEntry,
  formatQueueHeading,
  formatQueueJson,
  formatQueueTotals,
} from "./queue-format.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";

export const mailq: Command = (_args, terminal) => printQueue(terminal);

const POSTQUEUE_USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";

export const postqueue: Command = async (args, terminal) => {
  const [option, value, ...rest] = args.filter((arg) => arg !== "-v");
  const usage = () => failed(terminal, "postqueue", POSTQUEUE_USAGE, EXIT.usage);
  const wants = option === "-i" || option === "-s";
  if (rest.length > 0 || wants !== (value !== undefined)) return usage();
  switch (option) {
    case "-p":
      return printQueue(terminal);
    case "-j":
      return printJson(terminal);
    case "-f":
      return flush(terminal, { op: "flush", ids: "ALL" });
    case "-i":
      if (!parseQueueId(value ?? "")) return failed(terminal, "postqueue", `Invalid queue_id: "${value}"`, EXIT.usage);
      return flush(terminal, { op: "flush", ids: [value ?? ""] });
    case "-s":
      return flushSite(terminal, value ?? "");
    default:
      return usage();
  }
};

function printJson(terminal: Terminal): Promise<number> {
  return withQueue(terminal, async (queue) => {
    for await (const entry of listQueue(queue)) terminal.stdout(formatQueueJson(entry));
    return EXIT.done;
  });
}

/** `[site]` and `site` name the same, as in postqueue(1). */
function flushSite(terminal: Terminal, given: string): Promise<number> | number {
  const site = given.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if (!/^[a-z0-9._:-]+$/.test(site)) {
    return failed(terminal, "postqueue", `Cannot flush mail queue - invalid destination: "${given}"`, EXIT.usage);
  }
  return flush(terminal, { op: "flush-site", ids: "ALL", site });
}

function flush(terminal: Terminal, args: QueueArgs): Promise<number> {
  return withQueue(terminal, async (queue) => {
    await queue.ask(args);
    return EXIT.done;
  });
}

async function printQueue(terminal: Terminal): Promise<number> {
  const format = { longIds: (await mainCfOf(terminal)).params.get("enable_long_queue_ids") };
  return withQueue(terminal, async (queue) => {
    let messages = 0;
    let sizeBytes = 0;
    for await (const entry of listQueue(queue)) {
      const before = messages === 0 ? formatQueueHeading(format) : "\n";
      terminal.stdout(before + formatQueueEntry(entry, format));
      messages++;
      sizeBytes += entry.sizeBytes;
    }
    terminal.stdout(formatQueueTotals({ messages, sizeBytes }));
    return EXIT.done;
  });
}

const POSTCAT_USAGE = "usage: postcat [-behqv] -q queue_id...";

export const postcat: Command = (args, terminal) => {
  const flags = new Set(args.filter((arg) => arg.startsWith("-")).flatMap((arg) => [...arg.slice(1)]));
  const ids = args.filter((arg) => !arg.startsWith("-"));
  const unknown = [...flags].some((flag) => !"behqv".includes(flag));
  if (unknown || !flags.has("q") || ids.length === 0) {
    return Promise.resolve(failed(terminal, "postcat", POSTCAT_USAGE, EXIT.usage));
  }
  return withQueue(terminal, async (queue) => {
    for (const id of ids) {
      const found = await readMessage(queue, id);
      if (!found) return failed(terminal, "postcat", `open queue file ${id}: No such file or directory`, EXIT.problems);
      terminal.stdout(postcatBytes(found, flags));
    }
    return EXIT.done;
  });
};

/** The content with LF line ends, its bytes otherwise as they are. */
function postcatBytes({ envelope, listing, content }: ReadMessage, flags: ReadonlySet<string>): Uint8Array {
  const all = !["b", "h", "e"].some((flag) => flags.has(flag));
  const split = content.indexOf("\r\n\r\n") + 2;
  const unix = (text: string) => Buffer.from(text.replaceAll("\r\n", "\n"), "latin1");
  const parts: Uint8Array[] = [];
  if (all || flags.has("e")) parts.push(Buffer.from(formatPostcatEnvelope(envelope, listing)));
  if (all || flags.has("h")) parts.push(unix(content.slice(0, split)));
  if (all || flags.has("b")) parts.push(unix(content.slice(split)));
  if (all || flags.has("e")) parts.push(Buffer.from(formatPostcatEnd(listing)));
  return Buffer.concat(parts);
}
