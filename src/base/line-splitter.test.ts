/** Tests of LineSplitter: bounds, line ends, and independence of the segmentation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineSplitter } from "./line-splitter.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

function split(chunks: readonly string[], limit = 20): (string | boolean)[][] {
  const splitter = new LineSplitter(limit);
  const lines: (string | boolean)[][] = [];
  for (const chunk of chunks) {
    splitter.push(bytes(chunk));
    for (let line = splitter.next(); line; line = splitter.next()) {
      lines.push([line.text, line.bareLf, line.truncated]);
    }
  }
  return lines;
}

const cases = [
  {
    in: "a\r\nb\r\n",
    want: [
      ["a", false, false],
      ["b", false, false],
    ],
    why: "CRLF",
  },
  {
    in: "a\nb\r\n",
    want: [
      ["a", true, false],
      ["b", false, false],
    ],
    why: "bare LF ends a line and is told",
  },
  {
    in: "\n\r\n",
    want: [
      ["", true, false],
      ["", false, false],
    ],
    why: "empty lines",
  },
  { in: "a\r\r\n", want: [["a", false, false]], why: "all CRs before the LF go" },
  { in: "a\rb\r\n", want: [["a\rb", false, false]], why: "CR in mid-line stays" },
  { in: "\0\xff\r\n", want: [["\0\xff", false, false]], why: "bytes are kept" },
  { in: `${"x".repeat(20)}\r\n`, want: [["x".repeat(20), false, false]], why: "exactly the limit" },
  {
    in: `${"x".repeat(21)}\r\nb\n`,
    want: [
      ["x".repeat(20), false, true],
      ["b", true, false],
    ],
    why: "above the limit",
  },
  { in: "half", want: [], why: "no end, no line" },
];

for (const c of cases) {
  test(`LineSplitter ${c.why}`, () => {
    assert.deepEqual(split([c.in]), c.want);
    assert.deepEqual(split([...c.in]), c.want, "one byte at a time");
  });
}

test("LineSplitter gives the same lines at any chunking", () => {
  const text = fc.array(fc.constantFrom("\r\n", "\n", "\r", "a", "bcdefgh"), { maxLength: 30 }).map((p) => p.join(""));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 8 }), (input, size) => {
      const chunks = input.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      assert.deepEqual(split(chunks, 1000), split([input], 1000));
    }),
  );
});

test("LineSplitter takes and gives back raw bytes between lines", () => {
  const splitter = new LineSplitter(20);
  splitter.push(bytes("DATA\r\nbody"));
  splitter.push(bytes("more"));
  assert.equal(splitter.next()?.text, "DATA");
  assert.equal(splitter.unreadBytes, 8);
  assert.equal(splitter.takeChunk()?.toString(), "body");
  const last = splitter.takeChunk();
  assert.equal(last?.toString(), "more");
  splitter.putBack(bytes("re"));
  splitter.push(bytes("st\r\n"));
  assert.equal(splitter.next()?.text, "rest");
  assert.equal(splitter.pending, false);
  assert.equal(splitter.takeChunk(), undefined);
});
