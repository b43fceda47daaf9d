/** cli/postmap.ts: postmap(1) and postalias(1): build, query and change lookup tables. Queries go through the tables of the
 *  server; what is built is Postern's own index (tables/index-file.ts), whatever type the table is called by. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { systemClock } from "../base/clock.ts";
import { fileErrorText } from "../config/file-error.ts";
import type { Parameters } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { lockFile } from "../net/instance-lock.ts";
import { parseAliases } from "../tables/aliases.ts";
import { writeIndex } from "../tables/index-file.ts";
import { createTableOpener, TABLE_TYPES } from "../tables/open.ts";
import { type FileSource, type LookupTable, TableError, type TableOpener } from "../tables/table.ts";
import { addEntry, parseTextTable, writtenKey } from "../tables/text.ts";
import { INDEXED_TYPES } from "../tables/text-table.ts";
import { type PostmapOptions, PostmapUsageError, parsePostmapOptions } from "./postmap-options.ts";

export interface PostmapIo {
  readonly stdin: () => Promise<string>;
  /** Takes whole lines, line ends included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Relative table names are relative to it. */
  readonly workingDirectory: string;
  /** For `environ:`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The effective user id: only root gives files away. */
  readonly uid: number;
  /** `directory` is -c. Undefined if nothing can be read and no directory was asked for; else throws. */
  readonly parameters: (directory: string | undefined) => Promise<Parameters | undefined>;
}

export type PostmapProgram = "postmap" | "postalias";

/** The fatal end of a run; the text is for stderr. */
class Fatal extends Error {}

interface Run {
  readonly program: PostmapProgram;
  readonly options: PostmapOptions;
  readonly io: PostmapIo;
  readonly opener: TableOpener;
  readonly parameters: Parameters | undefined;
}

/** `argv` without the program's name. Exit code as Postfix: 0 done or found; 1 not found, wrong usage, fatal. */
export async function runPostmap(program: PostmapProgram, argv: readonly string[], io: PostmapIo): Promise<number> {
  let opener: TableOpener | undefined;
  try {
    const options = parsePostmapOptions(program, argv);
    const parameters = await io.parameters(options.directory);
    opener = openerOf(program, io, parameters);
    return await ACTIONS[options.action]({ program, options, io, opener, parameters });
  } catch (error) {
    if (!(error instanceof Fatal || error instanceof PostmapUsageError || error instanceof TableError)) throw error;
    io.stderr(`${program}: fatal: ${error.message}\n`);
    return 1;
  } finally {
    await opener?.close?.();
  }
}

const ACTIONS: Readonly<Record<PostmapOptions["action"], (run: Run) => Promise<number>>> = {
  build: buildAll,
  update: updateAll,
  query: queryAll,
  delete: deleteKeys,
  list: listAll,
};

const DISK: FileSource = {
  read(path) {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new TableError(`open ${path}: ${fileErrorText(cause)}`, { cause });
    }
  },
  modifiedMs: (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs,
};

function openerOf(program: PostmapProgram, io: PostmapIo, parameters: Parameters | undefined): TableOpener {
  const sink = ({ text }: { readonly text: string }) => {
    // open() below says it as a fatal error.
    if (!text.includes(" is unavailable. ")) io.stderr(`${program}: warning: ${text}\n`);
  };
  return createTableOpener({
    files: DISK,
    log: new Log({ sink, now: () => 0, tag: program, id: 0 }),
    configDirectory: io.workingDirectory,
    environment: io.environment,
    ...(parameters && { parameter: (name: string) => parameters.text(name) }),
  });
}

interface Named {
  readonly type: string;
  readonly name: string;
  readonly ref: string;
}

/** A table as named on the command line; without a type it is of $default_database_type. */
function named(table: string, parameters: Parameters | undefined): Named {
  const type = /^[a-z]\w*(?=:)/i.exec(table)?.[0];
  if (type !== undefined) return { type, name: table.slice(type.length + 1), ref: table };
  const fallback = parameters?.get("default_database_type") ?? "hash";
  return { type: fallback, name: table, ref: `${fallback}:${table}` };
}

/** Throws Fatal for a table that is not usable at all. */
function open(run: Run, table: string): LookupTable {
  const opened = run.opener.open(named(table, run.parameters).ref);
  if (opened.problem !== undefined) throw new Fatal(opened.problem);
  return opened;
}

/** The path of a table that can be built; throws Fatal for other types. */
function indexed(run: Run, table: string, operation: string): string {
  const { type, name, ref } = named(table, run.parameters);
  if (!TABLE_TYPES.includes(type)) throw new Fatal(`unsupported dictionary type: ${type}`);
  if (INDEXED_TYPES.has(type)) return resolve(run.io.workingDirectory, name);
  if (operation === "build")
    throw new Fatal(`unsupported dictionary type: ${type} does not support bulk-mode creation.`);
  throw new Fatal(`table ${ref}: ${operation} operation is not supported`);
}

async function buildAll(run: Run): Promise<number> {
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

async function updateAll(run: Run): Promise<number> {
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

async function deleteKeys(run: Run): Promise<number> {
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

/** 0 if one of the keys was found. */
async function queryAll(run: Run): Promise<number> {
  const { options, io, program } = run;
  if (options.key !== "-") {
    const value = await queryKey(run, options.key);
    if (value !== undefined) io.stdout(`${value}\n`);
    return value === undefined ? 1 : 0;
  }
  let found = false;
  for (const key of linesOf(await io.stdin())) {
    const value = await queryKey(run, key);
    if (value === undefined) continue;
    found = true;
    io.stdout(`${key}${program === "postalias" ? ":" : ""}\t${value}\n`);
  }
  return found ? 0 : 1;
}

/** The first table's answer. Tables of text know keys without quotes, people write them with. */
async function queryKey(run: Run, key: string): Promise<string | undefined> {
  for (const name of run.options.tables) {
    const table = open(run, name);
    const bare = table.entries && key.includes('"') ? writtenKey(key) : key;
    const value = (await table.get(key)) ?? (bare === key ? undefined : await table.get(bare));
    if (value === undefined) continue;
    if (value === "") {
      run.io.stderr(`${run.program}: warning: table ${table.ref}: key ${key}: empty string result is not allowed\n`);
      run.io.stderr(`${run.program}: warning: table ${table.ref} should return NO RESULT in case of NOT FOUND\n`);
    }
    return value;
  }
  return undefined;
}

async function listAll(run: Run): Promise<number> {
  for (const name of run.options.tables) {
    const table = open(run, name);
    if (!table.entries) throw new Fatal(`table ${table.ref}: sequence operation is not supported`);
    for (const [key, value] of table.entries) {
      const shown = /[\s"]/.test(key) ? `"${key.replaceAll(/["\\]/g, "\\$&")}"` : key;
      run.io.stdout(run.program === "postalias" ? `${key}:\t${value}\n` : `${shown}\t${value}\n`);
    }
  }
  return 0;
}

function linesOf(text: string): readonly string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}
