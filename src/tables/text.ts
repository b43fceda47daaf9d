/** tables/text.ts: `key whitespace value` tables: texthash, and hash, btree, lmdb, cdb … read from the text they are made of
 *  (postmap(1)); also `key: value` as in aliases(5). Keys are lower-cased, quotes around a local part are removed because our
 *  addresses have none inside. The indexed file beside the text is never read. */
import { sourceLines } from "./source-lines.ts";
import type { LookupTable } from "./table.ts";

export interface TextEntries {
  readonly entries: ReadonlyMap<string, string>;
  /** Postfix's warnings, with file and line. */
  readonly warnings: readonly string[];
}

/** Reads all entries. The first of duplicates stays, as in Postfix's default for postmap. Never throws. */
export function parseTextTable(bytes: Uint8Array, path: string): TextEntries {
  const entries = new Map<string, string>();
  const warnings: string[] = [];
  for (const { text, line } of sourceLines(bytes)) {
    const warn = (what: string) => void warnings.push(`${path}, line ${line}: ${what}`);
    const split = splitRecord(text);
    if (split === undefined) {
      warn(`unbalanced '"' in '${text}' -- ignoring this line`);
      continue;
    }
    const { key, value } = split;
    if (key === "" || value === "") warn("expected format: key whitespace value");
    else if (entries.has(key)) warn(`duplicate entry: "${key}"`);
    else entries.set(key, value);
  }
  return { entries, warnings };
}

/** A table over entries that are all in memory. */
export function mapTable(ref: string, entries: ReadonlyMap<string, string>): LookupTable {
  return { ref, partialKeys: true, entries, get: (key) => entries.get(key.toLowerCase()) };
}

/** Key up to the first unquoted blank, or up to the colon of an alias line; undefined when a quote stays open. */
function splitRecord(text: string): { key: string; value: string } | undefined {
  let quoted = false;
  let key = "";
  let at = 0;
  for (; at < text.length; at++) {
    const c = text.charAt(at);
    if (c === "\\" && at + 1 < text.length) key += quoted ? text.charAt(++at) : c + text.charAt(++at);
    else if (c === '"') quoted = !quoted;
    else if (!quoted && (c === " " || c === "\t")) break;
    else key += c;
  }
  if (quoted) return undefined;
  const value = text.slice(at).trim();
  // aliases(5): "name: value" and "name : value"; a key that ends in "::" is the head of an IPv6 address.
  if (key.endsWith(":") && !key.endsWith("::")) return { key: key.slice(0, -1).toLowerCase(), value };
  if (/^:\s/.test(value)) return { key: key.toLowerCase(), value: value.slice(1).trim() };
  return { key: key.toLowerCase(), value };
}
