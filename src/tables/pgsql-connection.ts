/** tables/pgsql-connection.ts: one host of a pgsql table through the npm package "pg". Statements go by the extended protocol:
 *  text and values apart, one statement at a time. Results are the server's own texts, as libpq hands them to Postfix. */
import type { Client, ClientConfig } from "pg";
import type { PgsqlTarget } from "./pgsql-hosts.ts";
import { CONNECT_MS, type SqlConnection, type SqlHost, type SqlRows, StatementError } from "./sql-pool.ts";
import type { FileSource } from "./table.ts";

type Tls = Exclude<ClientConfig["ssl"], boolean | undefined>;

/** SQLSTATE classes of a server that goes away or is full; everything else is about the statement. */
const HOST_FAILURE = /^(?:08|53|57P)/;

/** Values stay as the server wrote them. */
const AS_TEXT = { getTypeParser: () => (value: string) => value } as unknown as NonNullable<ClientConfig["types"]>;

/** Throws TableError for certificate files that cannot be read. */
export function pgsqlHost(target: PgsqlTarget, files: FileSource): SqlHost {
  const unix = target.host.startsWith("/");
  const ways = unix ? [false as const] : waysOf(target, files);
  let first = 0;
  return {
    name: target.name,
    unix,
    async connect(lost) {
      const way = ways[first] ?? false;
      const other = ways[1 - first];
      try {
        return await connectOnce(target, way, lost);
      } catch (error) {
        if (other === undefined || !mayHelp(error)) throw error;
        const connection = await connectOnce(target, other, lost);
        first = 1 - first; // the server will not change its mind for the next one
        return connection;
      }
    },
  };
}

/** With and without TLS, in the order to try. */
function waysOf(target: PgsqlTarget, files: FileSource): readonly (Tls | false)[] {
  const { sslMode } = target;
  if (sslMode === "disable") return [false];
  const tls = tlsOf(target, files);
  if (sslMode === "allow") return [false, tls];
  return sslMode === "prefer" ? [tls, false] : [tls];
}

/** `verify-…` without sslrootcert, or with "system", trusts the authorities that Node brings along. */
function tlsOf({ sslMode, sslFiles }: PgsqlTarget, files: FileSource): Tls {
  const read = (path: string) => Buffer.from(files.read(path));
  return {
    rejectUnauthorized: sslMode === "verify-ca" || sslMode === "verify-full",
    ...(sslMode === "verify-ca" && { checkServerIdentity: () => undefined }),
    ...(sslFiles.ca && sslFiles.ca !== "system" && { ca: read(sslFiles.ca) }),
    ...(sslFiles.cert && { cert: read(sslFiles.cert) }),
    ...(sslFiles.key && { key: read(sslFiles.key) }),
  };
}

/** The server has no TLS, broke it, or its pg_hba.conf wants the other way. */
function mayHelp(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? String(error.code) : "";
  return code === "28000" || /^(?:EPROTO|ERR_SSL|ERR_TLS)/.test(code) || /\bSSL connections?\b/.test(error.message);
}

async function connectOnce(target: PgsqlTarget, tls: Tls | false, lost: () => void): Promise<SqlConnection> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    user: target.user,
    password: target.password,
    database: target.dbname,
    ssl: tls && { ...tls }, // the driver changes what it gets
    types: AS_TEXT,
    client_encoding: "UTF8",
    application_name: target.applicationName ?? "postern",
    options: target.serverOptions,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  });
  client.on("error", lost);
  client.on("end", lost);
  try {
    await client.connect();
  } catch (error) {
    end(client);
    throw error;
  }
  return { query: (sql, values) => query(client, sql, values), close: () => end(client) };
}

/** What ending brings to light is known already. */
function end(client: Client): void {
  client.end().catch(() => undefined);
}

async function query(client: Client, text: string, values: readonly string[]): Promise<SqlRows> {
  try {
    const statement = { text, values: [...values], rowMode: "array" as const, queryMode: "extended" };
    const { fields, rows } = await client.query<(string | null)[]>(statement);
    return fields.length === 0 ? undefined : rows;
  } catch (error) {
    const code = error instanceof Error && "severity" in error && "code" in error ? String(error.code) : "";
    if (code === "" || HOST_FAILURE.test(code) || !(error instanceof Error)) throw error;
    throw new StatementError(error.message, code, error);
  }
}
