import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parseQueueOptions } from "./queue-options.ts";

const ID = "17EB26B05390301";
const parse = (...args: string[]) => parseQueueOptions(args, ["incoming"]);

const rows: readonly { at: string; want: number | "later" | RegExp; why: string }[] = [
  { at: "2026-12-24T18:00:00Z", want: Date.UTC(2026, 11, 24, 18), why: "a time" },
  { at: "2h", want: "later", why: "a duration from now" },
  { at: "tomorrow", want: /^--at tomorrow: say in how long/, why: "a word" },
  { at: "2026-12-24T18:00:00", want: /^--at /, why: "no zone" },
  { at: "2026-12-24", want: /^--at /, why: "a day" },
  { at: "-2h", want: /^--at /, why: "back in time" },
  { at: "2y", want: /^--at /, why: "a unit that is none" },
  { at: "", want: /^--at /, why: "nothing" },
];
for (const { at, want, why } of rows) {
  test(`FR-08: parseQueueOptions() --at: ${why}`, () => {
    if (want instanceof RegExp) {
      assert.throws(() => parse(ID, `--at=${at}`), { name: "UsageError", message: want });
      return;
    }
    const { atMs = 0, ids, filtered } = parse(ID, "--at", at);
    assert.deepEqual([ids, filtered], [[ID], false]);
    if (want === "later") assert.ok(Math.abs(atMs - systemClock.now() - 7_200_000) < 60_000);
    else assert.equal(atMs, want);
  });
}

test("FR-08: parseQueueOptions() without --at says no time, and --at is no condition", () => {
  assert.equal(parse(ID).atMs, undefined);
  assert.equal(parse("ALL", "--at", "1h").all, true);
  assert.throws(() => parse(ID, "--at"), /--at needs a value/);
});
