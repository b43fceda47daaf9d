/** tables/posix-syntax.test.ts: POSIX patterns as RE2 reads them. The same patterns are put to glibc by
 *  test/interop/tables.interop.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { posixToRe2 } from "./posix-syntax.ts";
import { TableError } from "./table.ts";

function convert(pattern: string, basic = false) {
  const warnings: string[] = [];
  return { text: posixToRe2(pattern, { basic, warn: (why) => warnings.push(why) }), warnings };
}

const EXTENDED = [
  { in: "^a.b$", want: "^a.b$", why: "the same in both" },
  { in: "a+?", want: "(?:a+)?", why: "lazy for RE2, two quantifiers for POSIX" },
  { in: "a**", want: "(?:a*)*", why: "refused by RE2" },
  { in: "x(ab)+*", want: "x(?:(ab)+)*", why: "a whole group" },
  { in: "[ab]{2}{3}", want: "(?:[ab]{2}){3}", why: "counts" },
  { in: "a{,2}", want: "a{0,2}", why: "no lower bound" },
  { in: "a)", want: "a\\)", why: "a parenthesis that closes nothing" },
  { in: "[\\.]", want: "[\\\\.]", why: "no escapes in brackets" },
  { in: "[]a]", want: "[\\]a]", why: "a bracket first is itself" },
  { in: "[^]a]", want: "[^\\]a]", why: "the same, negated" },
  { in: "[[:alpha:]_[]", want: "[[:alpha:]_\\[]", why: "class name and bare bracket" },
  { in: "[[.-.]]", want: "[\\-]", why: "collating symbol" },
  { in: "\\<ab\\>", want: "\\bab\\b", why: "word boundaries beside letters" },
  { in: "\\<[ab]", want: "\\b(?=\\w)[ab]", why: "a boundary that RE2 has not" },
  { in: "\\`a\\'", want: "\\Aa\\z", why: "start and end of the key" },
  { in: "(a)\\1", want: "(a)\\1", why: "back-reference" },
  { in: "a\\/b\\.", want: "a\\/b\\.", why: "escaped punctuation" },
  { in: "", want: "", why: "empty" },
];

for (const c of EXTENDED) test(`posixToRe2() ${c.why}: ${c.in}`, () => assert.equal(convert(c.in).text, c.want));

const BASIC = [
  { in: "a(b)+", want: "a\\(b\\)\\+", why: "bare characters" },
  { in: "\\(a\\|b\\)\\{2\\}\\?", want: undefined, why: "two quantifiers" },
  { in: "\\(a\\|b\\)\\{2\\}", want: "(a|b){2}", why: "operators" },
  { in: "*a", want: "\\*a", why: "a star first is itself" },
  { in: "\\(*a\\)", want: "(\\*a)", why: "a star first in a group" },
  { in: "(*a", want: "\\(*a", why: "a parenthesis that is itself may repeat" },
  { in: "[(]", want: "[(]", why: "brackets stay" },
  { in: "a\\)", want: undefined, why: "closes nothing" },
];

for (const c of BASIC) {
  test(`posixToRe2() basic, ${c.why}: ${c.in}`, () => {
    if (c.want === undefined) assert.throws(() => convert(c.in, true), TableError);
    else assert.equal(convert(c.in, true).text, c.want);
  });
}

const REFUSED = [
  { in: "*a", text: "Invalid preceding regular expression" },
  { in: "(*a)", text: "Invalid preceding regular expression" },
  { in: "(?i)a", text: "Invalid preceding regular expression" },
  { in: "a|+b", text: "Invalid preceding regular expression" },
  { in: "a{x", text: "Unmatched \\{" },
  { in: "(a", text: "Unmatched ( or \\(" },
  { in: "[a", text: "Unmatched [, [^, [:, [., or [=" },
  { in: "a\\", text: "Trailing backslash" },
  { in: "\\1(a)", text: "Invalid back reference" },
];

for (const c of REFUSED) {
  test(`posixToRe2() refuses ${c.in}`, () =>
    assert.throws(() => convert(c.in), { name: "TableError", message: c.text }));
}

test("posixToRe2() warns of escapes that mean nothing in POSIX", () => {
  assert.deepEqual(convert("\\d+"), {
    text: "d+",
    warnings: ['"\\d" is undefined in a POSIX regular expression and taken for "d"'],
  });
});

test("posixToRe2() of anything: TableError or a pattern for RE2, unless it needs back-tracking", () => {
  const piece = fc.constantFrom(
    ..."ab.*+?|()^$[]{}\\",
    "\\(",
    "\\)",
    "[^a]",
    "[[:digit:]]",
    "{1,2}",
    "\\<",
    "\\>",
    "\\w",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, basic) => {
      let text: string;
      try {
        text = convert(pieces.join(""), basic).text;
      } catch (error) {
        assert.ok(error instanceof TableError, String(error));
        return;
      }
      // Ranges such as [b-a] are left for RE2 to refuse; there are none here.
      if (!text.includes("(?=") && !text.includes("(?<=")) RE2JS.compile(text);
    }),
    { numRuns: 500 },
  );
});
