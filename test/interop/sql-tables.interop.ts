/** pgsql: and mysql: tables with a real PostgreSQL and a real MariaDB: answers, hostile keys, connections, TLS. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { TableError } from "../../src/tables/table.ts";
import { eventually } from "../testbed/eventually.ts";
import { freePort } from "../testbed/server.ts";
import { DATABASES, type Database, quoted, SCHEMA, SQL_PASSWORD, SqlTables } from "../testbed/sql-databases.ts";

const HOSTILE = [
  "o'brien@example.org",
  "x' OR 'a'='a",
  "x'; DROP TABLE aliases; --",
  '"; DROP TABLE aliases; #',
  "back\\slash@example.org",
  "x\\' OR 1=1 -- ",
  "100%@example.org",
  "a_b;c--d/*e*/@example.org",
  "line\r\nend@example.org",
  "$1 ? %s {0}",
  "käse@exämple.org",
  "🧀@example.org",
];

for (const kind of DATABASES) {
  describe(`a real ${kind.name}`, { concurrency: false, timeout: 240_000 }, () => {
    let database: Database;
    let tables: SqlTables;

    before(async () => {
      database = await kind.start();
      tables = new SqlTables(database);
      await database.sql(...SCHEMA);
    });
    afterEach(() => tables.close());
    after(async () => {
      await database?.remove();
    });

    test("found, not found, several rows and columns, NULL and empty values", async () => {
      const plain = tables.open();
      assert.equal(plain.problem, undefined);
      assert.equal(await plain.get("one@example.org"), "first");
      assert.equal(await plain.get("One@Example.ORG"), "first");
      assert.equal(await plain.get("none@example.org"), undefined);
      assert.equal(await plain.get("only-null@example.org"), undefined);
      assert.equal(await plain.get("many@example.org"), "b@x.test,a@y.test");
      const columns = tables.open({ query: "SELECT goto, mailbox FROM aliases WHERE mailbox = '%s' ORDER BY n" });
      assert.equal(await columns.get("one@example.org"), "first,one@example.org");
    });

    test("result_format, expansion_limit, domain", async () => {
      const formatted = tables.open({ result_format: "smtp:[%d]:%U" });
      assert.equal(await formatted.get("many@example.org"), "smtp:[x.test]:many,smtp:[y.test]:many");
      assert.equal(await formatted.get("one@example.org"), undefined);
      await assert.rejects(
        async () => tables.open({ expansion_limit: 1 }).get("many@example.org"),
        /expansion limit exceeded/,
      );
      assert.equal(await tables.open({ expansion_limit: 2 }).get("many@example.org"), "b@x.test,a@y.test");
      assert.equal(await tables.open({ domain: "other.test" }).get("one@example.org"), undefined);
    });

    const QUERIES = [
      { query: "SELECT goto FROM aliases WHERE mailbox = %s", key: "one@example.org", want: "first", why: "no quotes" },
      {
        query: "SELECT goto FROM aliases WHERE mailbox = '%u@%d'",
        key: "one@example.org",
        want: "first",
        why: "parts",
      },
      {
        query: "SELECT goto FROM aliases WHERE mailbox LIKE '@%d'",
        key: "x@example.net",
        want: "catchall",
        why: "LIKE",
      },
      {
        query: "SELECT goto FROM aliases WHERE mailbox LIKE '%%@%2.%1'",
        key: "x@mail.example.net",
        want: "catchall",
        why: "labels are counted from the right",
      },
      {
        query: "SELECT goto FROM aliases WHERE mailbox LIKE '%%@%2.%1'",
        key: "x@example.net",
        want: "catchall",
        why: "percent sign in LIKE",
      },
      {
        query: "SELECT goto FROM aliases WHERE mailbox = concat('%u', '@', '%d')",
        key: "one@example.org",
        want: "first",
        why: "function that takes any type",
      },
      {
        query: "SELECT 'OK' WHERE lower('%D') IN ('example.org', 'it''s')",
        key: "x@example.org",
        want: "OK",
        why: "IN",
      },
      { query: "SELECT '%s'", key: "x", want: "x", why: "the key itself" },
      { query: "SELECT 1 + 1", key: "x", want: "2", why: "no key at all" },
      { query: "SELECT goto FROM aliases WHERE active = '%s' LIMIT 1", key: "1", want: "first", why: "number column" },
    ];

    for (const c of QUERIES) {
      test(`query: ${c.why}`, async () => assert.equal(await tables.open({ query: c.query }).get(c.key), c.want));
    }

    test("the older settings instead of a query", async () => {
      const older = { query: "", table: "aliases", select_field: "goto", where_field: "mailbox" };
      assert.equal(await tables.open(older).get("one@example.org"), "first");
      const none = tables.open({ ...older, additional_conditions: "AND active = 0" });
      assert.equal(await none.get("one@example.org"), undefined);
    });

    if (kind.type === "pgsql")
      test("select_function, and a statement without a result set", async () => {
        await database.sql(
          "CREATE FUNCTION f(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT goto FROM aliases WHERE mailbox = $1 ORDER BY n'",
        );
        const byFunction = tables.open({ query: "", select_function: "f" });
        assert.equal(await byFunction.get("many@example.org"), "b@x.test,a@y.test");
        assert.equal(await tables.open({ query: "DELETE FROM aliases WHERE mailbox = '%s'" }).get("nobody"), undefined);
      });

    if (kind.type === "mysql")
      test("procedures, and require_result_set", async () => {
        await database.sql(
          "CREATE PROCEDURE p(IN k varchar(200)) SELECT goto FROM aliases WHERE mailbox = k ORDER BY n",
          "CREATE PROCEDURE nothing(IN k varchar(200)) SET @x = k",
          "CREATE PROCEDURE two(IN k varchar(200)) BEGIN SELECT k; SELECT k; END",
        );
        const byProcedure = tables.open({ query: "CALL p('%s')" });
        for (let i = 0; i < 3; i++) assert.equal(await byProcedure.get("many@example.org"), "b@x.test,a@y.test");
        assert.equal(await byProcedure.get("nobody"), undefined);
        await assert.rejects(async () => tables.open({ query: "CALL nothing('%s')" }).get("k"), /no result set/);
        assert.equal(await tables.open({ query: "CALL nothing('%s')", require_result_set: "no" }).get("k"), undefined);
        await assert.rejects(async () => tables.open({ query: "CALL two('%s')" }).get("k"), /multiple result sets/);
      });

    if (kind.type === "mysql")
      test("strings as MySQL writes them", async () => {
        const query = "SELECT goto FROM aliases WHERE mailbox = \"%s\" AND \"it\\'s\" = 'it''s' # it's";
        assert.equal(await tables.open({ query }).get("one@example.org"), "first");
      });

    test("values are the server's texts", async () => {
      const [query, want] =
        database.type === "pgsql"
          ? [
              "SELECT 7, 9007199254740993::bigint, 1.50::numeric, true, '2026-01-02'::date, 'ä'::bytea, ARRAY[1,2]",
              "7,9007199254740993,1.50,t,2026-01-02,\\xc3a4,{1,2}",
            ]
          : [
              "SELECT 7, 9007199254740993, 1.50, true, CAST('2026-01-02' AS date), CAST('ä' AS binary), JSON_ARRAY(1,2)",
              "7,9007199254740993,1.50,1,2026-01-02,ä,[1, 2]",
            ];
      assert.equal(await tables.open({ query }).get("x"), want);
    });

    test("hostile keys are keys: each finds itself and nothing else, and the table stays", async () => {
      const plain = tables.open();
      const like = tables.open({ query: "SELECT goto FROM aliases WHERE mailbox = '%s' OR mailbox = 'x%sx'" });
      for (const key of HOSTILE) {
        assert.equal(await plain.get(key), undefined, JSON.stringify(key));
        assert.equal(await like.get(key), undefined, JSON.stringify(key));
      }
      for (const [i, key] of HOSTILE.entries()) {
        const literal = database.type === "pgsql" ? quoted(key) : quoted(key.replaceAll("\\", "\\\\"));
        await database.sql(`INSERT INTO aliases (mailbox, goto) VALUES ('${literal.toLowerCase()}', 'hostile ${i}')`);
      }
      for (const [i, key] of HOSTILE.entries()) {
        assert.equal(await plain.get(key), `hostile ${i}`, JSON.stringify(key));
        assert.equal(await like.get(key), `hostile ${i}`, JSON.stringify(key));
      }
      assert.equal(await plain.get("one@example.org"), "first");
    });

    test("a NUL never finds another key", async () => {
      for (const key of ["one@example.org\0", "\0", "one\0@example.org"]) {
        const answer = await Promise.resolve(tables.open().get(key)).catch((error: unknown) => error);
        assert.ok(answer === undefined || answer instanceof TableError, JSON.stringify(key));
      }
    });

    test("a statement that the server refuses is a TableError; the host does not rest", async () => {
      await assert.rejects(
        async () => tables.open({ query: "SELECT nothing FROM nowhere WHERE x='%s'" }).get("k"),
        (error) => error instanceof TableError && error.message.includes("nowhere"),
      );
      const [query, bad] =
        database.type === "pgsql"
          ? ["SELECT '%s'::int", "no number"]
          : ["SELECT CASE '%s' WHEN '7' THEN 7 ELSE (SELECT 1 UNION SELECT 2) END", "no number"];
      const picky = tables.open({ query });
      await assert.rejects(async () => picky.get(bad), TableError);
      assert.equal(await picky.get("7"), "7");
    });

    test("a wrong password is a TableError, and no password is said", async () => {
      tables.warnings.length = 0;
      await assert.rejects(
        async () => tables.open({ password: "geheim" }).get("one@example.org"),
        (error) => error instanceof TableError && !error.message.includes("geheim"),
      );
      assert.match(
        tables.warnings.join("\n"),
        new RegExp(`^connect to ${database.type} server 127\\.0\\.0\\.1:\\d+: .*postern`),
      );
      assert.ok(!tables.warnings.join("\n").includes("geheim"));
    });

    test("the socket, several hosts, fall-over", async () => {
      assert.equal(await tables.open({ hosts: database.socket }).get("one@example.org"), "first");
      const dead = await freePort();
      const both = tables.open({ hosts: `inet:127.0.0.1:${dead}, unix:/nowhere/socket 127.0.0.1:${database.port}` });
      for (let i = 0; i < 5; i++) assert.equal(await both.get("one@example.org"), "first");
    });

    test("few connections for many lookups, closed after idle_interval", async () => {
      const busy = tables.open({ idle_interval: 1 });
      const before = await database.connections();
      const answers = await Promise.all(Array.from({ length: 100 }, () => busy.get("one@example.org")));
      assert.ok(answers.every((answer) => answer === "first"));
      const during = (await database.connections()) - before;
      assert.ok(during >= 1 && during <= 4, String(during));
      await eventually(async () => assert.ok((await database.connections()) <= before));
      assert.equal(await busy.get("one@example.org"), "first", "and opened again");
    });

    test("close() ends the connections", async () => {
      await tables.close();
      await eventually(async () => assert.equal(await database.connections(), 0));
    });

    test("TLS", async () => {
      const crypt = { user: "crypt", query: "SELECT 'secure'" };
      if (database.type === "mysql") {
        await assert.rejects(async () => tables.open(crypt).get("k"), TableError, "the server wants TLS");
        assert.equal(await tables.open({ ...crypt, tls_ciphers: "HIGH" }).get("k"), "secure");
        assert.equal(await tables.open({ ...crypt, tls_CAfile: "/ca.pem" }).get("k"), "secure");
        const unnamed = tables.open({ ...crypt, tls_CAfile: "/ca.pem", tls_verify_cert: "yes" });
        await assert.rejects(async () => unnamed.get("k"), /needs host names/);
        return;
      }
      assert.equal(await tables.open(crypt).get("k"), "secure", "sslmode=prefer");
      const uri = (host: string, mode: string) =>
        `postgresql://crypt:${encodeURIComponent(SQL_PASSWORD)}@${host}:${database.port}/mail?sslmode=${mode}`;
      const by = (host: string, mode: string) =>
        tables.open({ hosts: uri(host, mode), query: "SELECT 'secure'", dbname: "" });
      assert.equal(await by("127.0.0.1", "require").get("k"), "secure");
      assert.equal(await by("127.0.0.1", "allow").get("k"), "secure");
      await assert.rejects(async () => by("127.0.0.1", "disable").get("k"), TableError);
      assert.equal(await by("localhost", "verify-full&sslrootcert=/ca.pem").get("k"), "secure");
      assert.equal(await by("127.0.0.1", "verify-ca&sslrootcert=/ca.pem").get("k"), "secure");
      await assert.rejects(async () => by("127.0.0.1", "verify-full&sslrootcert=/ca.pem").get("k"), /altnames/i);
      await assert.rejects(async () => by("localhost", "verify-full").get("k"), /self.signed/i);
    });
  });
}
