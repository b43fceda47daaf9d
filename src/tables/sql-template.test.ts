/** tables/sql-template.test.ts: keys become bound values, whatever they hold. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bindQuery, type SqlDialect } from "./sql-template.ts";
import { TableError } from "./table.ts";

const LITE: SqlDialect = { placeholder: () => "?", mysqlStrings: false };
const PG: SqlDialect = { placeholder: (n) => `$${n}`, mysqlStrings: false, postgresStrings: true };
const MYSQL: SqlDialect = { placeholder: () => "?", mysqlStrings: true };

const CASES = [
  { q: "SELECT a FROM t WHERE k='%s'", d: PG, sql: "SELECT a FROM t WHERE k=$1", v: ["u@d.tld"], why: "plain" },
  { q: "SELECT a FROM t WHERE k=%s", d: PG, sql: "SELECT a FROM t WHERE k=$1", v: ["u@d.tld"], why: "without quotes" },
  { q: "x = '%u' AND y = '%d'", d: PG, sql: "x = $1 AND y = $2", v: ["u", "d.tld"], why: "two literals" },
  { q: "x = '%u+%d'", d: MYSQL, sql: "x = ?", v: ["u+d.tld"], why: "one literal with two keys" },
  { q: "x LIKE '%%.%2.%1'", d: PG, sql: "x LIKE $1", v: ["%.d.tld"], why: "percent sign and labels" },
  { q: "x LIKE'@%d'", d: PG, sql: "x LIKE $1", v: ["@d.tld"], why: "no blank before the quote" },
  { q: "'%s' LIKE '%%@%d' ESCAPE '\\'", d: PG, sql: "$1 LIKE $2 ESCAPE '\\'", v: ["u@d.tld", "%@d.tld"], why: "LIKE" },
  { q: "x = 'it''s' AND y='%s'", d: PG, sql: "x = 'it''s' AND y=$1", v: ["u@d.tld"], why: "doubled quote elsewhere" },
  { q: "x='a''%s'''", d: PG, sql: "x=$1", v: ["a'u@d.tld'"], why: "doubled quotes beside a key" },
  { q: 'x="a""%s"', d: MYSQL, sql: "x=?", v: ['a"u@d.tld'], why: "doubled quotes of MySQL" },
  { q: "x = 'it\\'s' AND y=\"%s\"", d: MYSQL, sql: "x = 'it\\'s' AND y=?", v: ["u@d.tld"], why: "MySQL strings" },
  { q: "x = 'a\\'%s\\n'", d: MYSQL, sql: "x = ?", v: ["a'u@d.tld\n"], why: "MySQL escapes beside a key" },
  { q: "x LIKE 'a\\_%d\\%%'", d: MYSQL, sql: "x LIKE ?", v: ["a\\_d.tld\\%"], why: "escaped wildcards" },
  { q: "x = 'a\\' AND y='%s'", d: PG, sql: "x = 'a\\' AND y=$1", v: ["u@d.tld"], why: "a backslash escapes nothing" },
  { q: "x=E'it\\'s' AND y='%s'", d: PG, sql: "x=E'it\\'s' AND y=$1", v: ["u@d.tld"], why: "escape literal elsewhere" },
  { q: "x=E'a\\'\\t%s'", d: PG, sql: "x=$1", v: ["a'\tu@d.tld"], why: "escape literal with a key" },
  { q: "x=E'\\x41' AND y='%s'", d: PG, sql: "x=E'\\x41' AND y=$1", v: ["u@d.tld"], why: "numeric escape elsewhere" },
  { q: "x=$q$it's$q$ AND y='%s'", d: PG, sql: "x=$q$it's$q$ AND y=$1", v: ["u@d.tld"], why: "dollar quotes" },
  { q: "x=$$'$$ AND a$1 AND y='%s'", d: PG, sql: "x=$$'$$ AND a$1 AND y=$1", v: ["u@d.tld"], why: "$ in a name" },
  { q: "tags ? '%u'", d: PG, sql: "tags ? $1", v: ["u"], why: "? is an operator of PostgreSQL" },
  { q: "x='a?' AND y='%s'", d: MYSQL, sql: "x='a?' AND y=?", v: ["u@d.tld"], why: "? in a literal of MySQL" },
  { q: "/* '%% */ x='%s'", d: PG, sql: "/* '% */ x=$1", v: ["u@d.tld"], why: "quote in a comment" },
  { q: "/* /* ' */ ' */ x='%s'", d: PG, sql: "/* /* ' */ ' */ x=$1", v: ["u@d.tld"], why: "nested comment" },
  { q: "/*/ ' */ x='%s'", d: MYSQL, sql: "/*/ ' */ x=?", v: ["u@d.tld"], why: "slash behind the start of a comment" },
  { q: "x=1--'%s'", d: MYSQL, sql: "x=1--?", v: ["u@d.tld"], why: "no comment of MySQL" },
  { q: "x='%s' # it's", d: MYSQL, sql: "x=? # it's", v: ["u@d.tld"], why: "comment to the end" },
  { q: "x='%s' -- it's", d: LITE, sql: "x=? -- it's", v: ["u@d.tld"], why: "comment to the end" },
  { q: "x=\"na'me\" AND y='%s'", d: PG, sql: 'x="na\'me" AND y=$1', v: ["u@d.tld"], why: "quoted name" },
  { q: "x=`na'me` AND y='%s'", d: MYSQL, sql: "x=`na'me` AND y=?", v: ["u@d.tld"], why: "quoted name of MySQL" },
  { q: "f('%u', '%d')", d: PG, sql: "f($1, $2)", v: ["u", "d.tld"], why: "function" },
  { q: "CALL f('%s')", d: MYSQL, sql: "CALL f(?)", v: ["u@d.tld"], why: "procedure" },
  { q: "'%s'::inet << n", d: PG, sql: "$1::inet << n", v: ["u@d.tld"], why: "cast" },
  { q: "x='%S%U%D'", d: PG, sql: "x=$1", v: ["u@d.tldud.tld"], why: "upper case in a query" },
  { q: "SELECT 1", d: PG, sql: "SELECT 1", v: [], why: "no key" },
];

