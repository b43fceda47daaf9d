/** tables/open.ts: turns "type:name" into a table. A table that cannot be opened is a table too: every get() throws, so a
 *  broken reference defers mail and never lets it through. */
import { resolve } from "node:path";
import { openCidr } from "./cidr.ts";
import { inlineRules, openInline, openStatic } from "./inline.ts";
import { openMemcache } from "./memcache.ts";
import { openMysql } from "./mysql.ts";
import type { Opener, OpenerContext, TableOpenerOptions } from "./opener.ts";
import { openPgsql } from "./pgsql.ts";
import { openRegexp } from "./regexp.ts";
import { openSocketmap } from "./socketmap.ts";
import { type SourceLine, sourceLines } from "./source-lines.ts";
import { type LookupTable, TableError, type TableOpener } from "./table.ts";
import { openTcp } from "./tcp.ts";
import { mapTable, parseTextTable } from "./text.ts";
import { openUnix } from "./unix.ts";

export type { Opener, OpenerContext, TableOpenerOptions } from "./opener.ts";

/** Indexed types are read from their source text, so postmap is not needed. */
const TEXT_TYPES = ["texthash", "hash", "btree", "lmdb", "cdb", "dbm", "sdbm"];

const OPENERS: ReadonlyMap<string, Opener> = new Map<string, Opener>([
  ...TEXT_TYPES.map((type): [string, Opener] => [type, openText]),
  ["static", openStatic],
  ["inline", openInline],
  ["cidr", (ref, name, options) => openRules(ref, name, { type: "cidr", open: openCidr, options })],
  ["regexp", (ref, name, options) => openRules(ref, name, { type: "regexp", open: openRegexp, options })],
  ["pcre", (ref, name, options) => openRules(ref, name, { type: "pcre", open: openRegexp, options })],
  ["unix", (ref, name, { files }) => openUnix(ref, name, files)],
  ["memcache", openMemcache],
  ["socketmap", openSocketmap],
  ["tcp", openTcp],
  ["pgsql", openPgsql],
  ["mysql", openMysql],
  ["fail", (_, name) => refuse(name || "intentional failure")],
]);

/** Types that open() knows, for check. `proxy:` in front of any of them means the same table. */
export const TABLE_TYPES: readonly string[] = [...OPENERS.keys(), "proxy"];

/** The tables of one config generation; each reference is opened once and kept. */
export function createTableOpener(options: TableOpenerOptions): TableOpener {
  const cache = new Map<string, LookupTable>();
  const opener: TableOpener = {
    files: options.files,
    open(ref) {
      const known = cache.get(ref);
      if (known) return known;
      const plain = ref.replace(/^(?:proxy:)+/, "");
      const table =
        plain === ref ? openOrBroken(ref, { ...options, tables: opener }) : renamed(opener.open(plain), ref);
      cache.set(ref, table);
      return table;
    },
    async close() {
      const tables = new Set(cache.values());
      cache.clear();
      await Promise.all(Array.from(tables, (table) => table.close?.()));
    },
  };
  return opener;
}

function openOrBroken(ref: string, options: OpenerContext): LookupTable {
  try {
    return openTyped(ref, options);
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    options.log.warning(`${ref} is unavailable. ${cause.message}`);
    return brokenTable(ref, cause.message);
  }
}

/** The same table under the name it was asked for. The one behind it closes itself. */
function renamed(table: LookupTable, ref: string): LookupTable {
  const { partialKeys, entries, problem } = table;
  return { ref, partialKeys, entries, problem, get: (key) => table.get(key) };
}

/** A table whose every lookup throws TableError. */
function brokenTable(ref: string, problem: string): LookupTable {
  return {
    ref,
    partialKeys: false,
    problem,
    get() {
      throw new TableError(`${ref}: ${problem}`);
    },
  };
}

function openTyped(ref: string, options: OpenerContext): LookupTable {
  const colon = ref.indexOf(":");
  if (colon <= 0) return refuse(`open dictionary: expecting "type:name" form instead of "${ref}"`);
  const type = ref.slice(0, colon);
  const opener = OPENERS.get(type);
  return opener ? opener(ref, ref.slice(colon + 1), options) : refuse(`unsupported dictionary type: ${type}`);
}

function openText(ref: string, name: string, { files, log, configDirectory }: TableOpenerOptions): LookupTable {
  const path = resolve(configDirectory, name);
  const { entries, warnings } = parseTextTable(files.read(path), path);
  for (const warning of warnings) log.warning(warning);
  return mapTable(ref, entries);
}

function openRules(
  ref: string,
  name: string,
  how: {
    readonly type: string;
    readonly open: (ref: string, where: string, lines: readonly SourceLine[]) => LookupTable;
    readonly options: TableOpenerOptions;
  },
): LookupTable {
  const inline = inlineRules(name, how.type);
  if (inline) return how.open(ref, `${how.type} map`, inline);
  const path = resolve(how.options.configDirectory, name);
  return how.open(ref, path, sourceLines(how.options.files.read(path)));
}

function refuse(why: string): never {
  throw new TableError(why);
}
