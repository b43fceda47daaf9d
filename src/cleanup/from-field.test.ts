import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import { findAddresses } from "../mail/header-address.ts";
import { fromValue } from "./from-field.ts";

const STANDARD = { format: "standard", charset: "utf-8" } as const;
const OBSOLETE = { format: "obsolete", charset: "" } as const;
const al = asAddress("al@example.com");

const cases = [
  { name: "root", want: "root <al@example.com>", why: "a plain name, as Postfix 3.7 writes it" },
  { name: undefined, want: "al@example.com", why: "no name" },
  { name: " \n", want: "al@example.com", why: "a name of blanks is none" },
  { name: "Full, Name", want: '"Full, Name" <al@example.com>', why: "a comma would part two addresses" },
  { name: 'X "Y" (c)', want: '"X \\"Y\\" (c)" <al@example.com>', why: "quotes are escaped" },
  { name: "Eve\r\nBcc: all@example.com", want: '"Eve Bcc: all@example.com" <al@example.com>', why: "no second line" },
  { name: "Jörg", want: "=?utf-8?B?SsO2cmc=?= <al@example.com>", why: "beyond ASCII: an encoded word" },
  { name: "Jörg", format: { ...STANDARD, charset: "" }, want: "Jörg <al@example.com>", why: "encoding switched off" },
  { name: "A (b)", format: OBSOLETE, want: "al@example.com (A \\(b\\))", why: "the old form, parentheses escaped" },
];
for (const { name, format, want, why } of cases) {
  test(`fromValue() ${why}`, () => assert.equal(fromValue(al, name, format ?? STANDARD), want));
}

test("fromValue() keeps encoded words below 75 characters, with whole characters in each", () => {
  const value = fromValue(al, "ü€𝄞".repeat(30), STANDARD);
  const words = value.replace(" <al@example.com>", "").split("\r\n ");
  assert.ok(words.length > 3);
  for (const word of words) assert.ok(word.length <= 75);
  const text = words.map((word) => Buffer.from(word.slice(10, -2), "base64").toString("utf8")).join("");
  assert.equal(text, "ü€𝄞".repeat(30));
});

test("fromValue() names one address, the sender's, whatever the name is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.constantFrom("standard", "obsolete"), (name, format) => {
      const value = fromValue(al, name, { format, charset: "utf-8" });
      assert.deepEqual(
        findAddresses(value).map(({ address }) => address),
        ["al@example.com"],
      );
      assert.doesNotMatch(value, /[\r\n](?! )|\n(?<!\r\n)/);
    }),
  );
});
