import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OutgoingLines } from "./outgoing-lines.ts";

function outgoing(chunks: readonly Uint8Array[], limit = 998): string {
  const lines = new OutgoingLines(limit);
  const pieces = chunks.flatMap((chunk) => [...lines.pieces(chunk)]);
  return Buffer.concat([...pieces, lines.end()]).toString("latin1");
}

const CASES = [
  { why: "plain", in: "a\r\nb\r\n", want: "a\r\nb\r\n.\r\n" },
  { why: "empty content is just the end", in: "", want: ".\r\n" },
  { why: "dot at the very beginning", in: ".a\r\n", want: "..a\r\n.\r\n" },
  { why: "a line that is only a dot (DAT-02)", in: "a\r\n.\r\nb\r\n", want: "a\r\n..\r\nb\r\n.\r\n" },
  { why: "two lines of dots in a row", in: ".\r\n..\r\n", want: "..\r\n...\r\n.\r\n" },
  { why: "missing line end is completed", in: "a", want: "a\r\n.\r\n" },
  { why: "bare CR at the end is a line end", in: "a\r", want: "a\r\n.\r\n" },
  { why: "bare LF at the end is a line end", in: "a\n", want: "a\r\n.\r\n" },
  { why: "LF.LF: no smuggling (SMUG-08, SMUG-09)", in: "a\n.\nb\r\n", want: "a\r\n..\r\nb\r\n.\r\n" },
  { why: "CR.CR: no smuggling (SMUG-08)", in: "a\r.\rb\r\n", want: "a . b\r\n.\r\n" },
  { why: "CRLF.CR and CRLF.LF: no smuggling", in: "a\r\n.\rb\r\n.\nc\r\n", want: "a\r\n.. b\r\n..\r\nc\r\n.\r\n" },
  { why: "CRCRLF: one blank, one line end", in: "a\r\r\nb\r\n", want: "a \r\nb\r\n.\r\n" },
  { why: "LFCR: line end, blank", in: "a\n\r.b\r\n", want: "a\r\n .b\r\n.\r\n" },
  { why: "a bare CR makes no header field", in: "Subject: x\rBcc: y\r\n", want: "Subject: x Bcc: y\r\n.\r\n" },
  { why: "a line of just the limit (DAT-07)", in: "12345\r\n", want: "12345\r\n.\r\n" },
  {
    why: "one byte more is broken by CRLF and a blank (DAT-08, LIM-03)",
    in: "123456\r\n",
    want: "12345\r\n 6\r\n.\r\n",
  },
  { why: "the blank counts for the next part", in: "123456789abcd\r\n", want: "12345\r\n 6789\r\n abcd\r\n.\r\n" },
  { why: "a dot behind the break needs no further one", in: "12345.6\r\n", want: "12345\r\n .6\r\n.\r\n" },
  { why: "the dot that is added does not count", in: ".2345\r\n", want: "..2345\r\n.\r\n" },
];
for (const c of CASES) {
  const limit = /^[.1]2/.test(c.in) ? 5 : 998;
  test(`OutgoingLines ${c.why}`, () => {
    assert.equal(outgoing([Buffer.from(c.in, "latin1")], limit), c.want);
    const bytes = Array.from(Buffer.from(c.in, "latin1"), (byte) => Buffer.from([byte]));
    assert.equal(outgoing(bytes, limit), c.want, "one byte at a time");
  });
}

test("OutgoingLines breaks no line where the limit is 0", () => {
  assert.equal(outgoing([Buffer.from(`${"x".repeat(5000)}\r\n`)], 0), `${"x".repeat(5000)}\r\n.\r\n`);
});

test("OutgoingLines takes a limit of 1 for 2: a break must get on", () => {
  assert.equal(outgoing([Buffer.from("abc\r\n")], 1), "ab\r\n c\r\n.\r\n");
});

const cuttings = fc.array(fc.nat(60), { maxLength: 5 });

function cut(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const at = [0, ...cuts.filter((c) => c < bytes.length).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

test("OutgoingLines any chunking gives the same bytes, and un-stuffing gives the content back", () => {
  const content = fc
    .array(fc.constantFrom(".", "\r\n", "a", "..", "\r\n."), { maxLength: 40 })
    .map((words) => `${words.join("")}\r\n`);
  fc.assert(
    fc.property(content, cuttings, (text, cuts) => {
      const bytes = Buffer.from(text);
      const sent = outgoing(cut(bytes, cuts));
      assert.equal(sent, outgoing([bytes]));
      assert.equal(
        sent.indexOf("\r\n.\r\n"),
        sent === ".\r\n" ? -1 : sent.length - 5,
        "the end stands at the end only",
      );
      const lines = sent.slice(0, -3).split("\r\n");
      assert.equal(lines.map((line) => line.replace(/^\./, "")).join("\r\n"), text);
    }),
  );
});

test("OutgoingLines whatever comes in, what goes out is CRLF lines within the limit, with one end (MOD-01, SMUG-08)", () => {
  const content = fc.array(fc.constantFrom(".", "\r", "\n", "\r\n", "abc", "\0"), { maxLength: 60 });
  fc.assert(
    fc.property(content, cuttings, fc.integer({ min: 2, max: 12 }), (words, cuts, limit) => {
      const bytes = Buffer.from(words.join(""));
      const sent = outgoing(cut(bytes, cuts), limit);
      assert.equal(sent, outgoing([bytes], limit));
      assert.doesNotMatch(sent, /\r(?!\n)|(?<!\r)\n/);
      assert.ok(sent.endsWith(".\r\n"));
      const lines = sent.slice(0, -3).split("\r\n").slice(0, -1);
      for (const line of lines) {
        assert.notEqual(line, ".");
        assert.ok(line.replace(/^\./, "").length <= limit, line);
      }
    }),
  );
});
