/** tables/sql-table.test.ts: pgsql: and mysql: tables as far as they go without a server: settings, errors at their line,
 *  keys that are not looked up, a server that is not there. */
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { Log } from "../log/log.ts";
import { createTableOpener } from "./open.ts";
import { PgsqlQuery } from "./pgsql.ts";
import { requirePackage } from "./sql-driver.ts";
import { StatementError } from "./sql-pool.ts";
import { type LookupTable, TableError } from "./table.ts";

/** Nobody listens on port 1 of loopback. */
const NOBODY = "hosts = 127.0.0.1:1\ndbname = d\n";

function open(ref: string, settings: string, parameters: Readonly<Record<string, string>> = {}) {
  const warnings: string[] = [];
  const log = new Log({ sink: ({ text }) => void warnings.push(text), now: () => 0, tag: "t", id: 0 });
  const read = (path: string) => {
    if (path !== "/t.cf") throw new TableError(`open ${path}: No such file or directory`);
    return Buffer.from(settings);
  };
  const parameter = (name: string) => parameters[name] ?? "";
  const opener = createTableOpener({ files: { read }, log, configDirectory: "/", parameter });
  return { table: opener.open(ref), warnings, opener };
}

function problemOf(table: LookupTable): string {
  return table.problem ?? "none";
}

const BOTH = ["pgsql", "mysql"] as const;

const BAD = [
  { in: `${NOBODY}query = SELECT "%s" -- %s\n`, text: /^\/t\.cf, line 3: a key cannot stand in a comment/ },
  { in: `${NOBODY}query = x = '%x'\n`, text: /^\/t\.cf, line 3: invalid template/ },
  { in: `${NOBODY}query =\n`, text: /^\/t\.cf, line 3: the query is empty/ },
  { in: NOBODY, text: /^\/t\.cf: the setting "query" is missing/ },
  { in: `${NOBODY}table = t\n`, text: /the setting "select_field" is missing/ },
  { in: "hosts = h\nquery = x\n", text: /the setting "dbname" is missing/ },
  { in: `${NOBODY}query = x\nresult_format = %z\n`, text: /^\/t\.cf, line 4: invalid template/ },
  { in: `${NOBODY}query = x\nexpansion_limit = -1\n`, text: /^\/t\.cf, line 4: / },
  { in: `${NOBODY}query = x\nidle_interval = 0\n`, text: /^\/t\.cf, line 4: / },
  { in: `${NOBODY}query = x\ndomain = hash:/none\n`, text: /^\/t\.cf, line 4: .*open \/none/ },
  { in: "hosts = h:x\ndbname = d\nquery = x\n", text: /^\/t\.cf, line 1: bad port/ },
];

for (const c of BAD) {
  for (const type of BOTH) {
    test(`${type}: ${c.text}`, async () => {
      const { table } = open(`${type}:/t.cf`, c.in);
      assert.match(problemOf(table), c.text);
      await assert.rejects(async () => table.get("k"), TableError);
    });
  }
}

