/** tables/regexp.ts: regexp and pcre tables (regexp_table(5), pcre_table(5)) on RE2, which runs in linear time whatever the
 *  pattern and the key: no look-around, no back-references; such a pattern makes the table unusable, with the reason. */
import { RE2JS } from "re2js";
import { type Condition, compileRules, type Rule } from "./rules.ts";
import type { SourceLine } from "./source-lines.ts";
import { type LookupTable, TableError } from "./table.ts";

export type RegexpType = "regexp" | "pcre";

/** Throws TableError when a rule is bad. `where` names file or reference for messages. */
export function openRegexp(ref: string, where: string, lines: readonly SourceLine[]): LookupTable {
  const type: RegexpType = ref.startsWith("pcre:") ? "pcre" : "regexp";
  return { ref, partialKeys: false, get: compileRules(lines, where, (text) => parseRegexpRule(text, type)) };
}

interface Pattern {
  readonly when: Condition;
  readonly negated: boolean;
  readonly groups: number;
  readonly rest: string;
}

function parseRegexpRule(text: string, type: RegexpType): Rule {
  if (/^endif$/i.test(text)) return { kind: "endif" };
  const condition = /^if(?:\s+|(?=[!/]))(.*)$/i.exec(text);
  if (condition) {
    const { when, rest } = parsePattern(condition[1] ?? "", type);
    if (rest !== "") throw new TableError(`ignoring extra text after IF: "${rest}"`);
    return { kind: "if", when };
  }
  const pattern = parsePattern(text, type);
  if (pattern.rest === "") throw new TableError(`no replacement text: "${text}"`);
  return { kind: "value", when: pattern.when, value: parseReplacement(pattern) };
}

/** `[!]/pattern/flags`, any punctuation for the slash; what follows is `rest`. */
function parsePattern(text: string, type: RegexpType): Pattern {
  const negated = text.startsWith("!");
  const start = negated ? text.slice(1).trimStart() : text;
  const delimiter = start.charAt(0);
  if (!/^[^\w\s\\]$/.test(delimiter)) throw new TableError(`bad pattern delimiter in "${text}"`);
  let end = 1;
  while (end < start.length && start.charAt(end) !== delimiter) end += start.charAt(end) === "\\" ? 2 : 1;
  if (end >= start.length) throw new TableError(`no closing regexp delimiter "${delimiter}" in "${text}"`);
  const flags = /^[^\s]*/.exec(start.slice(end + 1))?.[0] ?? "";
  const compiled = compile(unescapeDelimiter(start.slice(1, end), delimiter), flags, type);
  return {
    negated,
    groups: compiled.groupCount(),
    when: negated ? (key) => (compiled.test(key) ? undefined : []) : (key) => matchGroups(compiled, key),
    rest: start.slice(end + 1 + flags.length).trim(),
  };
}

/** `\/` is a plain slash to every engine; other delimiters may be special behind a backslash. */
function unescapeDelimiter(pattern: string, delimiter: string): string {
  return delimiter === "/" ? pattern.replace(/\\([\s\S])/g, (both, c) => (c === "/" ? "/" : both)) : pattern;
}

/** Case-insensitive by default; each flag toggles. In both types "." matches a newline unless told otherwise. */
function compile(pattern: string, flags: string, type: RegexpType): RE2JS {
  let caseless = true;
  let multiline = false;
  let dotAll = true;
  for (const flag of flags) {
    if (flag === "i") caseless = !caseless;
    else if (flag === "m") multiline = !multiline;
    else if (flag === "s" && type === "pcre") dotAll = !dotAll;
    else throw new TableError(`unknown or unsupported regexp option "${flag}"`);
  }
  // POSIX ties the two: REG_NEWLINE also takes the newline from ".".
  if (type === "regexp") dotAll = !multiline;
  const bits =
    (caseless ? RE2JS.CASE_INSENSITIVE : 0) |
    (multiline ? RE2JS.MULTILINE : 0) |
    (dotAll ? RE2JS.DOTALL : 0) |
    (type === "regexp" ? RE2JS.LONGEST_MATCH : 0);
  try {
    return RE2JS.compile(pattern, bits);
  } catch (cause) {
    throw new TableError(`cannot use pattern "${pattern}": ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

function matchGroups(compiled: RE2JS, key: string): readonly string[] | undefined {
  const matcher = compiled.matcher(key);
  if (!matcher.find()) return undefined;
  return Array.from({ length: compiled.groupCount() + 1 }, (_, i) => matcher.group(i) ?? "");
}

/** `$1 ${1} $(1)` and `$$`; throws TableError for anything else behind "$". */
function parseReplacement({ rest, groups, negated }: Pattern): (groups: readonly string[]) => string {
  const parts: (string | number)[] = [];
  let at = 0;
  for (const m of rest.matchAll(/\$(?:(\d+)|\{(\d+)\}|\((\d+)\)|(\$)|)/g)) {
    parts.push(rest.slice(at, m.index));
    at = m.index + m[0].length;
    const index = m[1] ?? m[2] ?? m[3];
    if (m[4]) parts.push("$");
    else if (index === undefined) throw new TableError(`bad substitution syntax in "${rest}"`);
    else if (negated) throw new TableError(`$number found in negative match replacement text "${rest}"`);
    else if (Number(index) < 1 || Number(index) > groups)
      throw new TableError(`out of range replacement index "${index}"`);
    else parts.push(Number(index));
  }
  parts.push(rest.slice(at));
  if (!parts.some((part) => typeof part === "number")) {
    const fixed = parts.join("");
    return () => fixed;
  }
  return (found) => parts.map((part) => (typeof part === "number" ? (found[part] ?? "") : part)).join("");
}
