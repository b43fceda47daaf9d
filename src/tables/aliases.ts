/** tables/aliases.ts: `name: value, value…` files of aliases(5), as postalias(1) reads them. Names are local, lower-cased and
 *  without their quotes; values stay as written, with white space folded. What a value means is nobody's business here. */
import { sourceLines } from "./source-lines.ts";
import { addEntry, scanQuoted, type TextEntries, type TextOptions } from "./text.ts";

/** Reads all entries. Never throws. */
export function parseAliases(bytes: Uint8Array, path: string, options: TextOptions = {}): TextEntries {
  const entries = new Map<string, string>();
  const warnings: string[] = [];
  for (const { text, line } of sourceLines(bytes, (why) => warnings.push(`${path}: ${why}`))) {
    const warn = (what: string) => void warnings.push(`${path}, line ${line}: ${what}`);
    const name = scanQuoted(text, /:/);
    const key = name?.text.trim().toLowerCase() ?? "";
    const value = name ? foldBlanks(text.slice(name.end + 1)) : "";
    if (text.includes("\uFFFD")) warn(`non-UTF-8 input "${text}" -- ignoring this line`);
    else if (key === "" || value === "") warn("need name:value pair");
    else if (hasDomain(text.slice(0, name?.end))) warn("name must be local");
    else addEntry(entries, { key, value }, { warn, ...options });
  }
  return { entries, warnings };
}

/** An unquoted "@". */
function hasDomain(name: string): boolean {
  return (scanQuoted(name, /@/)?.end ?? 0) < name.length;
}

/** One blank for many, except inside quotes. */
function foldBlanks(text: string): string {
  return text
    .trim()
    .split(/("(?:[^"\\]|\\.)*")/s)
    .map((part, i) => (i % 2 === 1 ? part : part.replaceAll(/\s+/g, " ")))
    .join("");
}
