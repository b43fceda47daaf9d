import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkReader } from "./chunk-reader.ts";

function read(text: string, size = text.length || 1): { readonly out: string; readonly bareLf: boolean } {
  const reader = new ChunkReader();
  const bytes = Buffer.from(text, "latin1");
  const pieces: (Buffer | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(reader.push(bytes.subarray(at, at + size)));
  pieces.push(reader.end());
  return { out: pieces.map((piece) => piece?.toString("latin1") ?? "").join(""), bareLf: reader.bareLf };
}

const CASES = [
  { text: "", out: "", bareLf: false, why: "nothing is nothing" },
  { text: "a\r\nb\r\n", out: "a\r\nb\r\n", bareLf: false, why: "whole lines pass as they are" },
  { text: "a", out: "a\r\n", bareLf: false, why: "a last line without end gets one (BDAT-12)" },
  { text: "a\r", out: "a\r\r\n", bareLf: false, why: "a CR at the end is content" },
  { text: "a\nb", out: "a\r\nb\r\n", bareLf: true, why: "a bare LF becomes CRLF, and is told" },
  { text: "\n\n", out: "\r\n\r\n", bareLf: true, why: "LFs side by side" },
  { text: "\r\n\n", out: "\r\n\r\n", bareLf: true, why: "the second LF has no CR of its own" },
  { text: "\r\r\n", out: "\r\r\n", bareLf: false, why: "a CR in front of CRLF is content" },
  { text: "a\rb\r\n", out: "a\rb\r\n", bareLf: false, why: "a bare CR is content" },
  { text: ".\r\n..\r\n", out: ".\r\n..\r\n", bareLf: false, why: "dots mean nothing (BDAT-11)" },
  { text: "\0\xff", out: "\0\xff\r\n", bareLf: false, why: "any byte" },
];

for (const { text, out, bareLf, why } of CASES) {
  test(`ChunkReader ${JSON.stringify(text)}: ${why}`, () => {
    assert.deepEqual(read(text), { out, bareLf });
    assert.deepEqual(read(text, 1), { out, bareLf }, "one byte at a time");
  });
}

test("property: segmentation does not matter, the result has only whole lines, and CRLF text is left alone", () => {
  const part = fc.constantFrom("a", "b.", "\r", "\n", "\r\n", "\0");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (parts, size) => {
      const text = parts.join("");
      const whole = read(text);
      assert.deepEqual(read(text, size), whole);
      assert.doesNotMatch(whole.out, /(?<!\r)\n/);
      assert.ok(whole.out === "" || whole.out.endsWith("\r\n"));
      if (!whole.bareLf && /(?:^|\r\n)$/.test(text)) assert.equal(whole.out, text);
    }),
  );
});
