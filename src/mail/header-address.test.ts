import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { findAddresses, parseAddressList } from "./header-address.ts";

const FIELDS = [
  { in: "a@b.test", want: ["a@b.test"], why: "an address alone" },
  { in: " Ann <a@b.test>, c@d.test", want: ["a@b.test", "c@d.test"], why: "a display name; a list" },
  { in: '"Last, First" <a@b.test>', want: ["a@b.test"], why: "a comma in quotes" },
  { in: "a@b.test (Ann, (the) Boss)", want: ["a@b.test"], why: "a nested comment (MSG-08)" },
  {
    in: "team: a@b.test,\r\n c@d.test;, e@f.test",
    want: ["a@b.test", "c@d.test", "e@f.test"],
    why: "a group; folding",
  },
  { in: "undisclosed-recipients:;", want: [], why: "an empty group" },
  { in: "=?utf-8?q?Ann?= <a@b.test>", want: ["a@b.test"], why: "an encoded word" },
  { in: "=?utf-8?q?Ann?=", want: [], why: "an encoded word without address" },
  { in: "ann", want: ["ann"], why: "no domain" },
  { in: "Ann Lee", want: [], why: "a name only" },
  { in: "<>", want: [], why: "the null address" },
  { in: '"two words"@b.test', want: ["two words@b.test"], why: "a quoted local part, unquoted inside" },
  { in: "a @ b . test", want: ["a@b.test"], why: "blanks around the marks (MSG-08)" },
  { in: "<@r.test:a@b.test>", want: ["@r.test:a@b.test"], why: "a source route, for rewriting to cut (MSG-08)" },
  { in: "a@[192.0.2.1]", want: ["a@[192.0.2.1]"], why: "an address literal" },
  { in: "J\xf6rg <a@b.test>", want: ["a@b.test"], why: "bytes beyond ASCII" },
  { in: '"open <a@b.test>', want: ["open <a@b.test>"], why: "an open quotation mark takes the rest as a local part" },
  { in: "Ann <a@b.test", want: [], why: "an open bracket" },
  { in: '"a\r\nBcc: x"@b.test', want: [], why: "a line end in quotes" },
];
for (const c of FIELDS) {
  test(`findAddresses() ${c.why}: ${JSON.stringify(c.in)}`, () => {
    assert.deepEqual(
      findAddresses(c.in).map(({ address }) => address),
      c.want,
    );
  });
}

const VALUES = [
  { in: "a@b.test, c@d.test", want: ["a@b.test", "c@d.test"], why: "commas" },
  { in: "a c@d.test\te", want: ["a", "c@d.test", "e"], why: "blanks" },
  { in: '"two words"@b.test', want: ["two words@b.test"], why: "a blank in quotes" },
  { in: "Ann <a@b.test>", want: ["a@b.test"], why: "a display name" },
  { in: ",", want: [], why: "nothing" },
];
for (const c of VALUES) {
  test(`parseAddressList() ${c.why}: ${JSON.stringify(c.in)}`, () => assert.deepEqual(parseAddressList(c.in), c.want));
}

test("findAddresses() takes anything; spans are in order and apart", () => {
  const pieces = fc.constantFrom(
    "<",
    ">",
    ",",
    ";",
    ":",
    "@",
    ".",
    '"',
    "\\",
    "(",
    ")",
    "[",
    "]",
    " ",
    "\r\n ",
    "a",
    "\xfc",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(pieces).map((all) => all.join("")),
  );
  fc.assert(
    fc.property(text, (value) => {
      let end = 0;
      for (const span of findAddresses(value)) {
        assert.ok(span.start >= end && span.end > span.start && span.end <= value.length);
        end = span.end;
      }
    }),
  );
});
