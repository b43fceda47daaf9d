/** cli/queue-import.ts: `postern queue import DIR`: takes over the mail in a queue directory of Postfix, which is only read.
 *  Both servers must be stopped. A message that was imported is not imported again, whatever happens in between. */
import { lchownSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { unreachable } from "../base/unreachable.ts";
import { Log } from "../log/log.ts";
import { formatAddress } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { parseQueueId, type QueueId, QueueIdAllocator } from "../mail/queue-id.ts";
import { prepareDirectories, queueDirectories, workerUser } from "../master/directories.ts";
import type { WorkerUser } from "../master/protocol.ts";
import { openStore } from "../queue/sqlite-store.ts";
import type { QueueStore } from "../queue/store.ts";
import { ImportJournal } from "./import-journal.ts";
import { importMessage } from "./import-message.ts";
import type { PostcatMessage } from "./postcat-envelope.ts";
import {
  filesInMaildrop,
  type PostcatOptions,
  type PostfixFile,
  postfixFiles,
  readPostfixEnvelope,
  whyNotImportable,
} from "./postfix-queue.ts";
import { UsageError } from "./queue-options.ts";
import { parametersOf } from "./server-commands.ts";
import { EXIT, failed, type Terminal } from "./terminal.ts";

interface ImportOptions extends PostcatOptions {
  readonly directory: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** What became of one file. */
type Fate =
  | { readonly kind: "imported"; readonly queueId?: QueueId }
  | { readonly kind: "known" }
  | { readonly kind: "done" }
  | { readonly kind: "not"; readonly why: string };

interface Target {
  readonly store: QueueStore;
  readonly journal: ImportJournal;
  readonly nextQueueId: () => QueueId;
  close(): Promise<void>;
}

export async function importQueue(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = parseOptions(args);
  const refused = whyNotImportable(options.directory);
  if (refused !== undefined) return failed(terminal, "queue", refused, EXIT.problems);
  const target = options.dryRun ? undefined : await openTarget(terminal);
  const totals = new Map<Fate["kind"], number>();
  try {
    for (const file of postfixFiles(options.directory)) {
      const { fate, message } = await importFile(file, target, options);
      totals.set(fate.kind, (totals.get(fate.kind) ?? 0) + 1);
      terminal.stdout(options.json ? jsonLine(file, fate, message) : textLine(file, fate, message));
    }
  } finally {
    await target?.close();
  }
  if (!options.json) terminal.stdout(summary(totals, options));
  return totals.has("not") ? EXIT.problems : EXIT.done;
}

/** Throws UsageError. */
function parseOptions(args: readonly string[]): ImportOptions {
  const [flags, words]: [Set<string>, string[]] = [new Set(), []];
  let configDirectory: string | undefined;
  let postcat = "postcat";
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? "";
    if (word === "--postfix-config") configDirectory = args[++i];
    else if (word === "--postcat") postcat = args[++i] ?? postcat;
    else if (word === "--dry-run" || word === "-n" || word === "--json") flags.add(word);
    else if (word.startsWith("-")) throw new UsageError(`unknown option ${word}; see: postern queue help`);
    else words.push(word);
  }
  const [directory, ...more] = words;
  if (directory === undefined || more.length > 0) throw new UsageError("import: name one queue directory of Postfix");
  const dryRun = flags.has("--dry-run") || flags.has("-n");
  return { directory, dryRun, json: flags.has("--json"), configDirectory, postcat };
}

/** Throws QueueError where the server is running, StartError where the configuration is not fit. */
async function openTarget(terminal: Terminal): Promise<Target> {
  const params = await parametersOf(terminal);
  const directories = queueDirectories(params);
  const user = workerUser(params, process.getuid?.() ?? 0);
  prepareDirectories(directories, user);
  const store = await openStore({
    ...{ directory: directories.queue, shard: 0, inlineLimit: params.get("postern_queue_inline_limit") },
    log: new Log({ sink: ({ text }) => terminal.stderr(`postern: queue: ${text}\n`), now: () => 0, tag: "", id: 0 }),
    clock: systemClock,
  });
  const journal = new ImportJournal(directories.queue);
  const ids = new QueueIdAllocator({
    ...{ nowMicros: systemClock.nowMicros, shard: 0, long: params.get("enable_long_queue_ids") },
    floorMicros: store.floorMicros,
  });
  return {
    ...{ store, journal, nextQueueId: () => ids.next() },
    async close() {
      journal.close();
      await store.close();
      if (user) giveTo(directories.queue, user);
    },
  };
}

/** What root has written belongs to who runs the server. */
function giveTo(directory: string, { uid, gid }: WorkerUser): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    lchownSync(join(entry.parentPath, entry.name), uid, gid);
  }
}

