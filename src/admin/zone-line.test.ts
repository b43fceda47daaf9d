import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { zoneRecord, zoneText } from "./zone-line.ts";

test("zoneRecord() ends the name with a dot", () => {
  assert.equal(zoneRecord("example.org", "MX", "10 mail.example.org."), "example.org. IN MX 10 mail.example.org.");
});

const TEXTS = [
  { in: "v=spf1 -all", want: 'a. IN TXT "v=spf1 -all"', why: "one string" },
  { in: "", want: 'a. IN TXT ""', why: "an empty one" },
  { in: 'a"b\\c', want: 'a. IN TXT "a\\"b\\\\c"', why: "quotes" },
  { in: "ü", want: 'a. IN TXT "\\195\\188"', why: "octets that are no ASCII" },
  { in: "x".repeat(255), want: `a. IN TXT "${"x".repeat(255)}"`, why: "just one string" },
  { in: "x".repeat(256), want: `a. IN TXT ( "${"x".repeat(255)}" "x" )`, why: "two" },
];
for (const c of TEXTS) test(`zoneText() ${c.why}`, () => assert.equal(zoneText("a", c.in), c.want));

/** As a name server reads it. */
function readStrings(line: string): readonly Buffer[] {
  return [...line.matchAll(/"((?:[^"\\]|\\\d{3}|\\.)*)"/g)].map(([, inner = ""]) =>
    Buffer.from(
      inner.replace(/\\(\d{3}|.)/g, (_all, code: string) =>
        code.length === 3 ? String.fromCharCode(Number(code)) : code,
      ),
      "latin1",
    ),
  );
}

test("zoneText() can be read back, in strings of at most 255 octets", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 800 }), (text) => {
      const strings = readStrings(zoneText("a", text).slice("a. IN TXT ".length));
      assert.ok(strings.every(({ length }) => length <= 255));
      assert.equal(Buffer.concat([...strings]).toString("utf8"), Buffer.from(text).toString("utf8"));
    }),
  );
});
