/** tables/sqlite.ts: `sqlite:/path/file.cf` (sqlite_table(5)): `dbpath`, `query`, `result_format`, `domain`,
 *  `expansion_limit`. The database is opened read-only at the first lookup; keys are bound, never part of the SQL. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Clock, systemClock } from "../base/clock.ts";
import { admitsKey, joinResults, type ResultRules } from "./key-expansion.ts";
import type { OpenerContext } from "./opener.ts";
import type { DomainList } from "./pattern-list.ts";
import { openQueryFile } from "./query-file.ts";
import { domainsOf, queryTemplate, resultRules } from "./sql-table.ts";
import { type BoundQuery, bindQuery } from "./sql-template.ts";
import { type Answer, type LookupTable, TableError } from "./table.ts";

/** How long a lookup waits for a writer. It blocks the worker, so it is short. */
const BUSY_MS = 100;
/** A database that was replaced by another file is noticed after this time. */
const REOPEN_MS = 10_000;
const MAX_ROWS = 10_000;

const SETTINGS = `dbpath query result_format domain expansion_limit select_field table where_field
  additional_conditions`.split(/\s+/);

/** Throws TableError for bad settings. */
export function openSqlite(ref: string, name: string, context: OpenerContext): LookupTable {
  const file = openQueryFile(name, context);
  for (const warning of file.unknown(SETTINGS)) context.log.warning(warning);
  const { text, where } = queryTemplate(file);
  return new SqliteTable(ref, {
    path: file.required("dbpath"),
    query: bindQuery(text, where, SQLITE),
    results: resultRules(file),
    domains: domainsOf(ref, file, context),
    clock: context.clock ?? systemClock,
  });
}

interface SqliteSource {
  readonly path: string;
  readonly query: BoundQuery;
  readonly results: ResultRules;
  readonly domains: DomainList | undefined;
  readonly clock: Clock;
}

class SqliteTable implements LookupTable {
  readonly ref: string;
  readonly partialKeys = true;
  readonly #source: SqliteSource;
  #open: { readonly database: DatabaseSync; readonly statement: StatementSync; readonly since: number } | undefined;

  constructor(ref: string, source: SqliteSource) {
    this.ref = ref;
    this.#source = source;
  }

  get(key: string): Answer | Promise<Answer> {
    const folded = key.toLowerCase();
    const admitted = admitsKey(this.#source.domains, folded);
    if (admitted instanceof Promise) return admitted.then((yes) => (yes ? this.#lookUp(folded) : undefined));
    return admitted ? this.#lookUp(folded) : undefined;
  }

  /** What a lookup would fail with, without doing one. */
  probe(): string | undefined {
    try {
      this.#statement();
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async close(): Promise<void> {
    this.#shut();
  }

  #lookUp(key: string): Answer {
    const values = this.#source.query.values(key);
    if (!values) return undefined;
    try {
      return joinResults(this.#source.results, cells(this.#statement().iterate(...values)), key);
    } catch (cause) {
      this.#shut();
      if (cause instanceof TableError) throw cause;
      throw this.#error(cause);
    }
  }

  #statement(): StatementSync {
    const now = this.#source.clock.monotonic();
    if (this.#open && now - this.#open.since < REOPEN_MS) return this.#open.statement;
    this.#shut();
    try {
      const database = new DatabaseSync(this.#source.path, { readOnly: true, timeout: BUSY_MS });
      this.#open = { database, statement: prepare(database, this.#source.query.sql), since: now };
      return this.#open.statement;
    } catch (cause) {
      throw this.#error(cause);
    }
  }

  #shut(): void {
    this.#open?.database.close();
    this.#open = undefined;
  }

  #error(cause: unknown): TableError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new TableError(`${this.ref}: ${this.#source.path}: ${why}`, { cause });
  }
}

function prepare(database: DatabaseSync, sql: string): StatementSync {
  try {
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    return statement;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Every column of every row as text; NULL is no result. Throws TableError beyond MAX_ROWS. */
function* cells(rows: Iterable<Record<string, unknown>>): Generator<string | undefined> {
  let count = 0;
  for (const row of rows) {
    if (++count > MAX_ROWS) throw new TableError(`the query gives more than ${MAX_ROWS} rows`);
    for (const value of Object.values(row)) {
      if (value instanceof Uint8Array) yield Buffer.from(value).toString("utf8");
      else yield value === null ? undefined : String(value);
    }
  }
}

const SQLITE = { placeholder: () => "?", mysqlStrings: false };
