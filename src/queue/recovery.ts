/** queue/recovery.ts: what a new owner of a shard does before it serves: claims of the previous life become due,
 *  messages that were inside an agent when it died are counted, content files that no row names are removed.
 *  The table is in README.md. Runs under the exclusive lock, so nobody else is writing here. */
import { readdirSync, readFileSync, rmSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { parseMarks } from "./in-flight.ts";
import { keyOf } from "./schema.ts";

/** A message active at this many crashes is held (design §4). */
const HOLD_AT_CRASHES = 3;

/** One thing an operator should know. */
export interface Note {
  readonly severity: "warning" | "error";
  readonly text: string;
}

/** Runs all of it; the shard's tables are as they should be afterwards. Throws SQLite's and the file system's errors. */
export function recover(db: DatabaseSync, directory: string): readonly Note[] {
  const marks = readMarks(join(directory, "inflight"));
  db.exec("BEGIN");
  const notes = marks.flatMap((queueId) => countCrash(db, queueId));
  // A whole scan, but of narrow rows only; hot claims would pay for an index at each message.
  db.exec(`UPDATE recipient SET state = CASE (SELECT held FROM message WHERE id = recipient.message) WHEN 1 THEN 2 ELSE 0 END
    WHERE state = 1`);
  db.exec("COMMIT");
  rmSync(join(directory, "inflight"), { force: true });
  removeUnnamed(db, join(directory, "content"));
  return notes;
}

function readMarks(path: string): readonly string[] {
  try {
    return parseMarks(readFileSync(path));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function countCrash(db: DatabaseSync, queueId: string): readonly Note[] {
  const key = keyOf(queueId);
  if (key === undefined) return [];
  const row = db.prepare("UPDATE message SET crashes = crashes + 1 WHERE id = ? RETURNING crashes, held").get(key);
  if (!row || row.held || Number(row.crashes) < HOLD_AT_CRASHES) return [];
  db.prepare("UPDATE message SET held = 1 WHERE id = ?").run(key);
  db.prepare("UPDATE recipient SET state = 2 WHERE message = ? AND state = 0").run(key);
  return [
    { severity: "warning", text: `${queueId}: placed on hold: it was being delivered at ${row.crashes} crashes` },
  ];
}

/** Looks each file up by the id in its name, so that the cost is the number of files, not the length of the queue. */
function removeUnnamed(db: DatabaseSync, content: string): void {
  const named = db.prepare("SELECT body_file FROM message WHERE id = ?");
  for (const name of readdirSync(content)) {
    const key = keyOf(name.split(".", 1)[0] ?? "");
    if (key === undefined || named.get(key)?.body_file !== name) unlinkSync(join(content, name));
  }
}
