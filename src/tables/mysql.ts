/** tables/mysql.ts: `mysql:/path/file.cf`, mysql_table(5) of Postfix 3.10. Differences: keys are bound values of a prepared
 *  statement; the system's my.cnf is not read; a statement that the server refuses does not make the host rest. */
import { mysqlHost } from "./mysql-connection.ts";
import { mysqlTargets } from "./mysql-hosts.ts";
import type { Opener } from "./opener.ts";
import { openQueryFile } from "./query-file.ts";
import { requirePackage } from "./sql-driver.ts";
import type { SqlConnection } from "./sql-pool.ts";
import { createSqlTable, queryTemplate, SHARED_SETTINGS } from "./sql-table.ts";
import { bindQuery, type SqlDialect } from "./sql-template.ts";

const SETTINGS = [
  ...SHARED_SETTINGS,
  ..."charset option_file option_group require_result_set tls_cert_file tls_key_file tls_CAfile".split(" "),
  ..."tls_CApath tls_ciphers tls_verify_cert".split(" "),
];

const DIALECT: SqlDialect = { placeholder: () => "?", mysqlStrings: true };

/** Throws TableError for bad settings and for a missing driver. */
export const openMysql: Opener = (ref, name, options) => {
  requirePackage("mysql2", "mysql");
  const file = openQueryFile(name, options);
  for (const warning of file.unknown(SETTINGS)) options.log.warning(warning);
  const { text, where } = queryTemplate(file);
  const bound = bindQuery(text, where, DIALECT);
  const client = {
    type: "mysql" as const,
    hosts: mysqlTargets(file, options.files).map(mysqlHost),
    requireResultSet: file.bool("require_result_set", true),
    values: (key: string) => bound.values(key),
    ask: (connection: SqlConnection, values: readonly string[]) => connection.query(bound.sql, values),
  };
  return createSqlTable(ref, client, { file, options });
};
