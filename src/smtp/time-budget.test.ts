import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { settingsOf } from "./settings.ts";
import { TimeBudget } from "./time-budget.ts";

/** A budget of 10 s and the clock that it reads; `wait(ms)` is a peer that takes so long. */
function open(deadline: "yes" | "no") {
  const clock = { now: 0 };
  const words = { smtp_per_request_deadline: deadline, smtp_data_xfer_timeout: "10s", smtp_min_data_rate: "1000" };
  const budget = new TimeBudget(settingsOf(parametersOf(words), "smtp"), () => clock.now);
  const wait = (ms: number) =>
    budget.spend(
      Promise.resolve().then(() => {
        clock.now += ms;
      }),
    );
  return { budget, wait };
}

test("TimeBudget without per-request deadlines: each wait has the whole limit", async () => {
  const { budget, wait } = open("no");
  await wait(9000);
  await wait(9000);
  assert.equal(budget.leftMs, 10_000);
});

test("TimeBudget with them: time is spent, bytes earn it back, never above the limit", async () => {
  const { budget, wait } = open("yes");
  await wait(4000);
  assert.equal(budget.leftMs, 6000);
  budget.earn(1500);
  assert.equal(budget.leftMs, 7500);
  budget.earn(1_000_000);
  assert.equal(budget.leftMs, 10_000);
  await wait(15_000);
  assert.equal(budget.leftMs, 1, "a deadline, not none");
});
