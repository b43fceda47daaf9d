/** tables/text.ts: `key whitespace value` tables: texthash, and hash, btree, lmdb, cdb … read from the text they are made of
 *  (postmap(1)); also `key: value` as in aliases(5), because alias_maps names such files by the same types. Keys are
 *  lower-cased; quotes around a local part are removed because our addresses have none inside. */
import { sourceLines } from "./source-lines.ts";
import type { LookupTable } from "./table.ts";

export interface TextEntries {
  readonly entries: ReadonlyMap<string, string>;
  /** Postfix's warnings, with file and line. */
  readonly warnings: readonly string[];
}

export interface TextOptions {
  /** postmap warns of `key: value` lines, which are right for postalias only. */
  readonly warnOfAliases?: boolean;
  /** Of entries with one key the first stays, with a warning or without (postmap -w), or the last (-r). */
  readonly duplicates?: "warn" | "keep" | "replace";
}

/** Reads all entries. Never throws. */
export function parseTextTable(bytes: Uint8Array, path: string, options: TextOptions = {}): TextEntries {
  const entries = new Map<string, string>();
  const warnings: string[] = [];
  for (const { text, line } of sourceLines(bytes, (why) => warnings.push(`${path}: ${why}`))) {
    const warn = (what: string) => void warnings.push(`${path}, line ${line}: ${what}`);
    const split = splitRecord(text);
    if (text.includes("\uFFFD")) warn(`non-UTF-8 input "${text}" -- ignoring this line`);
    else if (split === undefined) warn(`unbalanced '"' in '${text}' -- ignoring this line`);
    else if (split.key === "" || split.value === "")
      warn("expected format: key whitespace value -- ignoring this line");
    else {
      if (split.alias && options.warnOfAliases) warn('record is in "key: value" format; is this an alias file?');
      addEntry(entries, split, { warn, ...options });
    }
  }
  return { entries, warnings };
}

/** As `options.duplicates` says. */
export function addEntry(
  entries: Map<string, string>,
  { key, value }: { readonly key: string; readonly value: string },
  { warn, duplicates = "warn" }: TextOptions & { readonly warn: (text: string) => void },
): void {
  if (!entries.has(key) || duplicates === "replace") entries.set(key, value);
  else if (duplicates === "warn") warn(`duplicate entry: "${key}"`);
}

/** A key as an operator writes it, perhaps in quotes, as tables keep it. */
export function writtenKey(text: string): string {
  return (scanQuoted(text, /$^/)?.text ?? text).toLowerCase();
}

/** A table over entries that are all in memory. */
export function mapTable(ref: string, entries: ReadonlyMap<string, string>): LookupTable {
  return { ref, partialKeys: true, entries, get: (key) => entries.get(key.toLowerCase()) };
}

interface TextRecord {
  readonly key: string;
  readonly value: string;
  /** Written `name: value`. */
  readonly alias: boolean;
}

/** Key up to the first unquoted blank, or up to the colon of an alias line; undefined when a quote stays open. */
export function splitRecord(text: string): TextRecord | undefined {
  const scanned = scanQuoted(text, /[ \t]/);
  if (!scanned) return undefined;
  const key = scanned.text.toLowerCase();
  const value = text.slice(scanned.end).trim();
  // aliases(5): "name: value" and "name : value"; a key that ends in "::" is the head of an IPv6 address.
  if (key.endsWith(":") && !key.endsWith("::")) return { key: key.slice(0, -1), value, alias: true };
  if (/^:\s/.test(value)) return { key, value: value.slice(1).trim(), alias: true };
  return { key, value, alias: false };
}

/** The text without its quotes up to the first unquoted `stop`, and where that stands; undefined when a quote stays open.
 *  A backslash quotes a character inside quotes only. */
export function scanQuoted(text: string, stop: RegExp): { readonly text: string; readonly end: number } | undefined {
  let quoted = false;
  let bare = "";
  let at = 0;
  for (; at < text.length; at++) {
    const c = text.charAt(at);
    if (c === "\\" && at + 1 < text.length) bare += quoted ? text.charAt(++at) : c + text.charAt(++at);
    else if (c === '"') quoted = !quoted;
    else if (!quoted && stop.test(c)) break;
    else bare += c;
  }
  return quoted ? undefined : { text: bare, end: at };
}
