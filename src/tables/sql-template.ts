/** tables/sql-template.ts: a `query` with `%s %u %d …` → an SQL statement with placeholders and the values to bind, so that a
 *  key can never become SQL. A string literal that holds keys (`'%u@%d'`, `'%%.%d'`) becomes one placeholder as a whole; a key
 *  outside quotes becomes one too. Used by sqlite, pgsql and mysql. */
import { expandQuery, parseTemplate } from "./key-expansion.ts";
import { type SqlDialect, scanSql } from "./sql-scanner.ts";

export type { SqlDialect } from "./sql-scanner.ts";

export interface BoundQuery {
  readonly sql: string;
  /** One text for each placeholder; undefined: this key has no such part and is not found without asking. */
  values(key: string): readonly string[] | undefined;
}

/** Throws TableError for a bad template, or for a key where no value can be bound: in an identifier, in a comment. */
export function bindQuery(text: string, where: string, dialect: SqlDialect): BoundQuery {
  const template = parseTemplate(text, where);
  const { sql, bindings } = scanSql(template.parts, where, dialect);
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
