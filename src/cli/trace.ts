/** cli/trace.ts: `postern trace QUEUEID`: all that is known of one message, on one page: what the queue still holds of it, and what
 *  the log and its rotated parts say. Works for a message that is long gone, and without a server. */
import { systemClock } from "../base/clock.ts";
import { type FoundLine, type LogPart, linesWith, partsOfLog } from "../log/find-lines.ts";
import { parseLine, type ReadLine } from "../log/parse-line.ts";
import { parseQueueId } from "../mail/queue-id.ts";
import { defaultLogPath } from "../master/mail-log.ts";
import { readMessage, withQueue } from "./queue-access.ts";
import { parametersOf } from "./server-commands.ts";
import { type Command, EXIT, failed, type Terminal } from "./terminal.ts";
import { changesOf, formatTrace, type Traced } from "./trace-page.ts";
import { storyOf } from "./trace-story.ts";

const USAGE = `Usage: postern [-c DIR] trace QUEUEID [--json] [--log FILE]

Tells all that the queue and the log, with its rotated parts, know of one message, also when it is long gone.
  --log FILE   this log file instead of maillog_file
`;
/** How far in front of a message's first line its session may have begun. */
const SESSION_BYTES = 64 << 20;
/** Between the making of a queue id and its first line in the log, and by how much clocks are set back. */
const SLACK_MS = 3_600_000;
/** A message that goes on for longer is told in part. */
const MOST_LINES = 10_000;

export const trace: Command = async (args, terminal) => {
  const fail = (why: string, code: number = EXIT.usage) => failed(terminal, "trace", why, code);
  if (args.includes("--help") || args.includes("-h")) {
    terminal.stdout(USAGE);
    return EXIT.done;
  }
  const options = parseOptions(args);
  if (options === undefined) return fail(`expected one QUEUEID\n${USAGE.trimEnd()}`);
  const parsed = parseQueueId(options.id);
  if (!parsed) return fail(`${options.id} is no queue id of this server`);
  const log = options.log ?? (await logPathOf(terminal));
  const notes: string[] = [];
  const found = await readLog(log, { id: options.id, sinceMs: parsed.micros / 1000 - SLACK_MS, notes });
  const queue = await askQueue(options.id, terminal);
  const story = { ...storyOf(options.id, found.lines), tls: found.tls };
  const traced: Traced = { queueId: options.id, story, notes, ...queue };
  if (found.lines.length === 0 && !queue.queued) {
    for (const note of notes) terminal.stderr(`postern: trace: ${note}\n`);
    return fail(`${options.id}: neither the queue nor ${log} knows it; name another log with --log`, EXIT.problems);
  }
  terminal.stdout(options.json ? formatJson(traced) : formatTrace(traced, systemClock.now()));
  return EXIT.done;
};

interface Options {
  readonly id: string;
  readonly json: boolean;
  readonly log: string | undefined;
}

function parseOptions(args: readonly string[]): Options | undefined {
  let id: string | undefined;
  let json = false;
  let log: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--json") json = true;
    else if (arg === "--log" && args[at + 1] !== undefined) log = args[++at];
    else if (arg.startsWith("-") || id !== undefined) return undefined;
    else id = arg;
  }
  return id === undefined ? undefined : { id, json, log };
}

async function logPathOf(terminal: Terminal): Promise<string> {
  const params = await parametersOf(terminal);
  return params.get("maillog_file") || defaultLogPath(params);
}

interface Wanted {
  readonly id: string;
  /** Parts whose last line is older have nothing. */
  readonly sinceMs: number;
  readonly notes: string[];
}

/** All lines of the message in order. Ends at the one that says it is gone. */
async function readLog(path: string, { id, sinceMs, notes }: Wanted) {
  const lines: ReadLine[] = [];
  let tls: string | undefined;
  const whole = new RegExp(`(?<![0-9A-Za-z])${id}(?![0-9A-Za-z])`);
  const parts = partsOfLog(path).filter(({ changedMs }) => changedMs >= sinceMs);
  if (parts.length === 0) notes.push(`there is no log ${path} of that time`);
  for (const part of parts) {
    if (part.compressed === "otherwise") {
      notes.push(`${part.path} is compressed in a form that is not read here`);
      continue;
    }
    try {
      for await (const found of linesWith(id, part)) {
        const line = parseLine(found.text);
        if (!line || !whole.test(line.text) || lines.length >= MOST_LINES) continue;
        lines.push(line);
        if (line.text.startsWith(`${id}: client=`)) tls ??= await tlsOf(line, found, part);
        if (line.text === `${id}: removed` || line.text.startsWith(`${id}: removed (`)) return { lines, tls };
      }
    } catch (error) {
      notes.push(`${part.path}: ${(error as Error).message}`);
    }
  }
  return { lines, tls };
}

/** What the session's lines in front of it say of TLS: its id is its own. */
async function tlsOf(line: ReadLine, { offset }: FoundLine, part: LogPart): Promise<string | undefined> {
  let tls: string | undefined;
  for await (const found of linesWith("TLS connection established from", part, Math.max(0, offset - SESSION_BYTES))) {
    if (found.offset >= offset) break;
    const before = parseLine(found.text);
    if (before?.id === line.id && before.tag === line.tag) tls = before.text;
  }
  return tls;
}

/** What the queue holds; a user who may not ask is told so. */
async function askQueue(id: string, terminal: Terminal): Promise<Pick<Traced, "queued" | "queueProblem">> {
  try {
    const read = await withQueue(terminal, (door) => readMessage(door, id));
    return { queued: read && { envelope: read.envelope, listing: read.listing } };
  } catch (error) {
    return { queued: undefined, queueProblem: (error as Error).message };
  }
}

/** One object on a line. */
function formatJson(traced: Traced): string {
  const { queueId, story, queued, queueProblem, notes } = traced;
  const { changes: _logged, ...told } = story;
  return `${JSON.stringify({
    ...{ queue_id: queueId, changes: changesOf(traced), touched: changesOf(traced).length > 0 },
    ...{ log: told, queue: queued?.listing, envelope: queued?.envelope },
    ...{ queue_problem: queueProblem, notes },
  })}\n`;
}
