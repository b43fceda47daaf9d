import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DotStuffing } from "./dot-stuffing.ts";

function stuffed(chunks: readonly Uint8Array[]): string {
  const stuffing = new DotStuffing();
  const pieces = chunks.flatMap((chunk) => [...stuffing.stuff(chunk)]);
  return Buffer.concat([...pieces, stuffing.end()]).toString("latin1");
}

const CASES = [
  { why: "plain", in: "a\r\nb\r\n", want: "a\r\nb\r\n.\r\n" },
  { why: "empty content is just the end", in: "", want: ".\r\n" },
  { why: "dot at the very beginning", in: ".a\r\n", want: "..a\r\n.\r\n" },
  { why: "a line that is only a dot", in: "a\r\n.\r\nb\r\n", want: "a\r\n..\r\nb\r\n.\r\n" },
  { why: "two lines of dots in a row", in: ".\r\n..\r\n", want: "..\r\n...\r\n.\r\n" },
  { why: "missing line end is completed", in: "a", want: "a\r\n.\r\n" },
  { why: "bare CR at the end is no line end", in: "a\r", want: "a\r\r\n.\r\n" },
  { why: "bare LF at the end is no line end", in: "a\n", want: "a\n\r\n.\r\n" },
  { why: "bare LF before a dot counts as line start: no smuggling", in: "a\n.\nb\r\n", want: "a\n..\nb\r\n.\r\n" },
];
for (const c of CASES) {
  test(`DotStuffing ${c.why}`, () => {
    assert.equal(stuffed([Buffer.from(c.in, "latin1")]), c.want);
    const bytes = Array.from(Buffer.from(c.in, "latin1"), (byte) => Buffer.from([byte]));
    assert.equal(stuffed(bytes), c.want, "one byte at a time");
  });
}

test("DotStuffing any chunking gives the same bytes, and un-stuffing gives the content back", () => {
  const content = fc
    .array(fc.constantFrom(".", "\r\n", "a", "..", "\r\n."), { maxLength: 40 })
    .map((words) => `${words.join("")}\r\n`);
  fc.assert(
    fc.property(content, fc.array(fc.nat(60), { maxLength: 5 }), (text, cuts) => {
      const bytes = Buffer.from(text);
      const at = [0, ...cuts.filter((c) => c < bytes.length).sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const sent = stuffed(chunks);
      assert.equal(sent, stuffed([bytes]));
      assert.equal(sent.indexOf("\r\n.\r\n"), sent.length - 5, "the end of data stands at the end only");
      const lines = sent.slice(0, -3).split("\r\n");
      assert.equal(lines.map((line) => line.replace(/^\./, "")).join("\r\n"), text);
    }),
  );
});
