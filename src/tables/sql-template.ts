/** tables/sql-template.ts: a `query` with `%s %u %d …` → an SQL statement with placeholders and the values to bind, so that a
 *  key can never become SQL. A string literal that holds keys (`'%u@%d'`, `'%%.%d'`) becomes one placeholder as a whole; a key
 *  outside quotes becomes one too. Used by sqlite, pgsql and mysql. */
import { expandQuery, parseTemplate, type TemplatePart } from "./key-expansion.ts";
import { TableError } from "./table.ts";

export interface SqlDialect {
  /** The placeholder of the nth value, from 1: `?`, `$1`. */
  readonly placeholder: (index: number) => string;
  /** `\'` within a literal, and `"…"` as a literal: MySQL. */
  readonly mysqlStrings: boolean;
}

export interface BoundQuery {
  readonly sql: string;
  /** One text for each placeholder; undefined: this key has no such part and is not found without asking. */
  values(key: string): readonly string[] | undefined;
}

/** Throws TableError for a bad template, or for a key where no value can be bound: in an identifier, in a comment. */
export function bindQuery(text: string, where: string, dialect: SqlDialect): BoundQuery {
  const template = parseTemplate(text, where);
  const scanner = new SqlScanner(where, dialect);
  for (const part of template.parts) scanner.add(part);
  const { sql, bindings } = scanner.end();
  return {
    sql,
    values(key) {
      // The expansion has one piece for each part of the template.
      const pieces = expandQuery(template, key);
      if (!pieces) return undefined;
      const keys = pieces.filter((_, i) => template.parts[i]?.kind === "key");
      let next = 0;
      return bindings.map((binding) =>
        binding.map((piece) => (piece === undefined ? (keys[next++]?.text ?? "") : piece)).join(""),
      );
    },
  };
}

/** What one placeholder stands for: literal text, and undefined where the next key goes. */
type Binding = readonly (string | undefined)[];

type Quote = "'" | '"' | "`" | "--" | "/*";

/** Follows the statement character by character, as far as quotes and comments go. */
class SqlScanner {
  readonly #where: string;
  readonly #dialect: SqlDialect;
  readonly #bindings: Binding[] = [];
  #sql = "";
  #quote: Quote | undefined;
  /** The text since the opening quote, as written and as meant. */
  #raw = "";
  #literal: (string | undefined)[] = [];
  #escaped = false;
  /** Length of the statement behind the last literal, and behind the last one that became a placeholder. */
  #literalEnd = -1;
  #boundEnd = -1;

  constructor(where: string, dialect: SqlDialect) {
    this.#where = where;
    this.#dialect = dialect;
  }

  add(part: TemplatePart): void {
    if (part.kind === "key") this.#addKey();
    else for (const c of part.text) this.#addChar(c);
  }

  /** Throws TableError for a literal that stays open. */
  end(): { readonly sql: string; readonly bindings: readonly Binding[] } {
    if (this.#quote !== undefined && this.#quote !== "--") throw this.#error(`the query has no end of ${this.#quote}`);
    this.#sql += this.#raw;
    return { sql: this.#sql, bindings: this.#bindings };
  }

  #addKey(): void {
    if (this.#quote === undefined) {
      this.#sql += this.#bind([undefined]);
    } else if (this.#isLiteral(this.#quote)) {
      if (this.#escaped) throw this.#error('a backslash stands before "%" in the query');
      this.#literal.push(undefined);
    } else {
      throw this.#error("a key cannot stand in a comment or a quoted name of the query");
    }
  }

  #addChar(c: string): void {
    if (this.#quote === undefined) this.#outside(c);
    else if (this.#quote === "--" || this.#quote === "/*") this.#inComment(c);
    else this.#inQuotes(c, this.#quote);
  }

  #outside(c: string): void {
    const two = this.#sql.slice(-1) + c;
    if (two === "--" || two === "/*") this.#open(two, c);
    else if (c === "'" || c === '"' || c === "`") this.#open(c, c);
    else this.#sql += c;
  }

  #open(quote: Quote, raw: string): void {
    this.#quote = quote;
    this.#raw = raw;
    this.#literal = [];
    this.#escaped = false;
  }

  #inComment(c: string): void {
    this.#raw += c;
    if (this.#quote === "--" ? c === "\n" : this.#raw.endsWith("*/")) this.#close();
  }

  #inQuotes(c: string, quote: Quote): void {
    this.#raw += c;
    if (this.#escaped) {
      this.#literal.push(unescapeMysql(c));
      this.#escaped = false;
    } else if (c === "\\" && this.#dialect.mysqlStrings && quote !== "`") this.#escaped = true;
    else if (c === quote) this.#close();
    else this.#literal.push(c);
  }

  #close(): void {
    const bound = this.#literal.includes(undefined);
    // '' within a literal is two literals side by side to this scanner.
    if (this.#sql.length === this.#literalEnd && (bound || this.#boundEnd === this.#literalEnd)) {
      throw this.#error("a literal that holds a key cannot hold a doubled quote");
    }
    if (bound && /(?:^|[^\w$])(?:[EeNnXxBb]|[Uu]&)$/.test(this.#sql)) {
      throw this.#error("a key cannot stand in a literal with a prefix letter; write '…'");
    }
    this.#sql += bound ? this.#bind(this.#literal) : this.#raw;
    if (this.#quote === "'" || this.#quote === '"') this.#literalEnd = this.#sql.length;
    if (bound) this.#boundEnd = this.#sql.length;
    this.#quote = undefined;
    this.#raw = "";
  }

  #isLiteral(quote: Quote): boolean {
    return quote === "'" || (quote === '"' && this.#dialect.mysqlStrings);
  }

  #bind(binding: Binding): string {
    this.#bindings.push(binding);
    return this.#dialect.placeholder(this.#bindings.length);
  }

  #error(why: string): TableError {
    return new TableError(`${this.#where}: ${why}`);
  }
}

const MYSQL_ESCAPES = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["0", "\0"],
  ["b", "\b"],
  ["Z", "\x1a"],
]);

function unescapeMysql(c: string): string {
  // \% and \_ keep their backslash: they are for LIKE.
  return c === "%" || c === "_" ? `\\${c}` : (MYSQL_ESCAPES.get(c) ?? c);
}
