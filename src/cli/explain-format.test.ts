/** cli/explain-format.test.ts: lines never grow wider than a page, and lose nothing when they are broken. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { wrap } from "./explain-format.ts";

test("wrap() keeps every line within 100 columns and every character in order", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "-", "@"), maxLength: 260 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), fc.nat(60), (words, indent) => {
      const text = words.join(" ");
      const wrapped = wrap(text, " ".repeat(indent), "first: ");
      assert.ok(wrapped.endsWith("\n"));
      for (const line of wrapped.split("\n")) assert.ok(line.length <= 100, line);
      assert.equal(wrapped.replace(/\s/g, ""), `first:${text.replace(/\s/g, "")}`);
    }),
  );
});

test("wrap() breaks at blanks and hangs the rest under the indent", () => {
  const words = Array.from({ length: 12 }, (_, i) => `word-number-${i}`).join(" ");
  assert.deepEqual(wrap(words, "    ", "- ").split("\n"), [
    "- word-number-0 word-number-1 word-number-2 word-number-3 word-number-4 word-number-5 word-number-6",
    "    word-number-7 word-number-8 word-number-9 word-number-10 word-number-11",
    "",
  ]);
});
