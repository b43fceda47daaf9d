/** tables/mysql-options.ts: `option_file` of mysql_table(5): the groups of a my.cnf that concern a client. Only the named file
 *  is read, not the my.cnf of the system, and `!include` in it is refused: the master reads files, and knows only named ones. */
import { TableError } from "./table.ts";

/** Long names with `-` as `_`: "host", "ssl_ca". Of a name that stands twice the last value counts. */
export type MysqlOptions = ReadonlyMap<string, string>;

/** Options of [client], then those of `group`. Throws TableError with file and line. */
export function parseMysqlOptions(bytes: Uint8Array, path: string, group: string): MysqlOptions {
  const groups = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const [index, raw] of new TextDecoder().decode(bytes).split(/\r?\n/).entries()) {
    const line = raw.trim();
    const bad = (why: string) => new TableError(`${path}, line ${index + 1}: ${why}`);
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    if (line.startsWith("!")) throw bad(`"${line.split(/\s/, 1)[0]}" is not supported`);
    const header = /^\[([^\]]+)\]$/.exec(line)?.[1]?.trim();
    if (header !== undefined) {
      current = groups.get(header) ?? new Map();
      groups.set(header, current);
      continue;
    }
    if (!current) throw bad("an option stands before the first [group]");
    const equals = line.indexOf("=");
    const name = (equals < 0 ? line : line.slice(0, equals)).trim().replaceAll("-", "_");
    current.set(name, equals < 0 ? "" : unquoted(line.slice(equals + 1)));
  }
  return new Map([...(groups.get("client") ?? []), ...(groups.get(group) ?? [])]);
}

const ESCAPES = new Map([
  ["b", "\b"],
  ["t", "\t"],
  ["n", "\n"],
  ["r", "\r"],
  ["s", " "],
]);

/** Quotes are taken off; a comment may follow what is not quoted. */
function unquoted(text: string): string {
  const trimmed = text.trim();
  const quoted = /^(["'])(.*)\1(?:\s*#.*)?$/.exec(trimmed);
  const value = quoted ? (quoted[2] ?? "") : trimmed.replace(/\s+#.*$/, "");
  return value.replace(/\\(.)/g, (whole, c: string) => ESCAPES.get(c) ?? (/[\\"']/.test(c) ? c : whole));
}
