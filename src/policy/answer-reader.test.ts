/** Tests of policy/answer-reader.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnswerReader } from "./answer-reader.ts";

/** What the reader makes of lines; "more" if they do not end an answer. */
function read(lines: readonly string[]): { result: string; unexpected: string | undefined } {
  const reader = new AnswerReader();
  for (const line of lines) {
    const step = reader.push(line);
    if (step.kind === "more") continue;
    return { result: step.kind === "answer" ? step.action : `! ${step.why}`, unexpected: reader.unexpected };
  }
  return { result: "more", unexpected: reader.unexpected };
}

const cases = [
  { in: ["action=DUNNO", ""], want: "DUNNO", why: "plain" },
  { in: ["action=450 4.7.1 a=b", ""], want: "450 4.7.1 a=b", why: "only the first = splits" },
  { in: ["action=DUNNO"], want: "more", why: "the empty line ends it" },
  { in: ["foo=bar", "action=OK", ""], want: "OK", skipped: "foo", why: "unknown attributes are passed over" },
  { in: ["action=OK", "action=REJECT", ""], want: "OK", skipped: "action", why: "the first action counts" },
  { in: ["hello", "action=OK", ""], want: "OK", skipped: "hello", why: "so are lines without =" },
  { in: [""], want: "! missing attribute action in input", why: "nothing at all" },
  { in: ["Action=OK", ""], want: "! missing attribute action in input", skipped: "Action", why: "names have a case" },
  { in: ["action", ""], want: "! missing value for string attribute action", why: "no value" },
  { in: ["action=", ""], want: "! empty attribute action in input", why: "an empty action would permit" },
  { in: ["action= \t", ""], want: "! empty attribute action in input", why: "so would blanks" },
  { in: Array(101).fill("x=y"), want: "! answer too long", skipped: "x", why: "endless attributes" },
  { in: Array(9).fill(`x=${"y".repeat(2000)}`), want: "! answer too long", skipped: "x", why: "many bytes" },
];
for (const { in: lines, want, skipped, why } of cases) {
  test(`AnswerReader ${why}`, () => assert.deepEqual(read(lines), { result: want, unexpected: skipped }));
}

test("AnswerReader gives only actions that the server sent, and always ends", () => {
  const line = fc.oneof(fc.string(), fc.constantFrom("", "action=OK", "action=", "action", "a=b"));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 300 }), (lines) => {
      const { result } = read(lines);
      if (lines.length > 100) assert.notEqual(result, "more");
      if (result !== "more" && !result.startsWith("! ")) assert.ok(lines.includes(`action=${result}`));
    }),
  );
});