for (const c of CASES) {
  test(`bindQuery() ${c.why}: ${c.q}`, () => {
    const bound = bindQuery(c.q, "q.cf", c.d);
    assert.equal(bound.sql, c.sql);
    assert.deepEqual(bound.values("u@d.tld"), c.v);
  });
}

const BAD = [
  { q: "x='%s", d: PG, why: "open literal" },
  { q: "x='%s''", d: PG, why: "literal left open by a doubled quote" },
  { q: 'x="%s"', d: PG, why: "key in a quoted name" },
  { q: "x=`%s`", d: MYSQL, why: "key in a quoted name" },
  { q: "x=1 -- %s", d: PG, why: "key in a comment" },
  { q: "x=1 # %s", d: MYSQL, why: "key in a comment" },
  { q: "/* %s */ x", d: PG, why: "key in a comment" },
  { q: "/* x", d: PG, why: "open comment" },
  { q: "x=$$%s$$", d: PG, why: "key in dollar quotes" },
  { q: "x=$a$b", d: PG, why: "open dollar quotes" },
  { q: "x=B'%s'", d: PG, why: "bit string" },
  { q: "x=U&'%s'", d: PG, why: "unicode literal" },
  { q: "x=N'%s'", d: MYSQL, why: "national literal" },
  { q: "x=_latin1'%s'", d: MYSQL, why: "literal with a character set" },
  { q: "x=_latin1 '%s'", d: MYSQL, why: "literal with a character set" },
  { q: "x=E'\\x41%s'", d: PG, why: "numeric escape beside a key" },
  { q: "x=E'\\%s'", d: PG, why: "backslash before a key" },
  { q: "x='a\\%s'", d: MYSQL, why: "backslash before a key" },
  { q: "n >> inet '%s'", d: PG, why: "typed literal" },
  { q: "x='a' '%s'", d: MYSQL, why: "literals side by side" },
  { q: "x='%s' 'a'", d: MYSQL, why: "literals side by side" },
  { q: "FROM t_%d", d: PG, why: "key in a name" },
  { q: "FROM %1_t", d: PG, why: "key in a name" },
  { q: "x=%u%d", d: PG, why: "keys side by side" },
  { q: "x=$1 OR y='%s'", d: PG, why: "foreign placeholder" },
  { q: "x=? OR y='%s'", d: MYSQL, why: "foreign placeholder" },
  { q: "x=%", d: PG, why: "lonely percent sign" },
  { q: "x=%0", d: PG, why: "no such label" },
  { q: "x=%x", d: PG, why: "no such letter" },
];

