/** Conditions of `postern queue`: globs, ages, what a listing must have to match. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { QueueShape } from "../queue/shape.ts";
import { matchesFilter, matchesGlob, parseAge, QUEUE_NAMES, type QueueFilter } from "./queue-filter.ts";
import { formatShape } from "./queue-shape.ts";

const globs = [
  { pattern: "*@example.net", text: "bob@EXAMPLE.net", want: true, why: "case does not count" },
  { pattern: "b?b@*", text: "bob@x", want: true, why: "one character" },
  { pattern: "b?b@*", text: "bb@x", want: false, why: "? is not nothing" },
  { pattern: "a*b*c", text: "aXbXbc", want: true, why: "a star takes more when it must" },
  { pattern: "", text: "a", want: false, why: "nothing is not something" },
  { pattern: "**", text: "", want: true, why: "stars may be nothing" },
  { pattern: "a.c", text: "abc", want: false, why: "no regular expression" },
];
for (const { pattern, text, want, why } of globs) {
  test(`matchesGlob() ${why}: ${pattern}`, () => assert.equal(matchesGlob(pattern, text), want));
}

test("matchesGlob() finds any text in itself", () => {
  const text = fc.string().filter((s) => !/[*?]/.test(s));
  fc.assert(fc.property(text, text, text, (a, b, c) => matchesGlob(`*${b}*`, a + b + c) && matchesGlob(b, b)));
});

test("parseAge() knows units, and refuses the rest", () => {
  assert.deepEqual(["90", "45s", "2h", "5d", "2x", "-1h", ""].map(parseAge), [
    90_000,
    45_000,
    7_200_000,
    432_000_000,
    undefined,
    undefined,
    undefined,
  ]);
});

const NOW = Date.UTC(2026, 0, 1);
const entry = {
  queueId: "3A1F2B4C5D6E00" as QueueId,
  queue: "deferred" as const,
  arrivalMs: NOW - 3_600_000,
  sizeBytes: 1,
  sender: asAddress("alice@example.org"),
  recipients: [
    { address: asAddress("bob@a.test"), reason: "connect: timed out" },
    { address: asAddress("bob@b.test"), reason: "" },
  ],
};
const filters: readonly { filter: Partial<QueueFilter>; want: boolean; why: string }[] = [
  { filter: {}, want: true, why: "no condition" },
  { filter: { from: "example.org", to: "b.test" }, want: true, why: "bare domains" },
  { filter: { from: "<>" }, want: false, why: "not a bounce" },
  { filter: { to: "b.test", reason: "timed out" }, want: false, why: "the reason is another recipient's" },
  { filter: { to: "a.test", reason: "TIMED" }, want: true, why: "text in the reason" },
  { filter: { reason: "timed*" }, want: false, why: "with wildcards the whole reason" },
  { filter: { olderMs: 3_600_000 }, want: true, why: "just as old" },
  { filter: { newerMs: 60_000 }, want: false, why: "too old" },
  { filter: { queues: ["hold"] }, want: false, why: "another queue" },
];
for (const { filter, want, why } of filters) {
  test(`matchesFilter() ${why}`, () =>
    assert.equal(matchesFilter(entry, { queues: QUEUE_NAMES, ...filter }, NOW), want));
}

test("QueueShape counts recipients by age and domain", () => {
  const shape = new QueueShape();
  for (const arrivalMs of [entry.arrivalMs, NOW])
    shape.addListed({ ...entry, arrivalMs }, { nowMs: NOW, by: "recipient" });
  assert.equal(
    formatShape(shape.rows()),
    [
      "       T 5 10 20 40 80 160 320 640 1280 1280+",
      " TOTAL 4 2  0  0  0  2   0   0   0    0     0",
      "a.test 2 1  0  0  0  1   0   0   0    0     0",
      "b.test 2 1  0  0  0  1   0   0   0    0     0",
      "",
    ].join("\n"),
  );
});
