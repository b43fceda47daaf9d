/** queue/salvage.ts: what can be read of a damaged shard, row by row, into the tables of a new database. Rows are taken only if
 *  they are what this program writes; messages only whole: envelope, content of the size it should have, recipients. Reads
 *  the damaged shard, changes nothing in it. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { keyOf, PAGE_BYTES } from "./schema.ts";
import { type FoundRecord, PageFile } from "./sqlite-pages.ts";
import type { SqlValue } from "./sqlite-record.ts";

export interface Salvage {
  /** Messages that are whole: all of them are in the target. */
  readonly messages: number;
  readonly recipients: number;
  /** Envelopes whose content, or whose recipients, are lost. */
  readonly withoutContent: Lost;
  readonly withoutRecipients: Lost;
  /** Contents whose envelope is lost. */
  readonly withoutEnvelope: number;
  readonly pages: number;
  readonly damagedPages: number;
  /** The list of free pages is lost: rows of messages that left the queue cannot be told from those that are in it. */
  readonly uncertain: boolean;
  readonly hasLog: boolean;
}

/** Lost messages; of very many, not all are named. */
export interface Lost {
  readonly count: number;
  readonly named: readonly LostMessage[];
}

export interface LostMessage {
  readonly queueId: string;
  readonly sender: string;
  readonly recipients: readonly string[];
}

export interface SalvageOptions {
  /** The damaged shard's directory. */
  readonly directory: string;
  /** False: contents are checked, and left out of the target. */
  readonly withContent: boolean;
}

const MOST_NAMED = 10_000;
const IN_ONE_COMMIT = 2000;

/** Fills the tables of `target`, which are empty. Throws the file system's errors, and SQLite's of the target. */
export function salvage(target: DatabaseSync, options: SalvageOptions): Salvage {
  const file = new PageFile(join(options.directory, "queue.sqlite"), PAGE_BYTES);
  try {
    const rows = new RowTaker(target, options);
    let n = 0;
    target.exec("BEGIN");
    for (const record of file.records()) {
      rows.take(record);
      if (++n % IN_ONE_COMMIT === 0) target.exec("COMMIT; BEGIN");
    }
    target.exec("COMMIT");
    return {
      ...dropIncomplete(target, options),
      pages: file.pages,
      damagedPages: file.damaged.size,
      uncertain: file.free === undefined,
      hasLog: file.hasLog,
    };
  } finally {
    file.close();
  }
}

/** The tables' rows are told apart by their columns. */
class RowTaker {
  readonly #withContent: boolean;
  readonly #message: StatementSync;
  readonly #content: StatementSync;
  readonly #recipient: StatementSync;
  readonly #sizes: StatementSync;

