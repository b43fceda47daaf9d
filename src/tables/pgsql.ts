/** tables/pgsql.ts: `pgsql:/path/file.cf`, pgsql_table(5) of Postfix 3.10. Differences: keys are bound values; the driver
 *  speaks UTF-8 only; a statement that the server refuses does not make the host rest. */
import type { Opener } from "./opener.ts";
import { pgsqlHost } from "./pgsql-connection.ts";
import { isPgsqlUri, parsePgsqlHost } from "./pgsql-hosts.ts";
import { openQueryFile, type QueryFile } from "./query-file.ts";
import { requirePackage } from "./sql-driver.ts";
import { type SqlConnection, type SqlRows, StatementError } from "./sql-pool.ts";
import { createSqlTable, hostWords, queryTemplate, SHARED_SETTINGS } from "./sql-table.ts";
import { type BoundQuery, bindQuery, type SqlDialect } from "./sql-template.ts";
import { type FileSource, TableError } from "./table.ts";

const SETTINGS = [...SHARED_SETTINGS, "encoding", "select_function"];

/** SQLSTATE indeterminate_datatype. */
const NO_TYPE = "42P18";

/** Throws TableError for bad settings and for a missing driver. */
export const openPgsql: Opener = (ref, name, options) => {
  requirePackage("pg", "pgsql");
  const file = openQueryFile(name, options);
  const encoding = file.text("encoding", "UTF8");
  const foreign = !/^(?:utf-?8|unicode|sql_ascii)$/i.test(encoding);
  if (foreign) options.log.warning(`${file.where("encoding")}: encoding ${encoding} is not supported, UTF8 is used`);
  for (const warning of file.unknown(SETTINGS)) options.log.warning(warning);
  const { text, where } = pgsqlTemplate(file);
  const query = new PgsqlQuery(text, where);
  const client = {
    type: "pgsql" as const,
    hosts: hostsOf(file, options.files),
    requireResultSet: false,
    values: (key: string) => query.values(key),
    ask: (connection: SqlConnection, values: readonly string[]) => query.ask(connection, values),
  };
  return createSqlTable(ref, client, { file, options });
};

function pgsqlTemplate(file: QueryFile): { readonly text: string; readonly where: string } {
  if (file.has("query") || !file.has("select_function")) return queryTemplate(file);
  return { text: `SELECT ${file.required("select_function")}('%s')`, where: file.where("select_function") };
}

function hostsOf(file: QueryFile, files: FileSource) {
  const words = hostWords(file);
  // Postfix 3.10 asks for it where not all hosts are URIs.
  const dbname = words.every(isPgsqlUri) ? "" : file.required("dbname");
  const login = { user: file.text("user"), password: file.text("password"), dbname };
  return words.map((word) => {
    try {
      return pgsqlHost(parsePgsqlHost(word, login), files);
    } catch (cause) {
      if (cause instanceof TableError) throw file.bad("hosts", cause.message);
      throw cause;
    }
  });
}

/** A query whose placeholders get a type where the server cannot find one: unlike a literal, a placeholder is no text by
 *  itself, as in `concat('%u', '@', '%d')`. Depends on the server's catalogue only, never on a key. */
export class PgsqlQuery {
  readonly #text: string;
  readonly #where: string;
  readonly #casts = new Set<number>();
  #bound: BoundQuery;

  /** Throws TableError for a template that cannot be bound. */
  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
    this.#bound = this.#bind();
  }

  get sql(): string {
    return this.#bound.sql;
  }

  values(key: string): readonly string[] | undefined {
    return this.#bound.values(key);
  }

  /** Rejects as SqlConnection.query(). */
  async ask(connection: SqlConnection, values: readonly string[]): Promise<SqlRows> {
    for (;;) {
      const { sql } = this.#bound;
      try {
        return await connection.query(sql, values);
      } catch (error) {
        if (!(error instanceof StatementError) || error.code !== NO_TYPE) throw error;
        const index = Number(/\$(\d+)/.exec(error.message)?.[1] ?? 0);
        // Another lookup may have learnt the same meanwhile.
        if (sql === this.#bound.sql && !this.#learn(index)) throw error;
      }
    }
  }

  #learn(index: number): boolean {
    if (index === 0 || this.#casts.has(index)) return false;
    this.#casts.add(index);
    this.#bound = this.#bind();
    return true;
  }

  #bind(): BoundQuery {
    const dialect: SqlDialect = {
      placeholder: (n) => (this.#casts.has(n) ? `$${n}::text` : `$${n}`),
      mysqlStrings: false,
      postgresStrings: true,
    };
    return bindQuery(this.#text, this.#where, dialect);
  }
}
