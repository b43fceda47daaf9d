/** tables/text-table.ts: texthash, and hash, btree, dbm, sdbm, lmdb, cdb: types that Postfix indexes with postmap. The index
 *  of `postern postmap` (for cdb: also Postfix's `.cdb` file) answers while it is as new as the text; an edited text counts
 *  at once, without postmap, and a warning says that the index is old. `.db` and `.lmdb` files are never read. */
import { posix } from "node:path";
import { indexPaths } from "../config/file-references.ts";
import { parseCdb } from "./cdb.ts";
import type { OpenerContext } from "./opener.ts";
import { type FileSource, type LookupTable, TableError } from "./table.ts";
import { mapTable, parseTextTable, writtenKey } from "./text.ts";

/** Types that Postfix indexes with postmap. */
export const INDEXED_TYPES: ReadonlySet<string> = new Set(["hash", "btree", "dbm", "sdbm", "lmdb", "cdb"]);

/** Throws TableError if nothing can be read. */
export function openText(ref: string, name: string, { files, log, configDirectory }: OpenerContext): LookupTable {
  const path = posix.resolve(configDirectory, name);
  const type = ref.slice(0, ref.indexOf(":"));
  const warn = (text: string) => log.warning(text);
  const index = INDEXED_TYPES.has(type) ? chooseIndex(path, { paths: indexPaths(type, path), files, warn }) : undefined;
  if (index) return mapTable(ref, readIndex(index));
  const { entries, warnings } = parseTextTable(readText(path, type, files), path);
  for (const warning of warnings) warn(warning);
  return mapTable(ref, entries);
}

interface Index {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Postfix keeps the quotes of a key; postern postmap does not. */
function readIndex({ bytes, path }: Index): ReadonlyMap<string, string> {
  const entries = parseCdb(bytes, path);
  if (!path.endsWith(".cdb")) return entries;
  return new Map([...entries].map(([key, value]) => [key.includes('"') ? writtenKey(key) : key, value]));
}

interface IndexChoice {
  readonly paths: readonly string[];
  readonly files: FileSource;
  readonly warn: (text: string) => void;
}

/** The newest index that is as new as the text, or any if there is no text. Throws TableError for an unreadable index. */
function chooseIndex(text: string, { paths, files, warn }: IndexChoice): Index | undefined {
  const found = paths.flatMap((path): (Index & { readonly modified: number })[] => {
    const bytes = readIfThere(path, files);
    return bytes ? [{ path, bytes, modified: files.modifiedMs?.(path) ?? 0 }] : [];
  });
  const newest = found.sort((a, b) => b.modified - a.modified)[0];
  if (!newest || !readIfThere(text, files)) return newest;
  if (newest.modified >= (files.modifiedMs?.(text) ?? Number.POSITIVE_INFINITY)) return newest;
  warn(`database ${newest.path} is older than source file ${text}; the source file is read`);
  return undefined;
}

function readText(path: string, type: string, files: FileSource): Uint8Array {
  try {
    return files.read(path);
  } catch (cause) {
    if (!isMissing(cause) || !INDEXED_TYPES.has(type)) throw cause;
    const advice = `the text is read here, or the index that "postern postmap" builds, and no .db or .lmdb file`;
    throw new TableError(`${cause.message}; ${advice}`, { cause });
  }
}

/** Throws TableError if it is there and cannot be read: an older copy must not stand in for it. */
function readIfThere(path: string, files: FileSource): Uint8Array | undefined {
  try {
    return files.read(path);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

function isMissing(cause: unknown): cause is TableError {
  return cause instanceof TableError && /No such file|ENOENT/.test(cause.message);
}
