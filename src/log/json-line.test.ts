import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatJsonLine, parseJsonLine } from "./json-line.ts";

const record = { at: Date.UTC(2026, 10, 4, 9, 5, 3, 7), tag: "postfix/smtpd", id: 7, severity: "warning" } as const;

const cases = [
  { text: "text", more: {}, why: "the fixed members" },
  { text: "17EB26B05390301: removed", more: { queue_id: "17EB26B05390301" }, why: "a short queue id" },
  { text: "0fNXpg6ssCz1: removed", more: { queue_id: "0fNXpg6ssCz1" }, why: "a long queue id" },
  { text: "NOQUEUE: reject: RCPT from x", more: {}, why: "NOQUEUE is no queue id" },
  { text: "statistics: max cache size", more: {}, why: "a long word is no queue id" },
  { text: "accept: too many open files", more: {}, why: "a short word is no queue id" },
];
for (const { text, more, why } of cases) {
  test(`formatJsonLine() ${why}: ${text}`, () => {
    const fixed = { time: "2026-11-04T09:05:03.007Z", host: "mx", tag: "postfix/smtpd", id: 7, severity: "warning" };
    assert.deepEqual(JSON.parse(formatJsonLine({ ...record, text }, "mx")), { ...fixed, text, ...more });
  });
}

test("formatJsonLine() keeps the fields of an event apart", () => {
  const fields = { text: "shadow", size: 3 };
  const line = formatJsonLine({ ...record, text: "t", fields }, "mx");
  assert.deepEqual(JSON.parse(line).fields, fields);
});

test("parseJsonLine() gives back what formatJsonLine() wrote, on one line", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(4_000_000), (text, id) => {
      const written = { ...record, id, text, fields: undefined };
      const line = formatJsonLine(written, "mx");
      assert.equal(line.indexOf("\n"), line.length - 1);
      assert.deepEqual(parseJsonLine(line), { ...written });
    }),
  );
});

test("parseJsonLine() knows a line that was cut short, and a text line", () => {
  assert.equal(parseJsonLine('{"time":"2026-'), undefined);
  assert.equal(parseJsonLine("Nov  4 09:05:03 mx postfix/smtpd[7]: text"), undefined);
});
