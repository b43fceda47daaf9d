/** tables/posix-syntax.ts: POSIX regular expressions (regex(7), with glibc's extensions) → the syntax of RE2. Where both read
 *  the same text differently, POSIX wins: a backslash in `[…]` is itself, `a+?` is `(a+)?`, `\d` is no digit. */
import { TableError } from "./table.ts";

export interface PosixOptions {
  /** A basic expression; else extended. */
  readonly basic: boolean;
  /** Is told of escapes that POSIX leaves undefined. */
  readonly warn: (why: string) => void;
}

/** Throws TableError, mostly in glibc's words, for what POSIX refuses. */
export function posixToRe2(pattern: string, options: PosixOptions): string {
  return extendedToRe2(options.basic ? basicToExtended(pattern) : pattern, options);
}

/** regexp(7): in a basic expression `\( \) \{ \} \+ \? \|` are the operators and the bare characters are themselves. */
function basicToExtended(pattern: string): string {
  let out = "";
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern.charAt(i);
    if (c === "\\") {
      const next = pattern.charAt(++i);
      out += /[(){}+?|]/.test(next) ? next : `\\${next}`;
    } else if (c === "[") {
      const end = bracketEnd(pattern, i);
      out += pattern.slice(i, end);
      i = end - 1;
    } else if (/[(){}+?|]/.test(c)) out += `\\${c}`;
    else if (c === "*" && /(?:^|(?:^|[^\\])[(|^])$/.test(out)) out += "\\*";
    else out += c;
  }
  return out;
}

/** Index behind the `]` of the bracket expression that begins at `from`. */
function bracketEnd(pattern: string, from: number): number {
  let i = from + 1;
  if (pattern.charAt(i) === "^") i++;
  if (pattern.charAt(i) === "]") i++;
  for (; i < pattern.length; i++) {
    if (pattern.charAt(i) === "]") return i + 1;
    const named = NAMED.exec(pattern.slice(i, i + 40));
    if (named) i += named[0].length - 1;
  }
  throw new TableError("Unmatched [, [^, [:, [., or [=");
}

const NAMED = /^\[([:.=])(.*?)\1\]/;
const QUANTIFIER = /^(?:[*+?]|\{(\d*)(,?)(\d*)\})/;

/** `basic`: the pattern came out of basicToExtended(); glibc is stricter with such. */
function extendedToRe2(pattern: string, { basic, warn }: PosixOptions): string {
  const writer = new Re2Writer(basic);
  for (let i = 0; i < pattern.length; ) {
    const rest = pattern.slice(i);
    const c = rest.charAt(0);
    if (c === "\\") i += writeEscape(writer, pattern, { at: i, warn });
    else if (c === "[") {
      const end = bracketEnd(pattern, i);
      writer.atom(bracket(pattern.slice(i, end)));
      i = end;
    } else if (/[*+?{]/.test(c)) {
      const taken = QUANTIFIER.exec(rest);
      if (!taken) throw new TableError("Unmatched \\{");
      const [whole, low, comma, high] = taken;
      writer.quantify(whole.startsWith("{") ? `{${low || "0"}${comma}${high}}` : whole);
      i += whole.length;
    } else {
      writer.plain(c);
      i++;
    }
  }
  return writer.finish();
}

const UNMATCHED = "Unmatched ( or \\(";

/** Knows where the last atom began, so that a second quantifier can be applied to the first. */
class Re2Writer {
  #out = "";
  #atom = -1;
  #quantified = false;
  /** Where the open groups began. */
  readonly #groups: number[] = [];
  #closed = 0;
  readonly #basic: boolean;

  constructor(basic: boolean) {
    this.#basic = basic;
  }

  atom(text: string): void {
    this.#atom = this.#out.length;
    this.#quantified = false;
    this.#out += text;
  }

  plain(c: string): void {
    const open = c === ")" ? this.#groups.pop() : undefined;
    if (c === "(") this.#groups.push(this.#out.length);
    if (c === ")" && open === undefined) {
      // glibc takes it for itself in an extended expression.
      if (this.#basic) throw new TableError(UNMATCHED);
      this.atom("\\)");
    } else if (c === "(" || c === "|" || c === "^" || c === "$") {
      this.#atom = -1;
      this.#out += c;
    } else {
      this.atom(c);
      if (open === undefined) return;
      this.#atom = open;
      this.#closed++;
    }
  }

  backReference(group: number): void {
    if (group > this.#closed) throw new TableError("Invalid back reference");
    this.atom(`\\${group}`);
  }

  quantify(quantifier: string): void {
    if (this.#atom < 0 || (this.#basic && this.#quantified))
      throw new TableError("Invalid preceding regular expression");
    if (this.#quantified) this.#out = `${this.#out.slice(0, this.#atom)}(?:${this.#out.slice(this.#atom)})`;
    this.#out += quantifier;
    this.#quantified = true;
  }

  finish(): string {
    if (this.#groups.length > 0) throw new TableError(UNMATCHED);
    return this.#out;
  }
}

const WORD = /^(?:\w|\\w)/;

/** One escape outside of brackets; returns how many characters it took. */
function writeEscape(
  writer: Re2Writer,
  pattern: string,
  { at, warn }: { readonly at: number; readonly warn: (why: string) => void },
): number {
  const c = pattern.charAt(at + 1);
  if (c === "") throw new TableError("Trailing backslash");
  // RE2 has no one-sided word boundary; beside a word character the two-sided one means the same.
  if (c === "<") writer.atom(WORD.test(pattern.slice(at + 2)) ? "\\b" : "\\b(?=\\w)");
  else if (c === ">") writer.atom(/\w$/.test(pattern.slice(0, at)) ? "\\b" : "\\b(?<=\\w)");
  else if (c === "`") writer.atom("\\A");
  else if (c === "'") writer.atom("\\z");
  else if (/[wWsSbB]/.test(c)) writer.atom(`\\${c}`);
  else if (/[1-9]/.test(c)) writer.backReference(Number(c));
  else if (/\w/.test(c)) {
    warn(`"\\${c}" is undefined in a POSIX regular expression and taken for "${c}"`);
    writer.atom(c);
  } else writer.atom(`\\${c}`);
  return 2;
}

/** A bracket expression; only class names are special in it. */
function bracket(text: string): string {
  const negated = text.startsWith("[^");
  let out = negated ? "[^" : "[";
  for (let i = negated ? 2 : 1; i < text.length - 1; i++) {
    const named = NAMED.exec(text.slice(i, -1));
    if (named) {
      out += named[1] === ":" ? named[0] : `\\${named[2]}`;
      i += named[0].length - 1;
    } else out += /[\\[\]]/.test(text.charAt(i)) ? `\\${text.charAt(i)}` : text.charAt(i);
  }
  return `${out}]`;
}
