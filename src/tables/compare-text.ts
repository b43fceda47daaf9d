/** tables/compare-text.ts: what differs between two states of a text table or rule file, entry by entry. Comments, white space
 *  and, where it does not count, order are no difference. */
import { sourceLines } from "./source-lines.ts";
import { splitRecord } from "./text.ts";

export interface TextEntry {
  readonly key: string;
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

export interface TextComparison {
  readonly added: readonly TextEntry[];
  readonly removed: readonly TextEntry[];
  readonly changed: readonly { readonly before: TextEntry; readonly after: TextEntry }[];
  /** The rules that are in both stand in another order. */
  readonly reordered: boolean;
}

/** "table": `key value`, the first of duplicates counts; "rules": cidr, regexp, pcre, where the order counts; "words": files of
 *  pattern lists, where it counts if `!` excludes something. A missing file is one without entries. */
export type TextForm = "table" | "rules" | "words";

export function compareTexts(before: Uint8Array, after: Uint8Array, form: TextForm): TextComparison {
  const [old, now] = [entriesOf(before, form), entriesOf(after, form)];
  const added = [...now].filter(([key]) => !old.has(key)).map(([, entry]) => entry);
  const removed = [...old].filter(([key]) => !now.has(key)).map(([, entry]) => entry);
  const changed = [...now].flatMap(([key, entry]) => {
    const was = old.get(key);
    return was === undefined || was.value === entry.value ? [] : [{ before: was, after: entry }];
  });
  const common = (entries: ReadonlyMap<string, TextEntry>, other: ReadonlyMap<string, TextEntry>) =>
    [...entries.keys()].filter((key) => other.has(key)).join("\n");
  const ordered =
    form === "rules" || (form === "words" && [...old.keys(), ...now.keys()].some((key) => key[0] === "!"));
  return { added, removed, changed, reordered: ordered && common(old, now) !== common(now, old) };
}

/** By key; of rules a second line with the same key is an entry of its own. */
function entriesOf(bytes: Uint8Array, form: TextForm): ReadonlyMap<string, TextEntry> {
  const entries = new Map<string, TextEntry>();
  for (const { text, line } of sourceLines(bytes)) {
    for (const { key, value } of recordsOf(text, form)) {
      let name = key;
      for (let copy = 2; form === "rules" && entries.has(name); copy++) name = `${key}\n${copy}`;
      if (!entries.has(name)) entries.set(name, { key, value, line });
    }
  }
  return entries;
}

function recordsOf(text: string, form: TextForm): readonly Pick<TextEntry, "key" | "value">[] {
  if (form === "words") {
    const words = text.split(/[\s,]+/).filter((word) => word !== "");
    return words.map((key) => ({ key, value: "" }));
  }
  if (form === "table") {
    const record = splitRecord(text);
    return record === undefined || record.key === "" || record.value === "" ? [] : [record];
  }
  const key = ruleKey(text);
  return [{ key, value: text.slice(key.length).trim() }];
}

/** The pattern with its delimiters and flags, or the first word; `if /pattern/` whole. */
function ruleKey(text: string): string {
  if (/^(?:end)?if\b/i.test(text)) return text;
  return /^!?([^\w\s:.[])(?:\\.|(?!\1)[^\\])*\1\w*/.exec(text)?.[0] ?? /^\S*/.exec(text)?.[0] ?? text;
}
