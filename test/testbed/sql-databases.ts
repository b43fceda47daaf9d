/** testbed/sql-databases.ts: a real PostgreSQL and a real MariaDB behind one interface, and tables that ask them. */
import { Log } from "../../src/log/log.ts";
import { TEST_CERT, TEST_KEY } from "../../src/smtp/testdata/certificate.ts";
import { createTableOpener } from "../../src/tables/open.ts";
import type { LookupTable } from "../../src/tables/table.ts";
import { TestMariadb } from "./mariadb.ts";
import { TestPostgres } from "./postgres.ts";
import { freePort } from "./server.ts";

export const SQL_PASSWORD = "it's $ecret";
export const SCHEMA = [
  "CREATE TABLE aliases (mailbox varchar(200) NOT NULL, goto varchar(200), active int NOT NULL DEFAULT 1, n serial)",
  ...[
    ["one@example.org", "'first'"],
    ["many@example.org", "'b@x.test'"],
    ["many@example.org", "NULL"],
    ["many@example.org", "''"],
    ["many@example.org", "'a@y.test'"],
    ["@example.net", "'catchall'"],
    ["only-null@example.org", "NULL"],
  ].map(([mailbox, goto]) => `INSERT INTO aliases (mailbox, goto) VALUES ('${mailbox}', ${goto})`),
];
const ANSWER = "SELECT goto FROM aliases WHERE mailbox = '%s' ORDER BY n";

/** What the two servers have in common. */
export interface Database {
  readonly type: "pgsql" | "mysql";
  readonly port: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  sql(...statements: readonly string[]): Promise<unknown>;
  /** Ends after that many seconds. */
  sleeping(seconds: number): string;
  /** Connections of the table's user. */
  connections(): Promise<number>;
  /** Word of `hosts` for the socket. */
  readonly socket: string;
  remove(): Promise<void>;
}

async function startPostgres(): Promise<Database> {
  const server = new TestPostgres({
    port: await freePort(),
    tls: { cert: TEST_CERT, key: TEST_KEY },
    hba: "hostnossl mail crypt all reject",
  });
  await server.start();
  for (const user of ["postern", "crypt"])
    await server.sql(`CREATE ROLE ${user} LOGIN PASSWORD '${quoted(SQL_PASSWORD)}'`);
  await server.sql("CREATE DATABASE mail OWNER postern");
  const database = `postgres://postern:${encodeURIComponent(SQL_PASSWORD)}@127.0.0.1:${server.port}/mail`;
  return {
    type: "pgsql",
    port: server.port,
    start: () => server.start(),
    stop: () => server.stop("SIGINT"),
    kill: () => server.stop("SIGQUIT"),
    signal: (signal) => server.signal(signal),
    async sql(...statements) {
      const { default: pg } = await import("pg");
      const client = new pg.Client({ connectionString: database, ssl: false });
      await client.connect();
      try {
        let rows: unknown;
        for (const statement of statements) ({ rows } = await client.query(statement));
        return rows;
      } finally {
        await client.end();
      }
    },
    sleeping: (seconds) => `SELECT goto, pg_sleep(${seconds})::text FROM aliases WHERE mailbox = '%s'`,
    async connections() {
      const [row] = await server.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'postern'");
      return Number(row?.n);
    },
    socket: `unix:${server.directory}:${server.port}`,
    remove: () => server.remove(),
  };
}

async function startMariadb(): Promise<Database> {
  const server = new TestMariadb({ port: await freePort(), tls: { cert: TEST_CERT, key: TEST_KEY } });
  await server.start();
  await server.sql(
    "CREATE DATABASE mail CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    `CREATE USER postern IDENTIFIED BY '${quoted(SQL_PASSWORD)}'`,
    "GRANT ALL ON mail.* TO postern",
    `CREATE USER crypt IDENTIFIED BY '${quoted(SQL_PASSWORD)}' REQUIRE SSL`,
    "GRANT SELECT ON mail.* TO crypt",
  );
  return {
    type: "mysql",
    port: server.port,
    start: () => server.start(),
    stop: () => server.stop("SIGTERM"),
    kill: () => server.stop("SIGKILL"),
    signal: (signal) => server.signal(signal),
    sql: (...statements) => server.sql("USE mail", ...statements),
    sleeping: (seconds) => `SELECT goto, SLEEP(${seconds}) FROM aliases WHERE mailbox = '%s'`,
    async connections() {
      const rows = await server.sql("SELECT count(*) AS n FROM information_schema.processlist WHERE user = 'postern'");
      return Number((rows as { n: number }[])[0]?.n);
    },
    socket: `unix:${server.socket}`,
    remove: () => server.remove(),
  };
}

/** As a literal of both. */
export function quoted(text: string): string {
  return text.replaceAll("'", "''");
}

export const DATABASES = [
  { name: "PostgreSQL", type: "pgsql", start: startPostgres },
  { name: "MariaDB", type: "mysql", start: startMariadb },
] as const;

/** Tables over one database, closed together. */
export class SqlTables {
  readonly #database: Database;
  readonly #opened: LookupTable[] = [];
  readonly warnings: string[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  /** Text of a .cf file: what is given, and the usual settings for the rest. */
  settings(given: Readonly<Record<string, string | number>>): string {
    const hosts = `127.0.0.1:${this.#database.port}`;
    const usual = { hosts, user: "postern", password: SQL_PASSWORD, dbname: "mail", query: ANSWER };
    return Object.entries({ ...usual, ...given })
      .filter(([, value]) => value !== "")
      .map(([name, value]) => `${name} = ${value}\n`)
      .join("");
  }

  open(given: Readonly<Record<string, string | number>> = {}): LookupTable {
    const log = new Log({ sink: ({ text }) => void this.warnings.push(text), now: Date.now, tag: "t", id: 0 });
    const files = new Map([
      ["/t.cf", this.settings(given)],
      ["/ca.pem", TEST_CERT],
    ]);
    const read = (path: string) => Buffer.from(files.get(path) ?? "");
    const ref = `${this.#database.type}:/t.cf`;
    const made = createTableOpener({ files: { read }, log, configDirectory: "/" }).open(ref);
    this.#opened.push(made);
    return made;
  }

  async close(): Promise<void> {
    for (const one of this.#opened.splice(0)) await one.close?.();
  }
}
