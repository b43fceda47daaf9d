/** Tests of DataReader against a plain reference, at every segmentation. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DataReader } from "./data-reader.ts";

interface Outcome {
  readonly content: string;
  readonly rest: string | undefined;
  readonly bareLf: boolean;
}

/** Reads the chunks as a session does: stops at the end of data. */
function read(chunks: readonly Buffer[]): Outcome {
  const reader = new DataReader();
  const out: Buffer[] = [];
  for (const [i, chunk] of chunks.entries()) {
    const used = reader.push(chunk);
    const piece = reader.take();
    if (piece) out.push(piece);
    if (reader.ended) {
      const rest = Buffer.concat([chunk.subarray(used), ...chunks.slice(i + 1)]).toString("latin1");
      return { content: Buffer.concat(out).toString("latin1"), rest, bareLf: reader.bareLf };
    }
  }
  return { content: Buffer.concat(out).toString("latin1"), rest: undefined, bareLf: reader.bareLf };
}

/** The rules, line by line, on a whole text. Only meaningful when the text ends the data. */
function reference(text: string): Outcome | undefined {
  let content = "";
  let bareLf = false;
  let afterCrlf = true;
  let at = 0;
  for (let lf = text.indexOf("\n"); lf >= 0; lf = text.indexOf("\n", at)) {
    const crlf = lf > at && text[lf - 1] === "\r";
    const line = text.slice(at, crlf ? lf - 1 : lf);
    at = lf + 1;
    if (line === "." && crlf && afterCrlf) return { content, rest: text.slice(at), bareLf };
    if (!crlf) bareLf = true;
    content += `${line.startsWith(".") && line !== "." ? line.slice(1) : line}\r\n`;
    afterCrlf = crlf;
  }
  return undefined;
}

const bytes = (text: string) => Buffer.from(text, "latin1");

function cut(text: string, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < text.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    chunks.push(bytes(text.slice(at, at + size)));
    at += size;
  }
  return chunks;
}

const cases = [
  { in: ".\r\nREST", content: "", rest: "REST", why: "empty message" },
  { in: "a\r\n.\r\n", content: "a\r\n", rest: "", why: "plain end" },
  { in: "..a\r\n.b\r\n.\r\n", content: ".a\r\nb\r\n", rest: "", why: "dots are un-stuffed" },
  { in: "a\n.\nb\r\n.\r\n", content: "a\r\n.\r\nb\r\n", rest: "", why: "SMUG-01 LF.LF is content" },
  { in: "a\n.\r\nb\r\n.\r\n", content: "a\r\n.\r\nb\r\n", rest: "", why: "SMUG-02 LF.CRLF is content" },
  { in: "a\r\n.\nb\r\n.\r\n", content: "a\r\n.\r\nb\r\n", rest: "", why: "SMUG-03 CRLF.LF is content" },
  { in: "a\r.\rb\r\n.\r\n", content: "a\r.\rb\r\n", rest: "", why: "SMUG-04 CR.CR is content" },
  { in: "a\r\r\n.\r\r\nb\r\n.\r\n", content: "a\r\r\n\r\r\nb\r\n", rest: "", why: "SMUG-04 doubled CR is no end" },
  { in: "a\r\n.\rb\r\n.\r\n", content: "a\r\n\rb\r\n", rest: "", why: "SMUG-04 CRLF.CR is content" },
  { in: "a\r\n\0.\r\nb\r\n.\r\n", content: "a\r\n\0.\r\nb\r\n", rest: "", why: "SMUG-04 NUL before the dot" },
  { in: "a\r\n.\0\r\nb\r\n.\r\n", content: "a\r\n\0\r\nb\r\n", rest: "", why: "SMUG-04 NUL behind the dot" },
  { in: "a\r\n.\r\nMAIL\r\n.\r\n", content: "a\r\n", rest: "MAIL\r\n.\r\n", why: "PIPE-09 the rest is kept" },
];

for (const c of cases) {
  test(`DataReader ${c.why}`, () => {
    const want = { content: c.content, rest: c.rest };
    for (let size = 1; size <= c.in.length; size++) {
      const got = read(cut(c.in, [size]));
      assert.deepEqual({ content: got.content, rest: got.rest }, want, `chunks of ${size}`);
    }
    for (let at = 1; at < c.in.length; at++) {
      const got = read([bytes(c.in.slice(0, at)), bytes(c.in.slice(at))]);
      assert.deepEqual({ content: got.content, rest: got.rest }, want, `cut at ${at}`);
    }
  });
}

test("DataReader agrees with the reference at any chunking", () => {
  const text = fc
    .array(fc.constantFrom("\r\n", "\n", "\r", ".", "a", "..", "\r\n.", "text", "\0", "\xff"), { maxLength: 40 })
    .map((parts) => `${parts.join("")}\r\n\r\n.\r\nrest`);
  fc.assert(
    fc.property(text, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }), (input, sizes) => {
      assert.deepEqual(read(cut(input, sizes)), reference(input));
    }),
    { numRuns: 2000 },
  );
});

test("DataReader passes a chunk without line trouble through as one slice", () => {
  const reader = new DataReader();
  const chunk = bytes("line one\r\nline two\r\n");
  assert.equal(reader.push(chunk), chunk.length);
  assert.equal(reader.take(), chunk);
});
