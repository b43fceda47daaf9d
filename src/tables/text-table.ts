/** tables/text-table.ts: texthash, and hash, btree, dbm, sdbm, lmdb, cdb, which are read from the text they are made of
 *  whenever it is there: so no edit waits for postmap. Only where the text is missing, the index of `postern postmap` or
 *  Postfix's `.cdb` file answers; `.db` and `.lmdb` files are never read. */
import { posix } from "node:path";
import { INDEX_SUFFIX, parseCdb } from "./cdb.ts";
import type { OpenerContext } from "./opener.ts";
import { type FileSource, type LookupTable, TableError } from "./table.ts";
import { mapTable, parseTextTable } from "./text.ts";

/** Types that Postfix indexes with postmap. */
export const INDEXED_TYPES: ReadonlySet<string> = new Set(["hash", "btree", "dbm", "sdbm", "lmdb", "cdb"]);

/** What else a reference may stand for, in order, when its text is missing. */
function indexPaths(type: string, path: string): readonly string[] {
  if (!INDEXED_TYPES.has(type)) return [];
  return [`${path}${INDEX_SUFFIX}`, ...(type === "cdb" ? [`${path}.cdb`] : [])];
}

/** Throws TableError if nothing can be read. */
export function openText(ref: string, name: string, { files, log, configDirectory }: OpenerContext): LookupTable {
  const path = posix.resolve(configDirectory, name);
  const type = ref.slice(0, ref.indexOf(":"));
  const bytes = readText(path, type, files);
  if (!(bytes instanceof Uint8Array)) return mapTable(ref, bytes);
  const { entries, warnings } = parseTextTable(bytes, path);
  for (const warning of warnings) log.warning(warning);
  return mapTable(ref, entries);
}

function readText(path: string, type: string, files: FileSource): Uint8Array | ReadonlyMap<string, string> {
  try {
    return files.read(path);
  } catch (cause) {
    // A text that is there and cannot be read must not be replaced by an older copy.
    if (!isMissing(cause)) throw cause;
    for (const index of indexPaths(type, path)) {
      const bytes = readIfThere(index, files);
      if (bytes) return parseCdb(bytes, index);
    }
    const advice = INDEXED_TYPES.has(type) ? `; the text is read here, not Postfix's index beside it` : "";
    throw new TableError(`${cause.message}${advice}`, { cause });
  }
}

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
