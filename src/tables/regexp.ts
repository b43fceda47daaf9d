/** tables/regexp.ts: regexp and pcre tables (regexp_table(5), pcre_table(5)): `/pattern/flags value`, `!/pattern/flags value`,
 *  `if [!]/pattern/flags … endif`, `$1 ${1} $(1) $$` in values. How a pattern is matched is regexp-pattern.ts. */
import { type Clock, systemClock } from "../base/clock.ts";
import { Backtracker } from "./backtracking.ts";
import { compilePattern, type RegexpType } from "./regexp-pattern.ts";
import { type Condition, compileRules, type Rule, type RuleSource } from "./rules.ts";
import { type LookupTable, TableError } from "./table.ts";

/** Throws TableError when the table cannot be used; single bad rules are skipped with a warning. */
export function openRegexp(
  ref: string,
  source: Omit<RuleSource, "parse"> & { readonly type: RegexpType; readonly clock?: Clock | undefined },
): LookupTable {
  const backtracker = new Backtracker(source.clock ?? systemClock);
  const compiled = compileRules({
    ...source,
    parse: (text, warn) => parseRegexpRule(text, { type: source.type, warn, backtracker }),
  });
  return { ref, partialKeys: false, ...compiled, close: () => backtracker.close() };
}

interface Means {
  readonly type: RegexpType;
  readonly warn: (why: string) => void;
  readonly backtracker: Backtracker;
}

interface Pattern {
  readonly when: Condition;
  readonly negated: boolean;
  readonly groups: number;
  readonly rest: string;
  /** As written, with "!" and flags. */
  readonly shown: string;
}

/** Postfix's words for a line that begins no rule. */
const UNRECOGNIZED = "ignoring unrecognized request";

function parseRegexpRule(text: string, means: Means): Rule {
  const end = /^endif(?![^\s])(.*)$/i.exec(text);
  if (end) {
    if (end[1]?.trim()) means.warn("ignoring extra text after ENDIF");
    return { kind: "endif" };
  }
  const condition = /^if(?:\s+|(?=[!/]))(.*)$/i.exec(text);
  if (condition) {
    const { when, rest } = parsePattern(condition[1] ?? "", means);
    if (rest !== "") {
      means.warn(`ignoring extra text after IF statement: "${rest}"`);
      means.warn("do not prepend whitespace to statements between IF and ENDIF");
    }
    return { kind: "if", when };
  }
  if (/^[\p{L}\p{N}]/u.test(text)) throw new TableError(UNRECOGNIZED);
  const pattern = parsePattern(text, means);
  if (pattern.rest === "") means.warn("no replacement text: using empty string");
  const shown = { pattern: pattern.shown, value: pattern.rest };
  return { kind: "value", when: pattern.when, value: parseReplacement(pattern), shown };
}

/** `[!]/pattern/flags`, any punctuation for the slash; what follows is `rest`. */
function parsePattern(text: string, means: Means): Pattern {
  const negations = /^(?:!\s*)*/.exec(text)?.[0] ?? "";
  const negated = negations.replaceAll(/\s/g, "").length % 2 === 1;
  const start = text.slice(negations.length);
  const delimiter = start.charAt(0);
  if (!/^[^\w\s\\]$/.test(delimiter)) throw new TableError(`bad pattern delimiter in "${text}"`);
  let end = 1;
  while (end < start.length && start.charAt(end) !== delimiter) end += start.charAt(end) === "\\" ? 2 : 1;
  if (end >= start.length) throw new TableError(`no closing regexp delimiter "${delimiter}"`);
  const flags = /^[^\s]*/.exec(start.slice(end + 1))?.[0] ?? "";
  const pattern = unescapeDelimiter(start.slice(1, end), delimiter);
  const { match, groups } = compilePattern({ pattern, flags, ...means });
  const length = end + 1 + flags.length;
  return {
    negated,
    groups,
    when: negated ? negate(match) : match,
    rest: start.slice(length).trim(),
    shown: (negated ? "!" : "") + start.slice(0, length),
  };
}

function negate(match: Condition): Condition {
  return (key) => {
    const groups = match(key);
    if (groups instanceof Promise) return groups.then((found) => (found ? undefined : []));
    return groups ? undefined : [];
  };
}

/** `\/` is a plain slash to every engine; other delimiters may be special behind a backslash. */
function unescapeDelimiter(pattern: string, delimiter: string): string {
  return delimiter === "/" ? pattern.replace(/\\([\s\S])/g, (both, c) => (c === "/" ? "/" : both)) : pattern;
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
    else if (index === undefined) throw new TableError(`bad replacement syntax "${rest}"`);
    else if (negated) throw new TableError("$number found in negative match replacement text");
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
