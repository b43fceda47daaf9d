/** tables/sql-scanner.ts: follows an SQL template as far as literals, quoted names and comments go, and puts a placeholder
 *  where a key stands. It is no parser: whether the statement means anything is for the server to say. The statement it makes
 *  never depends on a key, so a template that it misreads is an error of the server and never an injection.
 *  PostgreSQL 4.1 "Lexical Structure"; MySQL 11.1 "Literal Values", 11.7 "Comments"; sqlite.org/lang_expr.html. */
import type { TemplatePart } from "./key-expansion.ts";
import { type Escapes, readEscape, STANDARD_STRINGS } from "./sql-escapes.ts";
import { TableError } from "./table.ts";

export interface SqlDialect {
  /** The placeholder of the nth value, from 1: `?`, `$1`. */
  readonly placeholder: (index: number) => string;
  /** MySQL: backslash escapes, `"…"` as a literal, `#` and `-- ` comments. */
  readonly mysqlStrings: boolean;
  /** PostgreSQL: `E'…'`, `$$…$$`, nested comments, `?` as an operator. */
  readonly postgresStrings?: boolean;
}

/** What one placeholder stands for: literal text, and undefined where the next key goes. */
export type Binding = readonly (string | undefined)[];

export interface ScannedSql {
  readonly sql: string;
  readonly bindings: readonly Binding[];
}

/** Words that make a typed literal of the literal behind them, which only literals can have. */
const TYPE_WORD =
  /(?:^|[^\w$.])(?:date|time|timestamp|timestamptz|interval|inet|cidr|macaddr8?|numeric|decimal|integer|int|bigint|smallint|boolean|bool|text|varchar|uuid|bytea|citext|jsonb?|with(?:out)?\s+time\s+zone)\s+$/i;
const MYSQL_TYPE_WORD = /(?:^|[^\w$.])(?:date|time|timestamp|_\w+)\s+$/i;
/** Letters that belong to the literal behind them. */
const PREFIX = /(?:^|[^\w$])(?:[bnx]|u&|_\w+)$/i;
const ESCAPE_PREFIX = /(?:^|[^\w$])e$/i;
const WORD = /[\w$\u0080-\uffff]/;
const DOLLAR_TAG = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/;

/** Throws TableError for a key where no value can be bound, and for a literal or comment without end. */
export function scanSql(parts: readonly TemplatePart[], where: string, dialect: SqlDialect): ScannedSql {
  return new SqlScanner(parts, where, dialect).scan();
}

class SqlScanner {
  /** Characters, and undefined for each key. */
  readonly #units: readonly (string | undefined)[];
  readonly #where: string;
  readonly #dialect: SqlDialect;
  readonly #bindings: Binding[] = [];
  #at = 0;
  #sql = "";
  /** Length of the statement behind the last value, and whether that is a placeholder. */
  #valueEnd = -1;
  #valueBound = false;

  constructor(parts: readonly TemplatePart[], where: string, dialect: SqlDialect) {
    this.#units = parts.flatMap((part) => (part.kind === "key" ? [undefined] : part.text.split("")));
    this.#where = where;
    this.#dialect = dialect;
  }

