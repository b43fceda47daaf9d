/** Lines as commands want them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineRewriter, type LineRules } from "./line-rewriter.ts";

const PLAIN: LineRules = { eol: "\n", stuffDots: false, quoteFrom: false };

function rewritten(text: string, rules: LineRules, sizes: () => number = () => 1000): string {
  const rewriter = new LineRewriter(rules);
  const bytes = Buffer.from(text, "latin1");
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = sizes();
    out.push(Buffer.from(rewriter.convert(bytes.subarray(at, at + size))));
    at += size;
  }
  out.push(rewriter.end());
  return Buffer.concat(out).toString("latin1");
}

const ALL: LineRules = { eol: "\n", stuffDots: true, quoteFrom: true };
const CASES = [
  { in: "a\r\nb\r\n", rules: PLAIN, want: "a\nb\n", why: "LF" },
  { in: "a\r\n\r\n", rules: { ...PLAIN, eol: "\r\n" }, want: "a\r\n\r\n", why: "CRLF" },
  { in: "a\r\n", rules: { ...PLAIN, eol: "" }, want: "a", why: "no line end" },
  {
    in: "a\r\nb\r\n",
    rules: { ...PLAIN, eol: "<end of line>" },
    want: "a<end of line>b<end of line>",
    why: "a long one",
  },
  { in: "a\rb\r\r\n", rules: PLAIN, want: "a\rb\r\n", why: "a CR that is none" },
  { in: ".\r\n..a\r\nb.\r\n", rules: ALL, want: "..\n...a\nb.\n", why: "dots" },
  { in: ".a\r\n", rules: PLAIN, want: ".a\n", why: "dots left alone" },
  { in: "From a\r\nFrom\r\nFroma\r\n From x\r\n", rules: ALL, want: ">From a\nFrom\nFroma\n From x\n", why: "From_" },
  { in: "From a\r\n", rules: PLAIN, want: "From a\n", why: "From_ left alone" },
  { in: "Fro", rules: ALL, want: "Fro", why: "what is held at the end" },
  { in: "From \r", rules: ALL, want: ">From \r", why: "a CR at the end" },
  { in: "\r", rules: ALL, want: "\r", why: "nothing but a CR" },
  { in: "FrFrom \r\n", rules: ALL, want: "FrFrom \n", why: "only at the beginning" },
];
for (const c of CASES) {
  test(`LineRewriter ${c.why}: ${JSON.stringify(c.in)}`, () => {
    assert.equal(rewritten(c.in, c.rules), c.want);
    assert.equal(
      rewritten(c.in, c.rules, () => 1),
      c.want,
      "one byte at a time",
    );
  });
}

test("LineRewriter gives the same for any chunks", () => {
  const text = fc.string({ unit: fc.constantFrom("\r\n", "\r", "\n", ".", "From ", "F", "r", "x"), maxLength: 40 });
  const rules = fc.record({ eol: fc.constantFrom("\n", "\r\n", ""), stuffDots: fc.boolean(), quoteFrom: fc.boolean() });
  fc.assert(
    fc.property(text, rules, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (message, how, sizes) => {
      const lines = message.split("\r\n").map((line) => {
        if (how.quoteFrom && line.startsWith("From ")) return `>${line}`;
        return how.stuffDots && line.startsWith(".") ? `.${line}` : line;
      });
      assert.equal(
        rewritten(message, how, () => sizes.next().value ?? 1),
        lines.join(how.eol),
      );
    }),
  );
});