for (const type of BOTH) {
  test(`${type}: a table cannot list its own domains`, () => {
    const { table } = open(`${type}:/t.cf`, `${NOBODY}query = x\ndomain = proxy:${type}:/t.cf\n`);
    assert.match(problemOf(table), /line 4: a table cannot list its own domains/);
  });

  test(`${type}: a server that is not there is a TableError, and no host is asked for what needs none`, async () => {
    const { table, warnings, opener } = open(
      `${type}:/t.cf`,
      `${NOBODY}query = SELECT a FROM t WHERE u='%u' AND d='%d'\ndomain = example.org\nexpansio_limit = 1\n`,
    );
    assert.equal(table.problem, undefined);
    assert.equal(table.partialKeys, true);
    assert.deepEqual(warnings.splice(0), ['/t.cf, line 5: unknown setting "expansio_limit" is ignored']);
    for (const key of ["user", "@example.org", "u@other.test", "example.org", "u@sub.example.org", ""]) {
      assert.equal(await table.get(key), undefined, key);
    }
    assert.deepEqual(warnings, []);
    await assert.rejects(async () => table.get("U@Example.ORG"), {
      name: "TableError",
      message: new RegExp(`^${type}:/t\\.cf: no host can be asked: 127\\.0\\.0\\.1:1: .*ECONNREFUSED`),
    });
    assert.match(warnings.join(), new RegExp(`^connect to ${type} server 127\\.0\\.0\\.1:1: .*ECONNREFUSED`));
    await opener.close?.();
    await assert.rejects(async () => table.get("u@example.org"), /the table is closed/);
  });

  test(`${type}: settings may stand in main.cf`, async () => {
    const { table } = open(`${type}:users`, "", {
      users_hosts: "127.0.0.1:1",
      users_dbname: "d",
      users_query: "x='%s'",
    });
    await assert.rejects(async () => table.get("k"), /no host can be asked/);
    assert.match(problemOf(open(`${type}:users`, "").table), /main\.cf parameters users_\*/);
  });

  test(`${type}: a server that hangs up is a TableError, and no password is said`, async () => {
    const server = net.createServer((socket) =>
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n").on("error", () => undefined),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = server.address() as net.AddressInfo;
    const settings = `hosts = 127.0.0.1:${port}\ndbname = d\nuser = u\npassword = geheim\nquery = x='%s'\n`;
    const { table, warnings } = open(`${type}:/t.cf`, settings);
    await assert.rejects(async () => table.get("k"), TableError);
    assert.ok(!warnings.join().includes("geheim"));
    await table.close?.();
    server.close();
  });
}

test("pgsql: encoding other than UTF8 is a warning, select_function makes a query", () => {
  const { table, warnings } = open("pgsql:/t.cf", `${NOBODY}select_function = f\nencoding = LATIN1\n`);
  assert.equal(table.problem, undefined);
  assert.deepEqual(warnings, ["/t.cf, line 4: encoding LATIN1 is not supported, UTF8 is used"]);
});

test("pgsql: URIs need no dbname", () => {
  const { table } = open("pgsql:/t.cf", "hosts = postgres://u:p@127.0.0.1:1/d\nquery = x\n");
  assert.equal(table.problem, undefined);
});

test("PgsqlQuery gives placeholders a type that the server finds none for", async () => {
  const query = new PgsqlQuery("SELECT concat('%u','@','%d')", "t.cf");
  const asked: string[] = [];
  const connection = {
    query: async (sql: string) => {
      asked.push(sql);
      const untyped = /\$(\d)(?!::text)/.exec(sql);
      if (untyped)
        throw new StatementError(`could not determine data type of parameter $${untyped[1]}`, "42P18", undefined);
      return [["ok"]];
    },
    close: () => undefined,
  };
  const values = query.values("u@d") ?? [];
  assert.deepEqual(values, ["u", "d"]);
  assert.deepEqual(await query.ask(connection, values), [["ok"]]);
  assert.equal(asked.at(-1), "SELECT concat($1::text,'@',$2::text)");
  await query.ask(connection, values);
  assert.equal(asked.length, 4, "and remembers it");
});

test("PgsqlQuery does not try for ever", async () => {
  const query = new PgsqlQuery("SELECT '%s'", "t.cf");
  const refuse = async () => {
    throw new StatementError("could not determine data type of parameter $1", "42P18", undefined);
  };
  await assert.rejects(query.ask({ query: refuse, close: () => undefined }, ["k"]), StatementError);
});

test("requirePackage() says what to install", () => {
  requirePackage("pg", "pgsql");
  assert.throws(() => requirePackage("no-such-package-here", "pgsql"), {
    name: "TableError",
    message: 'tables of type pgsql need the npm package "no-such-package-here": npm install no-such-package-here',
  });
});
