/** tables/regexp-pattern.ts: one pattern with its flags → a condition. RE2 matches in linear time whatever pattern and key;
 *  what it has not (look-around, back-references, counts over 1000) runs in a thread with a deadline: backtracking.ts. */
import { RE2JS } from "re2js";
import type { Backtracker } from "./backtracking.ts";
import { posixToRe2 } from "./posix-syntax.ts";
import { expandedWithoutBlanks, toJavaScript, UnsupportedSyntax } from "./regexp-syntax.ts";
import { type Condition, UnusableRule } from "./rules.ts";
import { TableError } from "./table.ts";

export type RegexpType = "regexp" | "pcre";

export interface PatternSource {
  readonly pattern: string;
  readonly flags: string;
  readonly type: RegexpType;
  readonly warn: (why: string) => void;
  readonly backtracker: Backtracker;
}

export interface CompiledPattern {
  readonly match: Condition;
  /** How many `$n` there are. */
  readonly groups: number;
}

/** Every flag toggles; these are the defaults of regexp_table(5) and pcre_table(5). */
interface Flags {
  caseless: boolean;
  multiline: boolean;
  dotAll: boolean;
  /** regexp: extended syntax (x turns it to basic). pcre: blanks and comments are ignored. */
  extended: boolean;
  anchored: boolean;
  ungreedy: boolean;
}

const FLAG_NAMES: Readonly<Record<RegexpType, ReadonlyMap<string, keyof Flags | "none">>> = {
  regexp: new Map([
    ["i", "caseless"],
    ["m", "multiline"],
    ["x", "extended"],
  ]),
  pcre: new Map<string, keyof Flags | "none">([
    ["i", "caseless"],
    ["m", "multiline"],
    ["s", "dotAll"],
    ["x", "extended"],
    ["A", "anchored"],
    ["U", "ungreedy"],
    // "$" is the end of the key here in any case, and unknown escapes are refused in any case.
    ["E", "none"],
    ["X", "none"],
  ]),
};

/** Throws TableError for a syntax error and UnusableRule for what PCRE has and nobody here. */
export function compilePattern(source: PatternSource): CompiledPattern {
  const flags = parseFlags(source);
  const pattern = normalize(source, flags);
  try {
    const compiled = RE2JS.compile((flags.ungreedy ? "(?U)" : "") + pattern, re2Flags(source.type, flags));
    const groups = compiled.groupCount();
    const plain = groups === 0 && !flags.anchored;
    return { groups, match: plain ? plainMatch(compiled) : groupMatch(compiled, { groups, anchored: flags.anchored }) };
  } catch (cause) {
    return compileBacktracking(source, { pattern, flags, cause });
  }
}

function parseFlags({ flags: text, type, warn }: PatternSource): Flags {
  const flags: Flags = {
    caseless: true,
    multiline: false,
    dotAll: true,
    extended: type === "regexp",
    anchored: false,
    ungreedy: false,
  };
  for (const letter of text) {
    const name = FLAG_NAMES[type].get(letter);
    if (name === undefined) throw new TableError(`unknown regexp option "${letter}"`);
    if (letter === "X") warn('ignoring obsolete regexp option "X"');
    if (name !== "none") flags[name] = !flags[name];
  }
  // POSIX ties the two: REG_NEWLINE also takes the newline from ".".
  if (type === "regexp") flags.dotAll = !flags.multiline;
  return flags;
}

function normalize({ pattern, type, warn }: PatternSource, flags: Flags): string {
  if (type === "regexp") return posixToRe2(pattern, { basic: !flags.extended, warn });
  return flags.extended ? expandedWithoutBlanks(pattern) : pattern;
}

function re2Flags(type: RegexpType, flags: Flags): number {
  return (
    (flags.caseless ? RE2JS.CASE_INSENSITIVE : 0) |
    (flags.multiline ? RE2JS.MULTILINE : 0) |
    (flags.dotAll ? RE2JS.DOTALL : 0) |
    (type === "regexp" ? RE2JS.LONGEST_MATCH : 0)
  );
}

const NO_GROUPS: readonly string[] = [];

function plainMatch(compiled: RE2JS): Condition {
  return (key) => (compiled.test(key) ? NO_GROUPS : undefined);
}

function groupMatch(
  compiled: RE2JS,
  { groups, anchored }: { readonly groups: number; readonly anchored: boolean },
): Condition {
  return (key) => {
    const matcher = compiled.matcher(key);
    if (!(anchored ? matcher.lookingAt() : matcher.find())) return undefined;
    return Array.from({ length: groups + 1 }, (_, i) => matcher.group(i) ?? "");
  };
}

/** `\1` of the JavaScript form; a number without its group would be an octal escape there. */
function highestReference(text: string): number {
  return Math.max(0, ...Array.from(text.matchAll(/\(\?:\\(\d+)\)/g), ([, number]) => Number(number)));
}

function compileBacktracking(
  source: PatternSource,
  { pattern, flags, cause }: { readonly pattern: string; readonly flags: Flags; readonly cause: unknown },
): CompiledPattern {
  if (cause instanceof TableError) throw cause;
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/^error parsing regexp: /, "");
  try {
    const text = toJavaScript(pattern);
    const bits =
      (flags.caseless ? "i" : "") +
      (flags.multiline ? "m" : "") +
      (flags.dotAll ? "s" : "") +
      (flags.anchored ? "y" : "");
    // Its empty alternative matches anything, so the match array tells how many groups there are.
    const groups = (new RegExp(`${text}|`, bits).exec("")?.length ?? 1) - 1;
    if (highestReference(text) > groups) throw new SyntaxError("reference to non-existent subpattern");
    if (flags.ungreedy) throw new UnsupportedSyntax('flag "U" of such a pattern is not supported');
    source.warn(
      `the pattern "${source.pattern}" has no linear-time form (${reason}); it is matched in a thread with a deadline`,
    );
    return { groups, match: (key) => source.backtracker.match(text, bits, key) };
  } catch (error) {
    if (error instanceof UnsupportedSyntax) {
      throw new UnusableRule(`cannot use pattern "${source.pattern}": ${error.message}`, { cause: error });
    }
    if (!(error instanceof SyntaxError)) throw error;
    throw new TableError(`cannot use pattern "${source.pattern}": ${reason}`, { cause: error });
  }
}
