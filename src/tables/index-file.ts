/** tables/index-file.ts: writes the index that `hash:`, `btree:`, `cdb:` … references take in place of their text. */
import { stat, utimes } from "node:fs/promises";
import { writeFileDurably } from "../base/durable.ts";
import { indexPaths } from "../config/file-references.ts";
import { formatCdb } from "./cdb.ts";

export interface IndexFile {
  /** Of the table, without suffix. */
  readonly table: string;
  readonly entries: ReadonlyMap<string, string>;
  readonly mode: number;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Modification time of the text it was made of; a later edit makes the index old. */
  readonly textMtimeMs: number | undefined;
}

/** Readers see the old index or the new one. Resolves to its path. Throws TableError when too large, or a file error. */
export async function writeIndex({ table, entries, mode, owner, textMtimeMs }: IndexFile): Promise<string> {
  const [path = table] = indexPaths("hash", table);
  await writeFileDurably(path, formatCdb(entries), { mode, owner });
  // An edit while the text was read must not look older than the index. Rounded up, because times lose precision.
  if (textMtimeMs !== undefined) await utimes(path, (await stat(path)).atime, new Date(Math.ceil(textMtimeMs) + 1));
  return path;
}
