/** cli/queue-inspect.ts: postern queue inspect: shards that were damaged and moved aside: which there are, what of them can be
 *  read; --recover puts that back into the queue. On a running server and on a stopped one. */
import { join } from "node:path";
import { formatAddress } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { WorkerStatus } from "../master/protocol.ts";
import { workerCount } from "../master/worker-count.ts";
import {
  type DamagedShard,
  damagedAt,
  inspectShard,
  listDamaged,
  type Rebuilt,
  rebuildShard,
} from "../queue/rebuild.ts";
import type { Lost, Salvage } from "../queue/salvage.ts";
import { UsageError } from "./queue-options.ts";
import { control, directoriesOf, parametersOf } from "./server-commands.ts";
import { EXIT, type Terminal } from "./terminal.ts";

/** Lost messages are named up to this many; --json names more. */
const MOST_NAMED = 20;

/** Throws UsageError, QueueError. Exit 1: something could not be read. */
export async function inspectQueue(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Set(args.filter((arg) => arg.startsWith("-")));
  const unknown = [...options].find((option) => option !== "--recover" && option !== "--json");
  if (unknown !== undefined) throw new UsageError(`unknown option ${unknown}; see: postern queue help`);
  const names = args.filter((arg) => !arg.startsWith("-"));
  const { queue: queueDirectory } = await directoriesOf(terminal);
  const json = options.has("--json");
  if (names.length === 0) {
    if (options.has("--recover"))
      throw new UsageError("inspect --recover: name the shard; postern queue inspect lists them");
    terminal.stdout(listText(listDamaged(queueDirectory), json));
    return EXIT.done;
  }
  let damaged = false;
  for (const name of names) {
    const shard = damagedAt(name.includes("/") ? name : join(queueDirectory, "corrupt", name));
    const found = options.has("--recover") ? await recover(shard, queueDirectory, terminal) : inspectShard(shard);
    terminal.stdout(json ? `${JSON.stringify(jsonOf(shard, found))}\n` : reportText(shard, found));
    damaged ||= found.damagedPages > 0 || found.withoutContent.count + found.withoutRecipients.count > 0;
  }
  return damaged ? EXIT.problems : EXIT.done;
}

async function recover(shard: DamagedShard, queueDirectory: string, terminal: Terminal): Promise<Rebuilt> {
  const running = (await control(terminal, "status", {})) as { workers: WorkerStatus[] } | undefined;
  // A running server may still have another number of workers than main.cf says.
  const configured = workerCount((await parametersOf(terminal)).get("postern_workers"));
  const atLeast = Math.max(configured, 1, ...(running?.workers ?? []).map((worker) => worker.shard + 1));
  const rebuilt = rebuildShard(shard, { queueDirectory, atLeast });
  if (running && rebuilt.shard !== undefined) await control(terminal, "adopt", { shard: rebuilt.shard });
  return rebuilt;
}

function listText(shards: readonly DamagedShard[], json: boolean): string {
  if (json) {
    return shards
      .map(
        ({ name, path, sizeBytes, recoveredAs }) =>
          `${JSON.stringify({ name, path, size: sizeBytes, recovered_as: recoveredAs })}\n`,
      )
      .join("");
  }
  if (shards.length === 0) return "No shard was moved aside.\n";
  const line = ({ name, sizeBytes, recoveredAs }: DamagedShard) =>
    `${name}  ${movedAt(name)}  ${(sizeBytes / 2 ** 20).toFixed(1)} MiB${recoveredAs === undefined ? "" : `  recovered as ${recoveredAs}`}\n`;
  return shards.map(line).join("");
}

/** The name ends in the time of the move, in microseconds. */
function movedAt(name: string): string {
  const micros = Number(/-(\d{16})$/.exec(name)?.[1]);
  return Number.isNaN(micros) ? "" : new Date(micros / 1000).toISOString().slice(0, 19).replace("T", " ");
}

function reportText({ name, recoveredAs }: DamagedShard, found: Salvage | Rebuilt): string {
  const lines = [
    `${name}: ${found.messages} messages with ${found.recipients} recipients can be read`,
    `pages       ${found.pages}, damaged ${found.damagedPages}`,
    `log (-wal)  ${found.hasLog ? "read" : "none"}`,
    ...lostLines("content lost", found.withoutContent),
    ...lostLines("recipients lost", found.withoutRecipients),
  ];
  if (found.withoutEnvelope > 0)
    lines.push(`envelope lost: ${found.withoutEnvelope}; nobody can say from whom and to whom they were`);
  if (found.uncertain) {
    lines.push(
      "The list of free pages is lost: some of these may have left the queue before. They are recovered on hold:",
      "look at them, then: postern queue release, or delete",
    );
  } else if (found.damagedPages > 0)
    lines.push("Recipients that were in damaged pages may be missing from messages that could be read.");
  if ("shard" in found) lines.push(recoveredLine(found));
  else if (recoveredAs !== undefined) lines.push(`It was recovered already, as ${recoveredAs}.`);
  else if (found.messages > 0) lines.push(`To put them back into the queue: postern queue inspect ${name} --recover`);
  return `${lines.join("\n")}\n`;
}

function recoveredLine({ shard, messages, uncertain }: Rebuilt): string {
  if (shard === undefined) return "Nothing could be recovered.";
  return `${messages} messages are in the queue again${uncertain ? ", on hold" : ""}.`;
}

function lostLines(what: string, { count, named }: Lost): readonly string[] {
  if (count === 0) return [];
  const shown = (text: string) => (text === "" ? "<>" : printableUtf8(formatAddress(text as never)));
  const lines = named
    .slice(0, MOST_NAMED)
    .map(({ queueId, sender, recipients }) => `  ${queueId}  ${shown(sender)} -> ${recipients.map(shown).join(", ")}`);
  return [`${what}: ${count}`, ...lines, ...(count > lines.length ? [`  and ${count - lines.length} more`] : [])];
}

function jsonOf({ name, path, recoveredAs }: DamagedShard, found: Salvage | Rebuilt): Record<string, unknown> {
  const lost = (which: Lost) => ({
    count: which.count,
    messages: which.named.map(({ queueId, ...rest }) => ({ queue_id: queueId, ...rest })),
  });
  return {
    ...{ name, path, recovered_as: recoveredAs, messages: found.messages, recipients: found.recipients },
    ...{ pages: found.pages, damaged_pages: found.damagedPages, log: found.hasLog, uncertain: found.uncertain },
    content_lost: lost(found.withoutContent),
    recipients_lost: lost(found.withoutRecipients),
    envelope_lost: found.withoutEnvelope,
    ...("shard" in found && { recovered: found.shard !== undefined }),
  };
}
