/** tables/inline.ts: tables whose contents stand in the reference itself: `inline:{a=b, {c = d e}}`, `static:text`,
 *  `static:{text with blanks}`, and the `{…}` rules of `cidr:{…}` and `regexp:{…}` (DATABASE_README). */
import { ParameterError, splitList } from "../config/declare.ts";
import type { SourceLine } from "./source-lines.ts";
import { type LookupTable, TableError } from "./table.ts";
import { mapTable } from "./text.ts";

/** Throws TableError on bad syntax, as Postfix refuses the table. */
export function openInline(ref: string, name: string): LookupTable {
  const entries = new Map<string, string>();
  for (const item of bracedItems(name, "inline", "name=value...")) {
    const text = unbraced(item) ?? item;
    const equals = text.indexOf("=");
    const key = text.slice(0, Math.max(0, equals)).trim().toLowerCase();
    if (equals < 0) throw new TableError(`syntax error: missing '=' after attribute name: "${text}"`);
    if (key === "") throw new TableError(`syntax error: missing attribute name: "${text}"`);
    entries.set(key, text.slice(equals + 1).trim());
  }
  if (entries.size === 0) throw new TableError(`bad syntax: "${ref}"; need "inline:{name=value...}"`);
  return mapTable(ref, entries);
}

/** One answer for every key. It has partial keys by nature, so the full key alone is asked. */
export function openStatic(ref: string, name: string): LookupTable {
  const value = unbraced(name) ?? name;
  if (value.startsWith("{")) throw new TableError(`bad static:name syntax: missing '}' in "${name}"`);
  return { ref, partialKeys: false, get: () => value };
}

/** Rules of `cidr:{ {rule}, {rule} }`, one logical line each; undefined when `name` is a path. Throws TableError. */
export function inlineRules(name: string, type: string): readonly SourceLine[] | undefined {
  if (!name.startsWith("{")) return undefined;
  return bracedItems(name, type, "{rule}...").map((item, i) => {
    const text = unbraced(item);
    if (text === undefined)
      throw new TableError(`syntax error: expected "{rule}" in "${type}:${name}", found "${item}"`);
    return { text, line: i + 1 };
  });
}

/** The words between the braces of `{a, b}`. Throws TableError. */
export function bracedItems(name: string, type: string, what: string): readonly string[] {
  const inside = unbraced(name);
  if (inside === undefined) throw new TableError(`bad syntax: "${type}:${name}"; need "${type}:{${what}}"`);
  try {
    return splitList(inside, `${type}:`);
  } catch (cause) {
    if (cause instanceof ParameterError) throw new TableError(cause.message, { cause });
    throw cause;
  }
}

/** What stands between the braces, if the first brace closes at the end. */
function unbraced(text: string): string | undefined {
  if (!text.startsWith("{")) return undefined;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text.charAt(i) === "{") depth++;
    else if (text.charAt(i) === "}" && --depth === 0)
      return i === text.length - 1 ? text.slice(1, -1).trim() : undefined;
  }
  return undefined;
}
