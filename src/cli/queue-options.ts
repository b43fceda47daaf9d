/** cli/queue-options.ts: the words behind `postern queue VERB`. */
import { systemClock } from "../base/clock.ts";
import { parseUtcTime } from "../mail/date.ts";
import { parseQueueId } from "../mail/queue-id.ts";
import { parseAge, QUEUE_NAMES, type QueueFilter, type QueueName } from "./queue-filter.ts";

export interface QueueOptions {
  readonly ids: readonly string[];
  /** Said in so many words. */
  readonly all: boolean;
  /** At least one condition was given. */
  readonly filtered: boolean;
  readonly filter: QueueFilter;
  readonly limit: number;
  /** --at, epoch milliseconds. */
  readonly atMs: number | undefined;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  /** shape: rows by sender instead of recipient. */
  readonly bySender: boolean;
}

/** The command line does not say what it must; the message is for the operator. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const FLAGS = new Map<string, "json" | "dryRun" | "yes" | "bySender">([
  ["--json", "json"],
  ["--dry-run", "dryRun"],
  ["-n", "dryRun"],
  ["--yes", "yes"],
  ["-y", "yes"],
  ["-s", "bySender"],
  ["--sender", "bySender"],
]);

const VALUES = new Set(["--from", "--to", "--reason", "--older", "--newer", "--queue", "--limit", "--at"]);

/** Throws UsageError. `queues` are those looked at when none is named. */
export function parseQueueOptions(args: readonly string[], queues: readonly QueueName[]): QueueOptions {
  const values = new Map<string, string>();
  const flags = new Set<string>();
  const operands: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [word = "", attached] = splitOption(args[i] ?? "");
    const flag = FLAGS.get(word);
    if (flag) flags.add(flag);
    else if (VALUES.has(word)) values.set(word, attached ?? required(word, args[++i]));
    else if (word.startsWith("-")) throw new UsageError(`unknown option ${word}; see: postern queue help`);
    else operands.push(word);
  }
  const ids = operands.filter((word) => word !== "ALL");
  const bad = ids.find((id) => !parseQueueId(id));
  if (bad !== undefined) throw new UsageError(`"${bad}" is no queue id`);
  const filter = filterOf(values, queues);
  const filtered = [...values.keys()].some((name) => name !== "--limit" && name !== "--at");
  if (ids.length > 0 && (filtered || operands.includes("ALL"))) {
    throw new UsageError("name messages by id, or by conditions, not both");
  }
  return {
    ids,
    all: operands.includes("ALL"),
    filtered,
    filter,
    limit: count(values.get("--limit")),
    atMs: at(values.get("--at")),
    json: flags.has("json"),
    dryRun: flags.has("dryRun"),
    yes: flags.has("yes"),
    bySender: flags.has("bySender"),
  };
}

function splitOption(arg: string): readonly [string, string?] {
  const equals = arg.startsWith("--") ? arg.indexOf("=") : -1;
  return equals < 0 ? [arg] : [arg.slice(0, equals), arg.slice(equals + 1)];
}

function required(option: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`${option} needs a value`);
  return value;
}

function filterOf(values: ReadonlyMap<string, string>, queues: readonly QueueName[]): QueueFilter {
  return {
    from: values.get("--from"),
    to: values.get("--to"),
    reason: values.get("--reason"),
    olderMs: age("--older", values.get("--older")),
    newerMs: age("--newer", values.get("--newer")),
    queues: queueNames(values.get("--queue")) ?? queues,
  };
}

function age(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseAge(text);
  if (ms === undefined) throw new UsageError(`${option} ${text}: say a time, as 45s, 30m, 2h, 5d or 1w`);
  return ms;
}

/** `2h` from now, or a time of RFC 3339. */
function at(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const inMs = parseAge(text);
  const ms = inMs === undefined ? parseUtcTime(text) : systemClock.now() + inMs;
  if (ms === undefined)
    throw new UsageError(`--at ${text}: say in how long, as 30m or 2d, or when, as 2026-12-24T18:00:00Z`);
  return ms;
}

function queueNames(text: string | undefined): readonly QueueName[] | undefined {
  return text?.split(",").map((name) => {
    const known = QUEUE_NAMES.find((queue) => queue === name);
    if (!known) throw new UsageError(`no queue "${name}"; there are ${QUEUE_NAMES.join(", ")}`);
    return known;
  });
}

function count(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError(`--limit ${text}: say a number above 0`);
  return Number(text);
}
