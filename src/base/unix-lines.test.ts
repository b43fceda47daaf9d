import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UnixLines } from "./unix-lines.ts";

function convert(chunks: readonly string[]): string {
  const lines = new UnixLines();
  const pieces = chunks.flatMap((chunk) => lines.push(Buffer.from(chunk, "latin1")));
  return Buffer.concat([...pieces, ...lines.end()]).toString("latin1");
}

const cases = [
  { in: "", want: "", why: "nothing" },
  { in: "a\nb\n", want: "a\r\nb\r\n", why: "LF becomes CRLF" },
  { in: "a\r\nb\r\n", want: "a\r\nb\r\n", why: "CRLF stays" },
  { in: "a\nb", want: "a\r\nb\r\n", why: "the last line gets its end" },
  { in: "a\rb\n", want: "a\rb\r\n", why: "a bare CR is content" },
  { in: "a\r\r\n", want: "a\r\r\n", why: "one CR belongs to the LF" },
  { in: "\n\n", want: "\r\n\r\n", why: "empty lines" },
  { in: "a\r", want: "a\r\r\n", why: "a CR at the end is content" },
  { in: "\r\n", want: "\r\n", why: "CRLF alone" },
];
for (const c of cases) {
  test(`UnixLines ${c.why}: ${JSON.stringify(c.in)}`, () => {
    assert.equal(convert([c.in]), c.want);
    assert.equal(convert([...c.in]), c.want);
  });
}

test("UnixLines gives the same for any chunks, and LF only behind CR", () => {
  const bytes = fc.array(fc.constantFrom("a", "\r", "\n", "\r\n", "\xff"));
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(20)), (parts, cuts) => {
      const text = parts.join("");
      const places = [...new Set(cuts.map((cut) => Math.min(cut, text.length)))].sort((a, b) => a - b);
      const chunks = [0, ...places].map((place, i) => text.slice(place, places[i] ?? text.length));
      const whole = convert([text]);
      assert.equal(convert(chunks), whole);
      assert.doesNotMatch(whole, /(?<!\r)\n/);
      assert.ok(text === "" || whole.endsWith("\r\n"));
    }),
  );
});
