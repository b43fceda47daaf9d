/** tables/open.ts: turns "type:name" into a table. A table that cannot be opened is a table too: every get() throws, so a
 *  broken reference defers mail and never lets it through. */
import { resolve } from "node:path";
import type { Log } from "../log/log.ts";
import { openCidr } from "./cidr.ts";
import { inlineRules, openInline, openStatic } from "./inline.ts";
import { openRegexp } from "./regexp.ts";
import { type SourceLine, sourceLines } from "./source-lines.ts";
import { type FileSource, type LookupTable, TableError, type TableOpener } from "./table.ts";
import { mapTable, parseTextTable } from "./text.ts";
import { openUnix } from "./unix.ts";

export interface TableOpenerOptions {
  readonly files: FileSource;
  readonly log: Log;
  /** Relative table names are relative to it. */
  readonly configDirectory: string;
}

type Opener = (ref: string, name: string, options: TableOpenerOptions) => LookupTable;

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
  ["fail", (_, name) => refuse(name || "intentional failure")],
]);

/** Types that open() knows, for check. `proxy:` in front of any of them means the same table. */
export const TABLE_TYPES: readonly string[] = [...OPENERS.keys(), "proxy"];

/** The tables of one config generation; each reference is opened once and kept. */
export function createTableOpener(options: TableOpenerOptions): TableOpener {
  const cache = new Map<string, LookupTable>();
  return {
    files: options.files,
    open(ref) {
      const known = cache.get(ref);
      if (known) return known;
      const table = openOrBroken(ref, options);
      cache.set(ref, table);
      return table;
    },
  };
}

function openOrBroken(ref: string, options: TableOpenerOptions): LookupTable {
  try {
    return { ...openTyped(ref.replace(/^(?:proxy:)+/, ""), options), ref };
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    options.log.warning(`${ref} is unavailable. ${cause.message}`);
    return brokenTable(ref, cause.message);
  }
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

function openTyped(ref: string, options: TableOpenerOptions): LookupTable {
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
