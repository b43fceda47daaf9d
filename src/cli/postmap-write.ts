/** cli/postmap-write.ts: what postmap and postalias write: Postern's own index (tables/index-file.ts), from the text or changed
 *  by entries and keys. The text itself is never written. */
import { statSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { fileErrorText } from "../config/file-error.ts";
import { lockFile } from "../net/instance-lock.ts";
import { parseAliases } from "../tables/aliases.ts";
import { writeIndex } from "../tables/index-file.ts";
import { TableError } from "../tables/table.ts";
import { addEntry, parseTextTable, writtenKey } from "../tables/text.ts";
import { DISK, Fatal, indexed, linesOf, named, open, type Run } from "./postmap-run.ts";

export async function buildAll(run: Run): Promise<number> {
  for (const table of run.options.tables) {
    const path = indexed(run, table, "build");
    await locked(path, async () => {
      // Before the text is read, so that an edit meanwhile is newer.
      const source = sourceOf(path);
      const entries = parse(run, DISK.read(path), path);
      await write(run, { path, entries, source });
    });
  }
  return 0;
}

const LOCK_WAIT_MS = 30_000;
const LOCK_RETRY_MS = 20;

/** No other postmap reads or writes the index of this table meanwhile. */
async function locked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const end = systemClock.monotonic() + LOCK_WAIT_MS;
  for (;;) {
    const lock = await lockOf(path);
    if (lock) {
      try {
        return await work();
      } finally {
        lock.release();
      }
    }
    if (systemClock.monotonic() > end) throw new Fatal(`${path}: another program is writing its index`);
    await systemClock.sleep(LOCK_RETRY_MS);
  }
}

async function lockOf(path: string): Promise<Awaited<ReturnType<typeof lockFile>>> {
  try {
    return await lockFile(path);
  } catch (error) {
    throw new Fatal(`open ${path}: ${fileErrorText(error)}`);
  }
}

function parse({ program, options, io }: Run, bytes: Uint8Array, path: string): Map<string, string> {
  const read = program === "postalias" ? parseAliases : parseTextTable;
  const { entries, warnings } = read(bytes, path, { duplicates: options.duplicates, warnOfAliases: true });
  for (const warning of warnings) io.stderr(`${program}: warning: ${warning}\n`);
  return new Map(entries);
}

interface Source {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
}

function sourceOf(path: string): Source | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

interface Written {
  readonly path: string;
  readonly entries: ReadonlyMap<string, string>;
  readonly source: Source | undefined;
}

async function write({ program, options, io }: Run, { path, entries, source }: Written): Promise<void> {
  try {
    const index = await writeIndex({
      table: path,
      entries,
      // As postmap: group and others may read if they may read the text.
      mode: source && !options.defaultMode ? 0o600 | (source.mode & 0o044) : 0o644,
      owner: source && io.uid === 0 && !options.keepOwner ? { uid: source.uid, gid: source.gid } : undefined,
      textMtimeMs: source?.mtimeMs,
    });
    if (options.action === "build")
      io.stdout(`${program}: built ${index}: ${entries.size} ${entries.size === 1 ? "entry" : "entries"}\n`);
  } catch (error) {
    if (error instanceof TableError) throw error;
    throw new Fatal(`write index of ${path}: ${fileErrorText(error)}`);
  }
}

/** What the table holds now; a table that is not there yet is empty. */
function currentEntries(run: Run, table: string, path: string): Map<string, string> {
  const opened = run.opener.open(named(table, run.parameters).ref);
  if (opened.entries) return new Map(opened.entries);
  if (opened.problem?.startsWith(`open ${path}: No such file`)) return new Map();
  throw new Fatal(opened.problem ?? `table ${table}: cannot be updated`);
}

export async function updateAll(run: Run): Promise<number> {
  const added = parse(run, Buffer.from(await run.io.stdin()), "standard input");
  for (const table of run.options.tables) {
    const path = indexed(run, table, "update");
    await locked(path, () => update(run, table, { path, added }));
  }
  return 0;
}

interface Update {
  readonly path: string;
  readonly added: ReadonlyMap<string, string>;
}

async function update(run: Run, table: string, { path, added }: Update): Promise<void> {
  const source = sourceOf(path);
  const entries = currentEntries(run, table, path);
  const warn = (text: string) => run.io.stderr(`${run.program}: warning: ${path}: ${text}\n`);
  for (const [key, value] of added) addEntry(entries, { key, value }, { warn, duplicates: run.options.duplicates });
  await write(run, { path, entries, source });
}

export async function deleteKeys(run: Run): Promise<number> {
  const { options, io } = run;
  const keys = (options.key === "-" ? linesOf(await io.stdin()) : [options.key]).map(writtenKey);
  let found = false;
  for (const table of options.tables) {
    const path = indexed(run, table, "delete");
    if (await locked(path, () => deleteFrom(run, table, { path, keys }))) found = true;
  }
  return found ? 0 : 1;
}

/** True if one of the keys was there. */
async function deleteFrom(
  run: Run,
  table: string,
  { path, keys }: { readonly path: string; readonly keys: readonly string[] },
): Promise<boolean> {
  const source = sourceOf(path);
  // An absent table is an error here, as in Postfix.
  open(run, table);
  const entries = currentEntries(run, table, path);
  const before = entries.size;
  for (const key of keys) entries.delete(key);
  if (entries.size === before) return false;
  await write(run, { path, entries, source });
  return true;
}