  scan(): ScannedSql {
    while (this.#at < this.#units.length) this.#next();
    return { sql: this.#sql, bindings: this.#bindings };
  }

  #next(): void {
    const c = this.#units[this.#at];
    if (c === undefined) this.#key();
    else if (c === "'" || (c === '"' && this.#dialect.mysqlStrings)) this.#literal(c);
    else if (c === '"' || (c === "`" && !this.#dialect.postgresStrings)) this.#quotedName(c);
    else if (this.#startsLineComment()) this.#lineComment();
    else if (this.#looksAt("/*")) this.#blockComment();
    else if (c === "$" && this.#dialect.postgresStrings && !this.#behindWord()) this.#dollar();
    else this.#code(c);
  }

  #code(c: string): void {
    if (c === "?" && !this.#dialect.postgresStrings) throw this.#error('"?" cannot stand outside quotes in the query');
    if (this.#valueBound && this.#sql.length === this.#valueEnd && WORD.test(c)) this.#refuseGlued();
    this.#take();
  }

  /** A key outside quotes. */
  #key(): void {
    if (this.#behindWord() || this.#behindValue()) this.#refuseGlued();
    this.#at++;
    this.#bind([undefined]);
  }

  #literal(quote: string): void {
    const before = this.#sql;
    const beside = this.#behindValue();
    const escapes = this.#escapesOf(quote, before);
    const { raw, value } = this.#quoted(quote, escapes);
    const bound = value.includes(undefined);
    if (beside && (bound || this.#valueBound)) {
      throw this.#error("literals side by side cannot hold a key; make one literal of them");
    }
    if (!bound) {
      this.#sql += raw;
      this.#endValue(false);
      return;
    }
    if (escapes.prefix) this.#sql = before.slice(0, -1);
    else this.#checkPrefix(before);
    if (this.#behindWord()) this.#sql += " ";
    this.#bind(value);
  }

  #escapesOf(quote: string, before: string): Escapes {
    if (this.#dialect.mysqlStrings) return { kind: "mysql", prefix: false };
    if (quote === "'" && this.#dialect.postgresStrings && ESCAPE_PREFIX.test(before)) {
      return { kind: "postgres", prefix: true };
    }
    return STANDARD_STRINGS;
  }

  #checkPrefix(before: string): void {
    if (PREFIX.test(before) || ESCAPE_PREFIX.test(before)) {
      throw this.#error("a key cannot stand in a literal with a prefix; write '…'");
    }
    if ((this.#dialect.mysqlStrings ? MYSQL_TYPE_WORD : TYPE_WORD).test(before)) {
      throw this.#error("a key cannot stand in a literal behind the name of its type; write CAST('…' AS type)");
    }
  }

  /** Reads from quote to quote: the text as written, and what it means. */
  #quoted(quote: string, escapes: Escapes): { readonly raw: string; readonly value: Binding } {
    const value: (string | undefined | false)[] = [];
    let raw = quote;
    for (this.#at++; this.#at < this.#units.length; this.#at++) {
      const c = this.#units[this.#at];
      if (c === "\\" && escapes.kind !== "none") {
        const escaped = this.#units[++this.#at];
        if (escaped === undefined) throw this.#error('a backslash stands before "%" or at the end of the query');
        raw += c + escaped;
        value.push(readEscape(escaped, escapes));
      } else if (c === quote && this.#units[this.#at + 1] !== quote) {
        this.#at++;
        return { raw: raw + c, value: this.#meaning(value) };
      } else {
        if (c === quote) this.#at++;
        raw += c === quote ? quote + quote : (c ?? "");
        value.push(c);
      }
    }
    throw this.#error(`the query has no end of ${quote}`);
  }

  /** Escapes that are not understood matter only beside a key. */
  #meaning(value: readonly (string | undefined | false)[]): Binding {
    if (!value.includes(undefined)) return value.map((text) => text || "");
    return value.map((text) => {
      if (text === false) throw this.#error("a literal that holds a key cannot hold a numeric escape");
      return text;
    });
  }

  #quotedName(quote: string): void {
    this.#take();
    while (this.#units[this.#at] !== quote) this.#takePlain(quote);
    this.#take();
  }

  #startsLineComment(): boolean {
    if (!this.#dialect.mysqlStrings) return this.#looksAt("--");
    if (this.#looksAt("#")) return true;
    const third = this.#units[this.#at + 2];
    return this.#looksAt("--") && (this.#at + 2 >= this.#units.length || (third !== undefined && third <= " "));
  }

  #lineComment(): void {
    while (this.#at < this.#units.length && this.#units[this.#at] !== "\n") this.#takePlain("comment");
  }

  #blockComment(): void {
    let depth = 0;
    do {
      if (this.#looksAt("*/")) depth--;
      else if (this.#looksAt("/*") && (depth === 0 || this.#dialect.postgresStrings)) depth++;
      else {
        this.#takePlain("comment");
        continue;
      }
      this.#take();
      this.#take();
    } while (depth > 0);
  }

  /** `$$…$$`, `$tag$…$tag$`; `$1` is ours. */
  #dollar(): void {
    const ahead = this.#units.slice(this.#at, this.#at + 65);
    const end = ahead.indexOf(undefined);
    const text = (end < 0 ? ahead : ahead.slice(0, end)).join("");
    if (/^\$\d/.test(text)) throw this.#error('"$" and a digit cannot stand outside quotes in the query');
    const tag = DOLLAR_TAG.exec(text)?.[0];
    if (tag === undefined) {
      this.#take();
      return;
    }
    for (const _ of tag) this.#take();
    while (!this.#looksAt(tag)) this.#takePlain(tag);
    for (const _ of tag) this.#take();
    this.#endValue(false);
  }

  /** The next unit, which must be a character. */
  #takePlain(inside: string): void {
    if (this.#at >= this.#units.length) throw this.#error(`the query has no end of ${inside}`);
    if (this.#units[this.#at] === undefined) {
      throw this.#error("a key cannot stand in a comment or a quoted name of the query");
    }
    this.#take();
  }

  #take(): void {
    this.#sql += this.#units[this.#at++] ?? "";
  }

  #looksAt(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#units[this.#at + i] !== text[i]) return false;
    return true;
  }

  #behindWord(): boolean {
    return WORD.test(this.#sql.slice(-1));
  }

  /** Only blanks stand between a value and this place. */
  #behindValue(): boolean {
    return this.#valueEnd >= 0 && this.#sql.trimEnd().length <= this.#valueEnd;
  }

  #bind(binding: Binding): void {
    this.#bindings.push(binding);
    this.#sql += this.#dialect.placeholder(this.#bindings.length);
    this.#endValue(true);
  }

  #endValue(bound: boolean): void {
    this.#valueEnd = this.#sql.length;
    this.#valueBound = bound;
  }

  #refuseGlued(): never {
    throw this.#error("a key outside quotes cannot be part of a name or stand beside another value");
  }

  #error(why: string): TableError {
    return new TableError(`${this.#where}: ${why}`);
  }
}