async function importFile(
  file: PostfixFile,
  target: Target | undefined,
  options: ImportOptions,
): Promise<{ readonly fate: Fate; readonly message?: PostcatMessage }> {
  const message = await readPostfixEnvelope(file.path, options);
  if (typeof message === "string") return { fate: { kind: "not", why: message } };
  if (message.recipients.length === 0) return { fate: { kind: "done" }, message };
  const fate = target ? await importInto(target, { file, message }, options) : ({ kind: "imported" } as const);
  return { fate, message };
}

async function importInto(
  { store, journal, nextQueueId }: Target,
  { file, message }: { readonly file: PostfixFile; readonly message: PostcatMessage },
  options: ImportOptions,
): Promise<Fate> {
  const name = { id: file.id, arrivalMs: message.envelope.arrivalMs };
  if (journal.has(name)) return { kind: "known" };
  const begun = journal.begunAs(name);
  if (begun !== undefined && (await store.read(begun))) {
    journal.done({ ...name, queueId: begun });
    return { kind: "known" };
  }
  // The floor is the newest id that was ever committed: one above it never was.
  if (begun !== undefined && (parseQueueId(begun)?.micros ?? 0) <= store.floorMicros) {
    const hint = "look for that id in the log; to import it again, take its line out of queue/imported";
    return { kind: "not", why: `it may have been imported before, as ${begun}: ${hint}` };
  }
  const queueId = nextQueueId();
  journal.begin({ ...name, queueId });
  const why = await importMessage({ file, message, queueId }, store, options);
  if (why === undefined) journal.done({ ...name, queueId });
  else journal.none({ ...name, queueId });
  return why === undefined ? { kind: "imported", queueId } : { kind: "not", why };
}

function textLine({ id, queue }: PostfixFile, fate: Fate, message: PostcatMessage | undefined): string {
  const what = message ? `${queue}, from ${senderOf(message)}, recipients: ${message.recipients.length}` : queue;
  switch (fate.kind) {
    case "imported":
      return `${id}: ${fate.queueId === undefined ? "would be imported" : `imported as ${fate.queueId}`} (${what})\n`;
    case "known":
      return `${id}: was imported before (${what})\n`;
    case "done":
      return `${id}: nothing is left to deliver (${what})\n`;
    case "not":
      return `${id}: NOT imported (${what}): ${printableUtf8(fate.why)}\n`;
    default:
      return unreachable(fate);
  }
}

function jsonLine({ id, queue }: PostfixFile, fate: Fate, message: PostcatMessage | undefined): string {
  const { kind, ...rest } = fate;
  const sender = message && formatAddress(message.envelope.sender);
  return `${JSON.stringify({ postfix_id: id, queue, fate: kind, ...rest, sender, recipients: message?.recipients.length })}\n`;
}

function senderOf({ envelope }: PostcatMessage): string {
  return printableUtf8(`<${formatAddress(envelope.sender)}>`);
}

function summary(totals: ReadonlyMap<Fate["kind"], number>, { directory, dryRun }: ImportOptions): string {
  const count = (kind: Fate["kind"]) => totals.get(kind) ?? 0;
  const waiting = filesInMaildrop(directory);
  return [
    `${dryRun ? "Would import" : "Imported"}: ${count("imported")}. Imported before: ${count("known")}. ` +
      `Nothing left to deliver: ${count("done")}. Not possible: ${count("not")}.`,
    ...(waiting > 0
      ? [`In ${join(directory, "maildrop")}, not looked at: ${waiting} files, which only Postfix can take in.`]
      : []),
    ...(dryRun ? [] : ["Nothing was changed there. Do not start Postfix on it again: it would send the same mail."]),
    "",
  ].join("\n");
}
