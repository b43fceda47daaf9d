/** tables/sqlite.test.ts: sqlite tables over a real database, with keys that try to be SQL. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { Log } from "../log/log.ts";
import { createTableOpener } from "./open.ts";
import { TableError } from "./table.ts";

const directory = mkdtempSync(join(tmpdir(), "sqlite-table-"));
after(() => rmSync(directory, { recursive: true }));
const NASTY = [
  "a'b",
  'a"b',
  "a;b",
  "a--b",
  "a\\b",
  "a%b",
  "a_b",
  "a\0b",
  "a\rb",
  "a\nb",
  "'; DROP TABLE t; --",
  "%s",
  "$1",
  "?",
];

function fill(path: string, value: string): void {
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE t (k TEXT, v, n INTEGER)");
  const insert = database.prepare("INSERT INTO t VALUES (?, ?, ?)");
  insert.run("user@example.org", value, 1);
  insert.run("multi@example.org", "one", 2);
  insert.run("multi@example.org", "two", 3);
  insert.run("null@example.org", null, 4);
  insert.run("big@example.org", 9007199254740993n, 5);
  insert.run("blob@example.org", Buffer.from("bytes"), 6);
  for (const key of NASTY) insert.run(key, `<${key}>`, 7);
  database.close();
}

fill(join(directory, "t.db"), "value");
let count = 0;

function open(settings: string, now = systemClock.monotonic) {
  const path = join(directory, `${count++}.cf`);
  writeFileSync(path, settings.replaceAll("DB", join(directory, "t.db")));
  const warnings: string[] = [];
  const log = new Log({ sink: (record) => void warnings.push(record.text), now: () => 0, tag: "t", id: 1 });
  const files = { read: (name: string) => readFileSync(name) };
  const clock = { ...systemClock, monotonic: now };
  const opener = createTableOpener({ files, log, configDirectory: directory, clock });
  return { opener, table: opener.open(`sqlite:${path}`), warnings };
}

const PLAIN = "dbpath = DB\nquery = SELECT v FROM t WHERE k = '%s'\n";
const LOOKUPS = [
  { cf: PLAIN, key: "User@Example.org", want: "value", why: "keys fold" },
  { cf: PLAIN, key: "nobody@example.org", want: undefined, why: "no row" },
  { cf: PLAIN, key: "multi@example.org", want: "one,two", why: "rows are joined" },
  { cf: PLAIN, key: "null@example.org", want: undefined, why: "NULL is no result" },
  { cf: PLAIN, key: "big@example.org", want: "9007199254740993", why: "whole numbers stay exact" },
  { cf: PLAIN, key: "blob@example.org", want: "bytes", why: "blobs are text" },
  { cf: PLAIN, key: "", want: undefined, why: "empty key" },
  {
    cf: `${PLAIN}result_format = %u=%s`,
    key: "user@example.org",
    want: "value=value",
    why: "%u of a result without @",
  },
  {
    cf: `${PLAIN}result_format = [%S:%U:%D:%2]`,
    key: "user@example.org",
    want: "[user@example.org:user:example.org:example]",
    why: "parts of the key",
  },
  {
    cf: `${PLAIN}result_format = %d`,
    key: "user@example.org",
    want: undefined,
    why: "result without domain is dropped",
  },
  { cf: `${PLAIN}domain = example.org, example.net`, key: "user@example.org", want: "value", why: "listed domain" },
  { cf: `${PLAIN}domain = example.net`, key: "user@example.org", want: undefined, why: "other domain" },
  { cf: `${PLAIN}domain = inline:{example.org=x}`, key: "user@example.org", want: "value", why: "domain in a table" },
  {
    cf: "dbpath = DB\nquery = SELECT v FROM t WHERE k = '%u@%d'",
    key: "user@example.org",
    want: "value",
    why: "one literal of two parts",
  },
  {
    cf: "dbpath = DB\nquery = SELECT v FROM t WHERE k = '%d'",
    key: "user",
    want: undefined,
    why: "no domain, no query",
  },
  { cf: "dbpath = DB\nquery = SELECT v FROM t WHERE n = '%s'", key: "1", want: "value", why: "number column" },
  {
    cf: "dbpath = DB\nquery = SELECT v, n FROM t WHERE k = '%s'",
    key: "user@example.org",
    want: "value,1",
    why: "all columns",
  },
  {
    cf: "dbpath = DB\ntable = t\nselect_field = v\nwhere_field = k",
    key: "user@example.org",
    want: "value",
    why: "settings of Postfix 2.1",
  },
  {
    cf: "dbpath = DB\ntable = t\nselect_field = v\nwhere_field = k\nadditional_conditions = AND n > 5",
    key: "user@example.org",
    want: undefined,
    why: "additional_conditions",
  },
];

for (const c of LOOKUPS) {
  test(`sqlite: ${c.why}`, async () => {
    const { opener, table } = open(c.cf);
    assert.equal(await table.get(c.key), c.want);
    assert.equal(table.probe?.(), undefined);
    await opener.close?.();
  });
}

test("sqlite: no key becomes SQL, and each is found as it is", async () => {
  const { opener, table } = open(PLAIN);
  for (const key of NASTY) assert.equal(table.get(key), key === key.toLowerCase() ? `<${key}>` : undefined);
  for (const key of ["x' OR '1'='1", "x' UNION SELECT v FROM t --", "'||k||'"]) assert.equal(table.get(key), undefined);
  assert.equal(table.get("user@example.org"), "value");
  await opener.close?.();
});

const BROKEN = [
  { cf: "query = SELECT 1", text: '"dbpath" is missing', at: "open" },
  { cf: "dbpath = DB", text: '"query" is missing', at: "open" },
  { cf: "dbpath = DB\nquery SELECT", text: "line 2: missing '='", at: "open" },
  { cf: "dbpath = DB\nquery = SELECT v FROM t WHERE k='%s", text: "query", at: "open" },
  { cf: "dbpath = DB\nquery = SELECT v FROM t WHERE k='%x'", text: "%x", at: "open" },
  {
    cf: "dbpath = DB\nquery = SELECT v FROM t WHERE k='%s'\nexpansion_limit = x",
    text: "line 3: bad numerical",
    at: "open",
  },
  { cf: "dbpath = /nowhere/x.db\nquery = SELECT '%s'", text: "unable to open database file", at: "get" },
  { cf: "dbpath = DB\nquery = SELECT v FROM nothere WHERE k='%s'", text: "no such table", at: "get" },
  { cf: "dbpath = DB\nquery = DELETE FROM t WHERE k='%s'", text: "readonly", at: "run" },
  { cf: `${PLAIN}expansion_limit = 1`, text: "expansion limit", at: "run" },
];

for (const c of BROKEN) {
  test(`sqlite: cannot answer: ${c.cf.replaceAll("\n", " | ")}`, async () => {
    const { opener, table } = open(c.cf);
    assert.equal(table.problem !== undefined, c.at === "open");
    if (c.at === "get") assert.ok(table.probe?.()?.includes(c.text), table.probe?.());
    assert.throws(
      () => table.get("multi@example.org"),
      (error) => error instanceof TableError && error.message.includes(c.text),
    );
    await opener.close?.();
  });
}

test("sqlite: a database that was replaced is opened anew, and a mistyped name is told", async () => {
  let now = 0;
  const { opener, table, warnings } = open(`${PLAIN}qeury = x\n`, () => now);
  assert.match(warnings.join(), /line 3: unknown setting "qeury"/);
  assert.equal(table.get("user@example.org"), "value");
  fill(join(directory, "new.db"), "new value");
  renameSync(join(directory, "new.db"), join(directory, "t.db"));
  now = 20_000;
  assert.equal(table.get("user@example.org"), "new value");
  await opener.close?.();
});
