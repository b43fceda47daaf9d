import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import { isExpired, nextTryMs, retryTimesOf } from "./retry.ts";

const times = retryTimesOf(
  parametersOf({
    minimal_backoff_time: "100s",
    maximal_backoff_time: "1000s",
    maximal_queue_lifetime: "1h",
    bounce_queue_lifetime: "30m",
  }),
);

const tries: readonly { ageMs: number; random: number; priority?: number; want: number; why: string }[] = [
  { ageMs: 0, random: 0.5, want: 100_000, why: "minimal_backoff_time (OUT-06, LIM-24)" },
  { ageMs: 400_000, random: 0.5, want: 400_000, why: "as long as the message is old" },
  { ageMs: 9_000_000, random: 0.5, want: 1_000_000, why: "maximal_backoff_time (OUT-06, LIM-24)" },
  { ageMs: 400_000, random: 0, want: 360_000, why: "10 % less at random" },
  { ageMs: 400_000, random: 0.5, priority: 9, want: 100_000, why: "PRI-05 the most urgent" },
  { ageMs: 400_000, random: 0.5, priority: 3, want: 300_000, why: "PRI-05 urgent" },
  { ageMs: 400_000, random: 0.5, priority: -9, want: 800_000, why: "PRI-05 the least urgent" },
  { ageMs: 400_000, random: 1, want: 440_000, why: "10 % more at random" },
];
for (const { ageMs, random, priority, want, why } of tries) {
  test(`nextTryMs() ${why}`, () => {
    assert.equal(nextTryMs(times, { ageMs, nowMs: 5000, priority }, random), 5000 + want);
  });
}

for (const { sender, ageMs, want, why } of [
  { sender: "a@example.org", ageMs: 3_599_999, want: false, why: "not yet" },
  { sender: "a@example.org", ageMs: 3_600_000, want: true, why: "maximal_queue_lifetime (OUT-06, LIM-23)" },
  { sender: "", ageMs: 1_799_999, want: false, why: "a bounce, not yet" },
  { sender: "", ageMs: 1_800_000, want: true, why: "bounce_queue_lifetime (LIM-23)" },
]) {
  test(`isExpired() ${why}`, () => assert.equal(isExpired(times, { sender: asAddress(sender) }, ageMs), want));
}
