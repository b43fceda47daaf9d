import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FilterParser } from "ldapts";
import { escapeFilterValue, escapeNameValue, normalizeFilter } from "./ldap-escape.ts";
import { TableError } from "./table.ts";

const FILTERS: { in: string; want: string | RegExp; why: string }[] = [
  { in: "(mail=%s)", want: "(mail=%s)", why: "as it is" },
  { in: " (& (a=b)  (| (c=d) (e=f) ) ) ", want: "(&(a=b)(|(c=d)(e=f)))", why: "blanks between parts" },
  { in: "(! (a=b))", want: "(!(a=b))", why: "blank behind !" },
  { in: "(cn=a  b )", want: "(cn=a  b )", why: "blanks inside a value stay" },
  { in: "(cn=\\2a\\28)", want: "(cn=\\2a\\28)", why: "ASCII escapes stay" },
  { in: "(cn=zw\\c3\\b6lf\\2a)", want: "(cn=zwölf\\2a)", why: "escaped UTF-8 becomes characters" },
  { in: "(cn=\\c3)", want: /no UTF-8/, why: "half a character" },
  { in: "(cn=\\zz)", want: /two hexadecimal digits/, why: "bad escape" },
  { in: "mail=%s", want: "mail=%s", why: "no parentheses: the driver adds them" },
];
for (const c of FILTERS) {
  test(`normalizeFilter() ${c.why}: ${c.in}`, () => {
    if (typeof c.want === "string") assert.equal(normalizeFilter(c.in, "x"), c.want);
    else
      assert.throws(
        () => normalizeFilter(c.in, "x"),
        (e: unknown) => e instanceof TableError && (c.want as RegExp).test(e.message),
      );
  });
}

const anything = () =>
  fc.string({
    unit: fc.oneof(
      fc.constantFrom(..."*()\\&|!=<>~:, \0\r\n"),
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    ),
  });

test("escapeFilterValue(): the driver reads one comparison with the whole value, whatever it is", () => {
  fc.assert(
    fc.property(anything(), (value) => {
      const filter = FilterParser.parseString(`(&(a=b)(mail=${escapeFilterValue(value)})(c=d))`);
      const { filters } = filter as unknown as { filters: { attribute: string; value: string }[] };
      assert.deepEqual(
        filters.map(({ attribute, value }) => [attribute, value]),
        [
          ["a", "b"],
          ["mail", value],
          ["c", "d"],
        ],
      );
    }),
    { numRuns: 1000 },
  );
});

test("escapeNameValue(): no separator, quote, blank or control character is left bare, and nothing is lost", () => {
  fc.assert(
    fc.property(anything(), (value) => {
      const escaped = escapeNameValue(value);
      assert.doesNotMatch(escaped.replace(/\\[0-9a-f]{2}/g, ""), /[\x00-\x1f\x7f "#+,;<=>\\]/);
      const back = escaped.replace(/\\([0-9a-f]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      assert.equal(back, value);
    }),
    { numRuns: 1000 },
  );
});
