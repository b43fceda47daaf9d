import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { answered, judge, type RecordTimes, recordTimes } from "./record.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = 1000 * DAY;
const TIMES = recordTimes(parametersOf({}));
const NO_NEGATIVE = recordTimes(parametersOf({ address_verify_negative_cache: "no" }));

const found = (kind: "sent" | "deferred" | "bounced", ageMs: number, probedAgoMs?: number) => {
  const record = answered(undefined, { kind, text: kind }, { nowMs: NOW - ageMs, times: TIMES });
  assert.ok(record);
  return { ...record, probedMs: probedAgoMs === undefined ? 0 : NOW - probedAgoMs };
};
const asked = (agoMs: number) => ({ ...judge(undefined, NOW - agoMs, TIMES).record, probedMs: NOW - agoMs }) as never;

const JUDGED: readonly {
  readonly why: string;
  readonly stored: Parameters<typeof judge>[0];
  readonly times?: RecordTimes;
  readonly want: string;
}[] = [
  { why: "nothing is known", stored: undefined, want: "pending, probe" },
  { why: "a probe is under way", stored: asked(MINUTE), want: "pending" },
  { why: "a probe had no answer for 1000 seconds", stored: asked(1_000_001), want: "pending, probe" },
  { why: "deliverable", stored: found("sent", DAY), want: "deliverable" },
  { why: "deliverable, to be refreshed", stored: found("sent", 7 * DAY + 1), want: "deliverable, probe" },
  { why: "the refresh is under way", stored: found("sent", 8 * DAY, MINUTE), want: "deliverable" },
  { why: "no longer deliverable", stored: found("sent", 31 * DAY + 1), want: "pending, probe" },
  { why: "undeliverable", stored: found("bounced", HOUR), want: "undeliverable" },
  { why: "undeliverable, to be refreshed", stored: found("bounced", 3 * HOUR + 1), want: "undeliverable, probe" },
  { why: "undeliverable long ago", stored: found("bounced", 3 * DAY + 1), want: "pending, probe" },
  { why: "failed for now", stored: found("deferred", HOUR), want: "unreachable" },
  { why: "failed for now, to be refreshed", stored: found("deferred", 3 * HOUR + 1), want: "unreachable, probe" },
  { why: "no record of failures", stored: undefined, times: NO_NEGATIVE, want: "pending, probe, nothing stored" },
  {
    why: "no record of failures, but of a success",
    stored: found("sent", 8 * DAY),
    times: NO_NEGATIVE,
    want: "deliverable, probe",
  },
];
for (const { why, stored, times = TIMES, want } of JUDGED) {
  test(`judge() ${why}`, () => {
    const { status, probe, record } = judge(stored, NOW, times);
    const text = [status.kind, ...(probe ? ["probe"] : []), ...(probe && !record ? ["nothing stored"] : [])];
    assert.equal(text.join(", "), want);
    if (record) assert.equal(record.probedMs, NOW);
  });
}

const ANSWERED: readonly {
  readonly why: string;
  readonly stored: Parameters<typeof judge>[0];
  readonly kind: "sent" | "deferred" | "bounced";
  readonly times?: RecordTimes;
  readonly want: string | undefined;
}[] = [
  { why: "the first success", stored: asked(MINUTE), kind: "sent", want: "deliverable" },
  { why: "the first failure", stored: asked(MINUTE), kind: "bounced", want: "undeliverable" },
  { why: "a failure for now", stored: asked(MINUTE), kind: "deferred", want: "unreachable" },
  { why: "success after failure", stored: found("bounced", HOUR), kind: "sent", want: "deliverable" },
  { why: "failure does not overrule success", stored: found("sent", 8 * DAY), kind: "bounced", want: undefined },
  { why: "but an expired one", stored: found("sent", 32 * DAY), kind: "bounced", want: "undeliverable" },
  { why: "failures are not kept", stored: undefined, kind: "bounced", times: NO_NEGATIVE, want: undefined },
  { why: "successes are", stored: undefined, kind: "sent", times: NO_NEGATIVE, want: "deliverable" },
];
for (const { why, stored, kind, times = TIMES, want } of ANSWERED) {
  test(`answered() ${why}`, () => {
    const record = answered(stored, { kind, text: "x" }, { nowMs: NOW, times });
    assert.equal(record && judge(record, NOW, times).status.kind, want);
  });
}

test("no answer lets an address be taken for deliverable that was never found so", () => {
  const outcome = fc.constantFrom("sent" as const, "deferred" as const, "bounced" as const);
  const step = fc.record({ afterMs: fc.integer({ min: 0, max: 40 * DAY }), outcome });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      let nowMs = NOW;
      let stored: Parameters<typeof judge>[0];
      let lastSuccessMs = Number.NEGATIVE_INFINITY;
      for (const { afterMs, outcome: kind } of steps) {
        nowMs += afterMs;
        const judged = judge(stored, nowMs, TIMES);
        const recent = nowMs - lastSuccessMs <= TIMES.positiveExpireMs;
        if (judged.status.kind === "deliverable") assert.ok(recent);
        if (!judged.probe) continue;
        stored =
          answered(judged.record ?? stored, { kind, text: "" }, { nowMs, times: TIMES }) ?? judged.record ?? stored;
        if (kind === "sent") lastSuccessMs = nowMs;
      }
    }),
  );
});

test("a reason of any length is kept short", () => {
  const record = answered(undefined, { kind: "bounced", text: "x".repeat(5000) }, { nowMs: NOW, times: TIMES });
  assert.equal(record?.text.length, 1000);
});