for (const c of BAD) {
  test(`bindQuery() refuses ${c.why}: ${c.q}`, () => {
    assert.throws(
      () => bindQuery(c.q, "q.cf, line 3", c.d),
      (error) => error instanceof TableError && error.message.startsWith("q.cf, line 3: "),
    );
  });
}

const HOSTILE = [
  "'",
  "''",
  '"',
  "\\",
  "\\'",
  ";",
  "--",
  "/*",
  "#",
  "%",
  "%s",
  "\0",
  "\r\n",
  "@",
  "x' OR 1=1 --",
  "$1",
  "?",
];

for (const evil of HOSTILE) {
  test(`bindQuery() binds ${JSON.stringify(evil)} as it is`, () => {
    for (const dialect of [PG, MYSQL, LITE]) {
      const bound = bindQuery("k = '<%s>' OR k = '%u'", "q.cf", dialect);
      assert.equal(bound.sql, `k = ${dialect.placeholder(1)} OR k = ${dialect.placeholder(2)}`);
      assert.deepEqual(bound.values(`a${evil}b@d`), [`<a${evil}b@d>`, `a${evil}b@d`.replace(/@[^@]*$/, "")]);
    }
  });
}

const hostile = fc.string({ unit: fc.constantFrom(...HOSTILE, "a", "1", ".", "é") });

test("bindQuery() never lets a key into the statement", () => {
  fc.assert(
    fc.property(hostile, fc.constantFrom(PG, MYSQL, LITE), (key, dialect) => {
      const bound = bindQuery("SELECT v FROM t WHERE k = '%s' OR u = '<%u>'", "q.cf", dialect);
      const before = bound.sql;
      const values = bound.values(key);
      assert.equal(bound.sql, before);
      assert.equal(before, `SELECT v FROM t WHERE k = ${dialect.placeholder(1)} OR u = ${dialect.placeholder(2)}`);
      if (values === undefined) return;
      assert.equal(values[0], key);
      assert.equal(values.length, 2);
    }),
  );
});

test("bindQuery() of any template: refused, or one value for each placeholder and no key in the statement", () => {
  const template = fc.array(
    fc.constantFrom("'", "''", '"', "\\", "E'", "--", "/*", "*/", "$$", "#", "`", "\n", " ", "a", "%s", "%u", "?"),
    { maxLength: 14 },
  );
  fc.assert(
    fc.property(template, hostile, fc.constantFrom(PG, MYSQL, LITE), (words, key, dialect) => {
      const marked = `\u{10ffff}${key}`;
      try {
        const bound = bindQuery(words.join(""), "q.cf", dialect);
        const values = bound.values(marked);
        assert.ok(!bound.sql.includes("\u{10ffff}"));
        const keys = words.filter((word) => /^%/.test(word)).length;
        if (values) assert.equal(values.join("").split("\u{10ffff}").length - 1, keys);
      } catch (error) {
        if (!(error instanceof TableError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