  constructor(target: DatabaseSync, { withContent }: SalvageOptions) {
    this.#withContent = withContent;
    target.exec("CREATE TEMP TABLE content_size (id INTEGER PRIMARY KEY, header INTEGER NOT NULL, body INTEGER)");
    this.#message = target.prepare(
      "INSERT OR IGNORE INTO message (id, queue_id, size, held, crashes, body_file, envelope) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#content = target.prepare("INSERT OR IGNORE INTO content (id, header, body) VALUES (?, ?, ?)");
    this.#sizes = target.prepare("INSERT OR IGNORE INTO content_size (id, header, body) VALUES (?, ?, ?)");
    this.#recipient = target.prepare("INSERT OR IGNORE INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  }

  take({ rowid, values }: FoundRecord): void {
    if (rowid === undefined) {
      if (isRecipient(values)) this.#recipient.run(...values);
    } else if (isMessage(rowid, values)) {
      this.#message.run(rowid, ...values.slice(1));
    } else if (isContent(values)) {
      const [, header, body] = values as readonly [null, Uint8Array, Uint8Array | null];
      this.#sizes.run(rowid, header.length, body?.length ?? null);
      if (this.#withContent) this.#content.run(rowid, header, body);
    }
  }
}

function isMessage(key: bigint, values: readonly SqlValue[]): boolean {
  const [id, queueId, size, held, crashes, file, envelope] = values;
  if (values.length !== 7 || id !== null || typeof queueId !== "string" || keyOf(queueId) !== key) return false;
  if (typeof size !== "bigint" || typeof held !== "bigint" || typeof crashes !== "bigint") return false;
  if (file !== null && (typeof file !== "string" || !/^[0-9A-Za-z]+\.\d+$/.test(file))) return false;
  return typeof envelope === "string" && isJson(envelope);
}

function isContent(values: readonly SqlValue[]): boolean {
  const [id, header, body] = values;
  if (values.length !== 3 || id !== null) return false;
  return header instanceof Uint8Array && (body === null || body instanceof Uint8Array);
}

function isRecipient(values: readonly SqlValue[]): boolean {
  if (values.length !== 11) return false;
  const [message, id, state, due, lane, address, original, dsn, reason, lastTry, warned] = values;
  const numbers = [message, id, state, due, warned].every((value) => typeof value === "bigint");
  const texts = [lane, address, original, reason].every((value) => typeof value === "string");
  if (!numbers || !texts || (state as bigint) < 0n || (state as bigint) > 2n) return false;
  return [dsn, lastTry].every((value) => value === null || (typeof value === "string" && isJson(value)));
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

/** Leaves whole messages in the target. */
function dropIncomplete(target: DatabaseSync, options: SalvageOptions) {
  target.exec("CREATE TEMP TABLE lost (id INTEGER PRIMARY KEY)");
  const withoutContent = loseThose(target, wrongContent(target, options.directory));
  const alone =
    "SELECT id FROM message WHERE id NOT IN (SELECT message FROM recipient) AND id NOT IN (SELECT id FROM lost)";
  const withoutRecipients = loseThose(target, idsOf(target, alone));
  const withoutEnvelope = count(target, "content_size WHERE id NOT IN (SELECT id FROM message)");
  target.exec(`DELETE FROM message WHERE id IN (SELECT id FROM lost);
    DELETE FROM content WHERE id NOT IN (SELECT id FROM message);
    DELETE FROM recipient WHERE message NOT IN (SELECT id FROM message)`);
  return {
    ...{ withoutContent, withoutRecipients, withoutEnvelope },
    messages: count(target, "message"),
    recipients: count(target, "recipient"),
  };
}

function wrongContent(target: DatabaseSync, directory: string): readonly bigint[] {
  const doubtful = target.prepare(
    `SELECT message.id, size, body_file, header FROM message LEFT JOIN content_size USING (id)
     WHERE header IS NULL OR size <> header + coalesce(body, 0)`,
  );
  const wrong: bigint[] = [];
  for (const row of doubtful.iterate()) {
    const { id, size, body_file: name, header } = row;
    const path = typeof name === "string" && header !== null ? join(directory, "content", name) : undefined;
    const found = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })?.size;
    if (found === undefined || found !== Number(size) - Number(header)) wrong.push(id as bigint);
  }
  return wrong;
}

function idsOf(target: DatabaseSync, query: string): readonly bigint[] {
  return target
    .prepare(query)
    .all()
    .map((row) => row.id as bigint);
}

function loseThose(target: DatabaseSync, ids: readonly bigint[]): Lost {
  const lose = target.prepare("INSERT INTO lost VALUES (?)");
  const message = target.prepare("SELECT queue_id, envelope FROM message WHERE id = ?");
  const recipients = target.prepare("SELECT address FROM recipient WHERE message = ?");
  const named = ids.slice(0, MOST_NAMED).map((id) => {
    const row = message.get(id);
    return {
      queueId: String(row?.queue_id),
      sender: String((JSON.parse(String(row?.envelope)) as { sender?: unknown }).sender ?? ""),
      recipients: recipients.all(id).map(({ address }) => String(address)),
    };
  });
  for (const id of ids) lose.run(id);
  return { count: ids.length, named };
}

function count(target: DatabaseSync, what: string): number {
  return Number(target.prepare(`SELECT count(*) AS n FROM ${what}`).get()?.n);
}
