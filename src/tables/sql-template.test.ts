/** tables/sql-template.test.ts: keys become bound values, whatever they hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bindQuery, type SqlDialect } from "./sql-template.ts";
import { TableError } from "./table.ts";

const PG: SqlDialect = { placeholder: (n) => `$${n}`, mysqlStrings: false };
const MYSQL: SqlDialect = { placeholder: () => "?", mysqlStrings: true };

const CASES = [
  { q: "SELECT a FROM t WHERE k='%s'", d: PG, sql: "SELECT a FROM t WHERE k=$1", v: ["u@d.tld"], why: "plain" },
  { q: "SELECT a FROM t WHERE k=%s", d: PG, sql: "SELECT a FROM t WHERE k=$1", v: ["u@d.tld"], why: "without quotes" },
  { q: "x = '%u' AND y = '%d'", d: PG, sql: "x = $1 AND y = $2", v: ["u", "d.tld"], why: "two literals" },
  { q: "x = '%u+%d'", d: MYSQL, sql: "x = ?", v: ["u+d.tld"], why: "one literal with two keys" },
  { q: "x LIKE '%%.%2.%1'", d: PG, sql: "x LIKE $1", v: ["%.d.tld"], why: "percent sign and labels" },
  { q: "x = 'it''s' AND y='%s'", d: PG, sql: "x = 'it''s' AND y=$1", v: ["u@d.tld"], why: "doubled quote elsewhere" },
  { q: "x = 'it\\'s' AND y=\"%s\"", d: MYSQL, sql: "x = 'it\\'s' AND y=?", v: ["u@d.tld"], why: "MySQL strings" },
  { q: "x = 'a\\'%s\\n'", d: MYSQL, sql: "x = ?", v: ["a'u@d.tld\n"], why: "MySQL escapes beside a key" },
  { q: "/* '%% */ x='%s'", d: PG, sql: "/* '% */ x=$1", v: ["u@d.tld"], why: "quote in a comment" },
  { q: "x=\"na'me\" AND y='%s'", d: PG, sql: 'x="na\'me" AND y=$1', v: ["u@d.tld"], why: "quoted name" },
  { q: "f('%u', '%d')", d: PG, sql: "f($1, $2)", v: ["u", "d.tld"], why: "function" },
  {
    q: "x in ('%S','%U','%D')",
    d: PG,
    sql: "x in ($1,$2,$3)",
    v: ["u@d.tld", "u", "d.tld"],
    why: "upper case in a query",
  },
];

for (const c of CASES) {
  test(`bindQuery() ${c.why}: ${c.q}`, () => {
    const bound = bindQuery(c.q, "q.cf", c.d);
    assert.equal(bound.sql, c.sql);
    assert.deepEqual(bound.values("u@d.tld"), c.v);
  });
}

const BAD = [
  { q: "x='%s", why: "open literal" },
  { q: 'x="%s"', why: "key in a quoted name" },
  { q: "x=1 -- %s", why: "key in a comment" },
  { q: "/* %s */ x", why: "key in a comment" },
  { q: "x=E'%s'", why: "escape literal" },
  { q: "x='a''%s'", why: "doubled quote beside a key" },
  { q: "x='%s''a%s'", why: "doubled quote behind a key" },
  { q: "x=%", why: "lonely percent sign" },
  { q: "x=%0", why: "no such label" },
  { q: "x=%x", why: "no such letter" },
];

for (const c of BAD) {
  test(`bindQuery() refuses ${c.why}: ${c.q}`, () => assert.throws(() => bindQuery(c.q, "q.cf", PG), TableError));
}

test("bindQuery() never lets a key into the statement", () => {
  const nasty = fc.string({
    unit: fc.constantFrom("'", '"', "\\", ";", "-", "%", "\0", "\r", "\n", "@", "a", "?", "$", "1"),
  });
  fc.assert(
    fc.property(nasty, fc.constantFrom(PG, MYSQL), (key, dialect) => {
      const bound = bindQuery("SELECT v FROM t WHERE k = '%s' OR u = '<%u>'", "q.cf", dialect);
      const values = bound.values(key);
      if (values === undefined) return;
      assert.equal(values[0], key);
      assert.equal(values.length, 2);
    }),
  );
});
