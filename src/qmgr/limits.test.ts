import assert from "node:assert/strict";
import { test } from "node:test";
import { ParameterError, parametersOf } from "../config/parameters.ts";
import { badLimits, builtInLimits, limitsOf, parseFeedback } from "./limits.ts";

for (const [text, concurrency, want] of [
  ["1", 9, 1],
  ["1/concurrency", 4, 0.25],
  ["1/sqrt_concurrency", 4, 0.5],
  ["1 / 8", 4, 0.125],
] as const) {
  test(`parseFeedback(${text})`, () => assert.equal(parseFeedback(text)(concurrency), want));
}
for (const text of ["", "x", "2", "3/2", "1/0", "-1"]) {
  test(`parseFeedback() refuses "${text}"`, () => assert.throws(() => parseFeedback(text), ParameterError));
}

test("limitsOf() the transport's own parameter wins, 0 is no limit", () => {
  const params = parametersOf({
    slow_destination_concurrency_limit: "2",
    slow_destination_recipient_limit: "0",
    default_destination_recipient_limit: "7",
  });
  const { concurrency, initialConcurrency, recipients } = limitsOf(params, "slow");
  assert.deepEqual([concurrency, initialConcurrency, recipients], [2, 2, Number.POSITIVE_INFINITY]);
  assert.equal(limitsOf(params, "smtp").recipients, 7);
  assert.equal(limitsOf(params, "local").concurrency, 2, "local_destination_concurrency_limit");
});

for (const [limit, rateDelay, workers, concurrency, leased] of [
  ["20", "0s", 1, 20, false],
  ["20", "0s", 2, 10, false],
  ["5", "0s", 2, 3, false],
  ["4", "0s", 2, 2, false],
  ["3", "0s", 2, 3, true],
  ["1", "0s", 1, 1, false],
  ["20", "1s", 2, 1, true],
  ["20", "1s", 1, 1, false],
  ["0", "0s", 4, Number.POSITIVE_INFINITY, false],
] as const) {
  test(`limitsOf() ${limit} with a rate delay of ${rateDelay} in each of ${workers} workers`, () => {
    const params = parametersOf({
      default_destination_concurrency_limit: limit,
      default_destination_rate_delay: rateDelay,
    });
    const limits = limitsOf(params, "smtp", workers);
    assert.deepEqual([limits.concurrency, limits.leased], [concurrency, leased]);
    assert.ok(limits.initialConcurrency <= concurrency);
  });
}

const BAD: readonly { settings: Record<string, string>; want: readonly string[]; why: string }[] = [
  {
    settings: { smtp_destination_concurrency_limit: "3", other_transport_rate_delay: "x" },
    want: [],
    why: "nothing of it",
  },
  {
    settings: { smtp_destination_concurrency_limit: "many" },
    want: [
      "smtp_destination_concurrency_limit: bad numerical configuration: smtp_destination_concurrency_limit = many",
    ],
    why: "no number",
  },
  {
    settings: { smtp_transport_rate_delay: "1x", default_transport_rate_delay: "1y" },
    want: ["smtp_transport_rate_delay: bad time configuration: smtp_transport_rate_delay = 1x"],
    why: "the transport's own hides the default",
  },
  {
    settings: { default_destination_concurrency_negative_feedback: "7" },
    want: [
      "default_destination_concurrency_negative_feedback: default_destination_concurrency_negative_feedback: bad concurrency feedback: 7; specify a number from 0 to 1",
    ],
    why: "a default that is a text to its declaration",
  },
];
for (const { settings, want, why } of BAD) {
  test(`badLimits() ${why}`, () => {
    const found = badLimits(parametersOf(settings), "smtp");
    assert.deepEqual(
      found.map(({ parameter, text }) => `${parameter}: ${text}`),
      want,
    );
  });
}

test("builtInLimits() are those of an empty main.cf", () => {
  const { positive: _p, negative: _n, ...limits } = builtInLimits("local", 2);
  const { positive, negative, ...want } = limitsOf(parametersOf({}), "local", 2);
  assert.deepEqual(limits, want);
});
