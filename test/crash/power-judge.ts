/** test/crash/power-judge.ts: what must be true of the files that a power cut leaves. They are opened as a worker opens them,
 *  and compared with what clients and next hop had been told by then. Nothing here knows how the store keeps its promises. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type OfflineQueue, openOffline } from "../../src/queue/offline.ts";
import { openShard } from "../../src/queue/shard.ts";
import type { QueueListing } from "../../src/queue/store.ts";
import { type Tree, writeTree } from "./disk-image.ts";
import type { Attempt } from "./ledger.ts";

/** What was told, each with the line of the trace from which on it counts. */
export interface Promised {
  readonly attempt: Attempt;
  readonly queueId: string;
  /** Without the last line end. */
  readonly body: string;
  /** The 250 left the server. */
  readonly acceptedAt: number;
}

export interface Told {
  readonly promised: readonly Promised[];
  /** Acknowledged by the next hop. */
  readonly arrived: readonly { readonly id: string; readonly recipient: string; readonly at: number }[];
  /** Queue ids that the log or an operator was told are removed. */
  readonly removed: readonly { readonly queueId: string; readonly at: number }[];
}

export interface Judgement {
  readonly lost: number;
  readonly inside: number;
  readonly outside: number;
  readonly faults: readonly string[];
  /** "queue id, recipient" of all that the queue has. */
  readonly queued: ReadonlySet<string>;
}

/** One recipient of one message in a queue. */
interface Entry {
  readonly key: string;
  readonly queueId: string;
  /** Of the letter; that of a report, too, since it quotes the header. */
  readonly id: string;
  readonly recipient: string;
}

interface Found {
  readonly entries: readonly Entry[];
  readonly boxes: readonly { readonly id: string; readonly recipient: string }[];
  readonly faults: string[];
}

const LIST_LIMIT = 10_000;

export class PowerJudge {
  readonly #told: Told;
  readonly #scratch: string;
  readonly #bodies: ReadonlyMap<string, string>;

  /** Images are written below `scratch`, one at a time. */
  constructor(told: Told, scratch: string) {
    this.#told = told;
    this.#scratch = scratch;
    this.#bodies = new Map(told.promised.map(({ attempt, body }) => [attempt.id, body]));
  }

  /** `gone`: keys of recipients that had been settled on stable storage by then. */
  async judge(image: Tree, { line, gone }: { line: number; gone: ReadonlySet<string> }): Promise<Judgement> {
    const directory = mkdtempSync(join(this.#scratch, "image-"));
    try {
      writeTree(image, directory);
      return this.#compare(await this.#open(directory), line, gone);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async #open(directory: string): Promise<Found> {
    const found: Found = { entries: [], boxes: this.#boxes(directory), faults: [] };
    const queue = join(directory, "spool/queue");
    let offline: OfflineQueue | undefined;
    try {
      mkdirSync(queue, { recursive: true });
      const { shard, notes } = openShard({ directory: queue, shard: 0, create: true, life: "new" });
      shard.close();
      offline = openOffline(queue);
      found.faults.push(
        ...[...notes.map(({ text }) => text), ...offline.notes].map((text) => `recovery says: ${text}`),
      );
      return { ...found, entries: await this.#entries(offline, found.faults) };
    } catch (error) {
      found.faults.push(`the shard does not open: ${String(error)}`);
      return found;
    } finally {
      offline?.close();
    }
  }

  async #entries(queue: OfflineQueue, faults: string[]): Promise<readonly Entry[]> {
    const entries: Entry[] = [];
    for (const listing of await queue.list({ limit: LIST_LIMIT })) {
      const { queueId } = listing;
      const content = await contentOf(queue, listing);
      const id = /^X-Load-Id: (\S+)/m.exec(content ?? "")?.[1] ?? "?";
      if (content === undefined) faults.push(`${queueId}: its content is gone`);
      else if (listing.sender !== "" && withoutEnd(bodyIn(content)) !== this.#bodies.get(id)) {
        faults.push(`${queueId}: its content is not what was sent`);
      }
      for (const { address } of listing.recipients) {
        entries.push({ key: `${queueId} ${address}`, queueId, id, recipient: address });
      }
    }
    return entries;
  }

  #boxes(directory: string): Found["boxes"] {
    const path = join(directory, "boxes/box/new");
    return namesIn(path).flatMap((name) => {
      const content = readFileSync(join(path, name), "latin1").replaceAll("\n", "\r\n");
      const id = /^X-Load-Id: (\S+)/m.exec(content)?.[1] ?? "?";
      const isWhole = withoutEnd(bodyIn(content)) === this.#bodies.get(id);
      return isWhole ? [{ id, recipient: `box.${id}@local.test` }] : [];
    });
  }

  #compare({ entries, boxes, faults }: Found, line: number, gone: ReadonlySet<string>): Judgement {
    const arrived = this.#told.arrived.filter(({ at }) => at <= line);
    const is = (one: { readonly id: string; readonly recipient: string }, id: string, recipient: string) =>
      one.id === id && one.recipient === recipient;
    const owes = ({ attempt: { id, taken, reportTo } }: Promised) => {
      const waits = (recipient: string) => entries.some((entry) => is(entry, id, recipient));
      const came = (recipient: string) => [...arrived, ...boxes].some((copy) => is(copy, id, recipient));
      // Until it is delivered, an alias stands for all that it becomes, a refused recipient for its report.
      const missing = taken.filter((to) => !waits(to) && !came(to) && !waits(`list.${id}@local.test`));
      const isReported = reportTo === undefined || waits(reportTo) || came(reportTo);
      const isRefused = entries.some((entry) => entry.id === id && /^(?:refuse|turn)\./.test(entry.recipient));
      return isReported || isRefused ? missing : [...missing, reportTo];
    };
    let lost = 0;
    for (const one of this.#told.promised) {
      if (one.acceptedAt > line || one.attempt.removal !== "none") continue;
      const missing = owes(one);
      if (missing.length === 0) continue;
      lost++;
      faults.push(`${one.queueId}: answered 250, but lost for ${missing.join(", ")}`);
    }
    const removed = new Set(this.#told.removed.filter(({ at }) => at <= line).map(({ queueId }) => queueId));
    const back = entries.filter(({ key, queueId }) => gone.has(key) || removed.has(queueId));
    for (const { key } of back) faults.push(`${key}: was settled, but came back`);
    const again = entries.filter((entry) => arrived.some((copy) => is(copy, entry.id, entry.recipient)));
    const queued = new Set(entries.map(({ key }) => key));
    return {
      lost,
      inside: again.filter((entry) => !back.includes(entry)).length,
      outside: back.length,
      faults,
      queued,
    };
  }
}

async function contentOf(queue: OfflineQueue, { queueId }: QueueListing): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    const found = await queue.read(queueId);
    for await (const chunk of found?.content.chunks() ?? []) chunks.push(chunk);
  } catch {
    return undefined; // gone, short or unreadable: the caller says so
  }
  return Buffer.concat(chunks).toString("latin1");
}

const bodyIn = (content: string) => content.slice(content.indexOf("\r\n\r\n") + 4);
const withoutEnd = (text: string) => text.replace(/\r\n$/, "");

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
