import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkReader, OctetReader } from "./chunk-reader.ts";

interface Read {
  readonly out: string;
  readonly bareLf: boolean;
}

function read(text: string, size = text.length || 1, reader: ChunkReader | OctetReader = new ChunkReader()): Read {
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

const BINARY = [
  { text: "", out: "", bareLf: false, why: "nothing" },
  { text: "A: b\r\n\r\n\0\n\r", out: "A: b\r\n\r\n\0\n\r", bareLf: false, why: "the body stays" },
  { text: "A: b\nC: d\r\n\r\n\n", out: "A: b\r\nC: d\r\n\r\n\n", bareLf: true, why: "a field hides in no other" },
  { text: "A: b\n\n\n", out: "A: b\r\n\r\n\n", bareLf: true, why: "an empty line ends the header, however it ends" },
  { text: "\r\n\n", out: "\r\n\n", bareLf: false, why: "no header" },
  {
    text: "A: b\r\r\n\r\r\nC: d\ne",
    out: "A: b\r\r\n\r\r\nC: d\r\ne",
    bareLf: true,
    why: "a line of a CR is not empty",
  },
  { text: "A: b", out: "A: b", bareLf: false, why: "no line end is added" },
];

for (const { text, out, bareLf, why } of BINARY) {
  test(`BDAT-09: OctetReader ${JSON.stringify(text)}: ${why}`, () => {
    assert.deepEqual(read(text, undefined, new OctetReader()), { out, bareLf });
    assert.deepEqual(read(text, 1, new OctetReader()), { out, bareLf }, "one byte at a time");
  });
}

test("property: OctetReader: segmentation does not matter, and no bare LF is in the header", () => {
  const part = fc.constantFrom("a", "b:", "\r", "\n", "\r\n", "\0");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (parts, size) => {
      const text = parts.join("");
      const whole = read(text, undefined, new OctetReader());
      assert.deepEqual(read(text, size, new OctetReader()), whole);
      const end = /(?:^|\r\n)\r\n/.exec(whole.out);
      assert.doesNotMatch(end ? whole.out.slice(0, end.index) : whole.out, /(?<!\r)\n/);
      if (!whole.bareLf) assert.equal(whole.out, text);
    }),
  );
});

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
