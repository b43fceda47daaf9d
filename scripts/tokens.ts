/** scripts/tokens.ts: splits TypeScript into tokens, well enough to count braces and find imports.
 *  Knows comments, strings, templates with nested expressions, and regular expressions; knows no grammar.
 *  Not a parser: TypeScript 7 has no compiler API to ask, and the checks need no more than this. */

export interface Token {
  readonly kind: "word" | "punctuator" | "string" | "template" | "regex" | "number" | "comment";
  /** The text as written; a string token keeps its quotes. */
  readonly text: string;
  /** Line of the first and of the last character, counted from 1. */
  readonly line: number;
  readonly endLine: number;
}

/** After these words a slash begins a regular expression. */
const BEFORE_REGEX = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "delete",
  "void",
  "throw",
  "new",
  "await",
  "else",
]);
const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /\d[\w.]*/y;
const BLANK = /[ \t\r\f\v\ufeff\n]+/y;
const LINE_COMMENT = /\/\/[^\n]*|^#![^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?(?:\*\/|$)/y;
const STRING = /"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?/y;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_PART = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{|$)/y;
// ">" stays alone so that nested type arguments can be matched.
const PUNCTUATOR = /=>|\?\.|\.\.\.|===|!==|==|!=|<=|>=|&&|\|\||\?\?|\+\+|--|[\s\S]/y;

/** Tokens of a whole file, comments included. Never fails: what it does not know is a punctuator. */
export function tokenize(source: string): Token[] {
  return new Tokenizer(source).run();
}

class Tokenizer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  /** Brace depth at which each open template expression began. */
  readonly #templates: number[] = [];
  #depth = 0;
  #at = 0;
  #line = 1;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      if (this.#skipBlank()) continue;
      this.#next();
    }
    return this.#tokens;
  }

  #next(): void {
    const c = this.#source[this.#at];
    if (this.#take(LINE_COMMENT, "comment") || this.#take(BLOCK_COMMENT, "comment")) return;
    if (c === "`" || this.#expressionEnds(c)) {
      this.#template(c ?? "");
      return;
    }
    if (this.#take(STRING, "string") || this.#take(WORD, "word") || this.#take(NUMBER, "number")) return;
    if (c === "/" && this.#regexMayStart() && this.#take(REGEX, "regex")) return;
    if (c === "{") this.#depth++;
    if (c === "}") this.#depth--;
    this.#take(PUNCTUATOR, "punctuator");
  }

  /** True at the brace that ends an expression inside a template; that expression is then closed. */
  #expressionEnds(c: string | undefined): boolean {
    if (c !== "}" || this.#templates.at(-1) !== this.#depth) return false;
    this.#templates.pop();
    return true;
  }

  /** One literal part: from the opening back-quote or the end of an expression to the next expression or the end. */
  #template(opening: string): void {
    TEMPLATE_PART.lastIndex = this.#at + opening.length;
    const text = opening + (TEMPLATE_PART.exec(this.#source)?.[0] ?? "");
    this.#push("template", text);
    if (text.endsWith("${")) this.#templates.push(this.#depth);
  }

  #regexMayStart(): boolean {
    const before = this.#tokens.findLast((token) => token.kind !== "comment");
    if (before === undefined) return true;
    if (before.kind === "word") return BEFORE_REGEX.has(before.text);
    if (before.kind === "template") return before.text.endsWith("${");
    return before.kind === "punctuator" && ![")", "]", "}"].includes(before.text);
  }

  #skipBlank(): boolean {
    BLANK.lastIndex = this.#at;
    const blank = BLANK.exec(this.#source)?.[0];
    if (blank === undefined) return false;
    this.#advance(blank);
    return true;
  }

  #take(pattern: RegExp, kind: Token["kind"]): boolean {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#source)?.[0];
    if (text === undefined || text === "") return false;
    this.#push(kind, text);
    return true;
  }

  #push(kind: Token["kind"], text: string): void {
    const line = this.#line;
    this.#advance(text);
    this.#tokens.push({ kind, text, line, endLine: this.#line });
  }

  #advance(text: string): void {
    this.#at += text.length;
    for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) this.#line++;
  }
}
