/** tables/sql-table.ts: what pgsql and mysql tables have in common: the settings that are no matter of the driver, and one
 *  lookup from key to answer. Binding is sql-template.ts, connections are sql-pool.ts. */
import { systemClock } from "../base/clock.ts";
import { admitsKey, joinResults, parseTemplate, type ResultRules } from "./key-expansion.ts";
import type { OpenerContext } from "./opener.ts";
import { compileNameList, type DomainList } from "./pattern-list.ts";
import type { QueryFile } from "./query-file.ts";
import { type SqlConnection, type SqlHost, SqlPool, type SqlRows, StatementError } from "./sql-pool.ts";
import { type Answer, type LookupTable, TableError } from "./table.ts";

/** The half of a table that knows its database. */
export interface SqlClient {
  readonly type: "pgsql" | "mysql";
  readonly hosts: readonly SqlHost[];
  /** What the placeholders stand for; undefined: not found without asking. */
  values(key: string): readonly string[] | undefined;
  ask(connection: SqlConnection, values: readonly string[]): Promise<SqlRows>;
  /** A statement without a result set is an error, not "not found". */
  readonly requireResultSet: boolean;
}

/** Settings of both types, for the warning about mistyped names. */
export const SHARED_SETTINGS: readonly string[] =
  `hosts user password dbname query table select_field where_field additional_conditions result_format domain
   expansion_limit idle_interval retry_interval`.split(/\s+/);

/** The template in `query`, or what the older settings make of it. Throws TableError where they are incomplete. */
export function queryTemplate(file: QueryFile): { readonly text: string; readonly where: string } {
  if (file.has("query")) {
    if (file.text("query") === "") throw file.bad("query", "the query is empty");
    return { text: file.text("query"), where: file.where("query") };
  }
  if (!file.has("table")) throw new TableError(`${file.path}: the setting "query" is missing`);
  const [table, field, key] = [file.required("table"), file.required("select_field"), file.required("where_field")];
  const text = `SELECT ${field} FROM ${table} WHERE ${key} = '%s' ${file.text("additional_conditions")}`;
  return { text: text.trimEnd(), where: file.where("table") };
}

/** Words of `hosts`; "localhost" if there are none. */
export function hostWords(file: QueryFile): readonly string[] {
  const words = file
    .text("hosts")
    .split(/[\s,]+/)
    .filter(Boolean);
  return words.length === 0 ? ["localhost"] : words;
}

/** Throws TableError for bad settings. Nothing is connected before the first get(). */
export function createSqlTable(ref: string, client: SqlClient, of: SqlTableParts): LookupTable {
  const { file, options } = of;
  const domains = domainsOf(ref, file, options);
  const rules = resultRules(file);
  const pool = new SqlPool({
    type: client.type,
    hosts: client.hosts,
    idleMs: file.number("idle_interval", 60, { min: 1 }) * 1000,
    retryMs: file.number("retry_interval", 60, { min: 1 }) * 1000,
    clock: options.clock ?? systemClock,
    warn: (text) => options.log.warning(text),
  });
  const lookup = async (key: string): Promise<Answer> => {
    if (!(await admitsKey(domains, key))) return undefined;
    const values = client.values(key);
    if (!values) return undefined;
    const rows = await pool.run(async (connection) => {
      const found = await client.ask(connection, values);
      if (found || !client.requireResultSet) return found;
      throw new StatementError("the query returned no result set (see require_result_set)", "", undefined);
    });
    return rows && joinResults(rules, rows.flat(), key);
  };
  return {
    ref,
    partialKeys: true,
    async get(key) {
      try {
        return await lookup(key.toLowerCase());
      } catch (cause) {
        if (cause instanceof TableError) throw new TableError(`${ref}: ${cause.message}`, { cause });
        throw cause;
      }
    },
    async close() {
      pool.close();
    },
  };
}

export interface SqlTableParts {
  readonly file: QueryFile;
  readonly options: OpenerContext;
}

/** The list in `domain`, undefined without one. Throws TableError for bad items. */
export function domainsOf(ref: string, file: QueryFile, options: OpenerContext): DomainList | undefined {
  const items = file.list("domain");
  if (items.length === 0) return undefined;
  if (items.some((item) => item.endsWith(ref))) throw file.bad("domain", "a table cannot list its own domains");
  const domains = compileNameList(items, { opener: options.tables });
  if (domains.problems.length > 0) throw file.bad("domain", domains.problems.join("; "));
  return domains;
}

/** `result_format` and `expansion_limit`. Throws TableError. */
export function resultRules(file: QueryFile): ResultRules {
  const format = file.text("result_format", "%s");
  if (format === "") throw file.bad("result_format", "the result format is empty");
  return {
    format: parseTemplate(format, file.where("result_format")),
    limit: file.number("expansion_limit", 0, { min: 0 }),
  };
}
