/** Tests of config/logical-lines.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { lineAt, readLogicalLines } from "./logical-lines.ts";

const cases = [
  { in: "a = 1\nb = 2\n", want: ["a = 1", "b = 2"], why: "one line each" },
  { in: "a = 1\n  2\n\t3\n", want: ["a = 1  2\t3"], why: "white space continues and is kept" },
  { in: "a = 1\n# c\n\n   \n  2", want: ["a = 1  2"], why: "comments and blank lines end nothing" },
  { in: "a = 1\n  # c\n  2", want: ["a = 1  2"], why: "an indented comment is a comment" },
  { in: "a = 1 # c", want: ["a = 1 # c"], why: "there are no inline comments" },
  { in: "# only\n\n", want: [], why: "nothing" },
  { in: "", want: [], why: "an empty file" },
  { in: "a = 1\r\n  2\r\n", want: ["a = 1\r  2\r"], why: "CR is white space" },
];
for (const c of cases) {
  test(`readLogicalLines() ${c.why}`, () => {
    const { lines, problems } = readLogicalLines(c.in, "f");
    assert.deepEqual(
      lines.map(({ text }) => text),
      c.want,
    );
    assert.deepEqual(problems, []);
  });
}

test("readLogicalLines() skips a first line that starts with white space, continuation included", () => {
  const { lines, problems } = readLogicalLines("# c\n  abc = 1\n  2\nb = 3\n", "f");
  assert.deepEqual(
    lines.map(({ text, line }) => [text, line]),
    [["b = 3", 4]],
  );
  assert.deepEqual(
    problems.map(({ at, text }) => [at?.line, text]),
    [[2, 'logical line must not start with whitespace: "  abc = 1  2..."']],
  );
});

test("readLogicalLines() warns of NUL and of text that is not UTF-8", () => {
  const bytes = Uint8Array.from([0x61, 0x3d, 0xe9, 0x0a, 0x62, 0x3d, 0x00]);
  const { lines, problems } = readLogicalLines(bytes, "f");
  assert.equal(lines[0]?.text, "a=é");
  assert.match(problems[0]?.text ?? "", /not valid UTF-8/);
  assert.deepEqual(problems[1], {
    severity: "warning",
    at: { file: "f", line: 2 },
    text: "text after null byte may be ignored",
  });
});

test("lineAt() finds the physical line of each word", () => {
  const [line] = readLogicalLines("one\n\n two\n# c\n three four", "f").lines;
  assert.ok(line);
  const at = (word: string) => lineAt(line, line.text.indexOf(word));
  assert.deepEqual(["one", "two", "three", "four"].map(at), [1, 3, 5, 5]);
});

test("readLogicalLines() keeps every character of a live line, at the line it came from", () => {
  const piece = fc.constantFrom("a", " ", "\t", "#", "\n", "\n", "=", "é", "b c", "\n  ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const input = pieces.join("");
      const physical = input.split("\n");
      const { lines } = readLogicalLines(new TextEncoder().encode(input), "f");
      for (const logical of lines) {
        const parts = logical.parts.map((part) => physical[part.line - 1] ?? "");
        assert.equal(parts.join(""), logical.text);
        assert.match(logical.text, /^[^\s#]/);
      }
    }),
  );
});
