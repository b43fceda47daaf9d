/** tables/open.ts: turns "type:name" into a table. A table that cannot be opened is a table too: every get() throws, so a
 *  broken reference defers mail and never lets it through. */
import { resolve } from "node:path";
import { openCidr } from "./cidr.ts";
import { openPipe, openRandom, openUnion } from "./combined.ts";
import { openEnviron } from "./environ.ts";
import { inlineRules, openInline, openStatic } from "./inline.ts";
import { openLdap } from "./ldap.ts";
import { openMemcache } from "./memcache.ts";
import { openMysql } from "./mysql.ts";
import type { Opener, OpenerContext, TableOpenerOptions } from "./opener.ts";
import { openPgsql } from "./pgsql.ts";
import { openRegexp } from "./regexp.ts";
import { ProxyTable, ReopeningTable } from "./reopening-table.ts";
import type { RuleSource } from "./rules.ts";
import { openSocketmap } from "./socketmap.ts";
import { sourceLines } from "./source-lines.ts";
import { openSqlite } from "./sqlite.ts";
import { type LookupTable, TableError, type TableOpener } from "./table.ts";
import { openTcp } from "./tcp.ts";
import { INDEXED_TYPES, openText } from "./text-table.ts";
import { openUnix } from "./unix.ts";

export type { TableOpenerOptions } from "./opener.ts";

const OPENERS: ReadonlyMap<string, Opener> = new Map<string, Opener>([
  ...["texthash", ...INDEXED_TYPES].map((type): [string, Opener] => [type, openText]),
  ["static", openStatic],
  ["inline", openInline],
  ["cidr", (ref, name, context) => openCidr(ref, ruleSource("cidr", name, context))],
  ["regexp", openRegexpOf("regexp")],
  ["pcre", openRegexpOf("pcre")],
  ["environ", openEnviron],
  ["unionmap", openUnion],
  ["pipemap", openPipe],
  ["randmap", (ref, name) => openRandom(ref, name)],
  ["sqlite", openSqlite],
  ["unix", (ref, name, { files }) => openUnix(ref, name, files)],
  ["ldap", openLdap],
  ["memcache", openMemcache],
  ["socketmap", openSocketmap],
  ["tcp", openTcp],
  ["pgsql", openPgsql],
  ["mysql", openMysql],
  ["fail", openFail],
]);

/** Types that open() knows, for check. `proxy:` in front of any of them means the same table. */
export const TABLE_TYPES: readonly string[] = [...OPENERS.keys(), "proxy"];

/** The tables of one config generation; each reference is opened once and kept. */
export function createTableOpener(options: TableOpenerOptions): TableOpener {
  const cache = new Map<string, ReopeningTable | ProxyTable>();
  const opener: TableOpener = {
    files: options.files,
    open(ref, need) {
      const known = cache.get(ref);
      if (known) return known;
      const table = ref.startsWith("proxy:")
        ? new ProxyTable(ref, opener)
        : new ReopeningTable(ref, options.files, (files) =>
            openOrBroken(ref, { ...options, files, tables: opener }, need),
          );
      cache.set(ref, table);
      return table;
    },
    async close() {
      const tables = [...cache.values()];
      cache.clear();
      await Promise.all(tables.map((table) => (table instanceof ReopeningTable ? table.close() : undefined)));
    },
  };
  options.files.onChange?.((changed) => {
    for (const table of cache.values()) if (table instanceof ReopeningTable) table.changed(changed);
  });
  return opener;
}

function openOrBroken(ref: string, options: OpenerContext, need: "optional" | undefined): LookupTable {
  try {
    return openTyped(ref, options);
  } catch (cause) {
    if (!(cause instanceof TableError)) throw cause;
    if (need === "optional") return brokenTable(ref, cause.message);
    options.log.warning(`${ref} is unavailable. ${cause.message}`, {
      event: "table_unavailable",
      table: ref,
      reason: cause.message,
    });
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

/** `fail:` any reason: opens, and answers nothing, as in Postfix: for tests of what happens then. */
function openFail(ref: string): LookupTable {
  return {
    ref,
    partialKeys: true,
    get() {
      throw new TableError(`${ref}: query error`);
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

function openRegexpOf(type: "regexp" | "pcre"): Opener {
  return (ref, name, context) => openRegexp(ref, { ...ruleSource(type, name, context), type, clock: context.clock });
}

/** The rules in the reference itself, or in the file it names. */
function ruleSource(type: string, name: string, context: OpenerContext): Omit<RuleSource, "parse"> {
  const warn = (text: string) => context.log.warning(text);
  const inline = inlineRules(name, type);
  if (inline) return { lines: inline, where: `${type} map`, warn };
  const path = resolve(context.configDirectory, name);
  const where = `${type} map ${path}`;
  return { lines: sourceLines(context.files.read(path), (why) => warn(`${path}: ${why}`)), where, warn };
}

function refuse(why: string): never {
  throw new TableError(why);
}
