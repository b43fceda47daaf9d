/** tables/mysql-connection.ts: one host of a mysql table through the npm package "mysql2". Statements are prepared by the
 *  server, so values never meet the text; results are turned back into the texts that Postfix would see. */
import type { Connection, ConnectionOptions, QueryError } from "mysql2";
import type { MysqlTarget } from "./mysql-hosts.ts";
import { CONNECT_MS, type SqlConnection, type SqlHost, type SqlRows, StatementError } from "./sql-pool.ts";

/** ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN, ER_NORMAL_SHUTDOWN, ER_SHUTDOWN_COMPLETE, ER_TOO_MANY_USER_CONNECTIONS,
 *  ER_CONNECTION_KILLED: about the host, not about the statement. */
const HOST_FAILURES: ReadonlySet<number> = new Set([1040, 1053, 1077, 1079, 1203, 1927]);

export function mysqlHost(target: MysqlTarget): SqlHost {
  const options = connectionOptions(target);
  return { name: target.name, unix: "socketPath" in target.at, connect: (lost) => connect(options, lost) };
}

function connectionOptions(target: MysqlTarget): ConnectionOptions {
  return {
    ...target.at,
    user: target.user,
    password: target.password,
    database: target.dbname,
    charset: target.charset,
    ...(target.tls && { ssl: { ...target.tls } }),
    connectTimeout: CONNECT_MS,
    rowsAsArray: true,
    dateStrings: true,
    jsonStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    disableEval: true,
    multipleStatements: false,
    maxPreparedStatements: 10,
    flags: ["-LOCAL_FILES"],
  };
}

async function connect(options: ConnectionOptions, lost: () => void): Promise<SqlConnection> {
  const { default: mysql } = await import("mysql2");
  return new Promise((resolve, reject) => {
    const connection = mysql.createConnection(options);
    connection.on("error", (error) => {
      reject(error); // nothing happens once it was resolved
      connection.destroy();
      lost();
    });
    connection.on("end", lost);
    connection.once("connect", () =>
      resolve({ query: (sql, values) => query(connection, sql, values), close: () => connection.destroy() }),
    );
  });
}

function query(connection: Connection, sql: string, values: readonly string[]): Promise<SqlRows> {
  return new Promise((resolve, reject) => {
    connection.execute({ sql, values: [...values] }, (error, rows, fields) => {
      if (error) return reject(classify(error));
      try {
        resolve(textRows(rows, fields));
      } catch (thrown) {
        reject(thrown);
      }
    });
  });
}

function classify(error: QueryError): Error {
  const { errno, sqlState, fatal } = error as QueryError & { errno?: number; sqlState?: string };
  const host = fatal || errno === undefined || HOST_FAILURES.has(errno) || sqlState?.startsWith("08");
  return host ? error : new StatementError(error.message, sqlState ?? "", error);
}

/** A procedure answers with a list of results, the last of which says only that it is done. */
export function textRows(rows: unknown, fields: unknown): SqlRows {
  if (!Array.isArray(rows)) return undefined;
  const several = Array.isArray(fields) && fields.some((field) => field === undefined || Array.isArray(field));
  if (!several) return rows.map(textRow);
  const results = rows.filter((result) => Array.isArray(result));
  if (results.length > 1) {
    throw new StatementError("multiple result sets returning data are not supported", "", undefined);
  }
  return results[0]?.map(textRow);
}

function textRow(row: unknown): readonly (string | null)[] {
  return Array.isArray(row) ? row.map(textOf) : [];
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (Buffer.isBuffer(value)) return value.toString("utf8");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
