import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printableUtf8 } from "./printable.ts";
import { decodeUtf8Address, decodeXtext, encodeUtf8Address, encodeXtext } from "./xtext.ts";

const XTEXT = [
  { in: "QQ314159", want: "QQ314159", why: "plain (DSN-04)" },
  { in: "a+20b", want: "a b", why: "a blank (DSN-04)" },
  { in: "Bob+2BX@Example.ORG", want: "Bob+X@Example.ORG", why: "case is kept (DSN-05)" },
  { in: "a+3Db", want: "a=b", why: "an equals sign, encoded" },
  { in: "", want: undefined, why: "nothing" },
  { in: "a+2", want: undefined, why: "half a character (DSN-04)" },
  { in: "a+3d", want: undefined, why: "lower-case digits are no xtext" },
  { in: "a=b", want: undefined, why: "a bare equals sign (DSN-04)" },
  { in: "a b", want: undefined, why: "a bare blank" },
  { in: "a+0Ab", want: undefined, why: "a line end (SMUG-12)" },
  { in: "a+0D+0Ab", want: undefined, why: "a line end in full (SMUG-12)" },
  { in: "a+00", want: undefined, why: "NUL" },
  { in: "a+7F", want: undefined, why: "DEL" },
  { in: "a+C3+BC", want: undefined, why: "UTF-8 has an encoding of its own" },
  { in: "\u00e9", want: undefined, why: "bare 8-bit" },
];
for (const row of XTEXT) {
  test(`decodeXtext() ${row.why}: ${JSON.stringify(row.in)}`, () => assert.equal(decodeXtext(row.in), row.want));
}

const UTF8 = [
  { in: "us\\x{E9}r@example.org", want: "us\u00e9r@example.org", why: "xtext form (DSN-48)" },
  { in: "us\\x{e9}r@example.org", want: "us\u00e9r@example.org", why: "digits of either case" },
  { in: "us\u00e9r@example.org", want: "us\u00e9r@example.org", why: "unitext form (DSN-48)" },
  { in: "\\x{1F4E7}@x.test", want: "\u{1f4e7}@x.test", why: "beyond the first plane" },
  { in: "a\\x{2B}b\\x{3D}c\\x{5C}d", want: "a+b=c\\d", why: "characters with a meaning" },
  { in: "a+b", want: undefined, why: "a bare plus" },
  { in: "a=b", want: undefined, why: "a bare equals sign" },
  { in: "a\\b", want: undefined, why: "a bare backslash" },
  { in: "a\\x{0A}b", want: undefined, why: "a line end" },
  { in: "a\\x{85}b", want: undefined, why: "a control beyond ASCII" },
  { in: "a\\x{2028}b", want: undefined, why: "a line separator" },
  { in: "a\\x{D800}b", want: undefined, why: "half of a surrogate pair" },
  { in: "a\\x{110000}b", want: undefined, why: "no such character" },
  { in: "a\\x{E}", want: undefined, why: "one digit" },
  { in: "", want: undefined, why: "nothing" },
];
for (const row of UTF8) {
  test(`decodeUtf8Address() ${row.why}: ${JSON.stringify(row.in)}`, () =>
    assert.equal(decodeUtf8Address(row.in), row.want));
}

const printableAscii = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
});

test("encodeXtext() is undone by decodeXtext(), and is xtext for anything", () => {
  fc.assert(fc.property(printableAscii, (text) => assert.equal(decodeXtext(encodeXtext(text)), text)));
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => assert.match(encodeXtext(text), /^[!-*,-<>-~+]*$/)));
  assert.equal(encodeXtext("j\u00fc=+"), "j+C3+BC+3D+2B");
});

const printable = fc
  .string({ unit: "grapheme", minLength: 1 })
  .filter((text) => printableUtf8(text) === text && text.isWellFormed());

test("encodeUtf8Address() is undone by decodeUtf8Address(), and is xtext too", () => {
  fc.assert(
    fc.property(printable, (text) => {
      const encoded = encodeUtf8Address(text);
      assert.match(encoded, /^[!-*,-<>-~]+$/);
      assert.equal(decodeUtf8Address(encoded), text);
    }),
  );
});

test("decoders never throw and never let a control through", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      for (const decoded of [decodeXtext(text), decodeUtf8Address(text)]) {
        assert.doesNotMatch(decoded ?? "", /[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
      }
    }),
  );
});
