import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ClockJumps } from "./clock-jumps.ts";

const HOUR = 3_600_000;

/** Steps: time passes, the wall clock is set, in milliseconds. */
const cases: readonly {
  why: string;
  steps: readonly (readonly [passes: number, set: number])[];
  seen: readonly number[];
  skipped: number;
}[] = [
  {
    why: "time passes",
    steps: [
      [HOUR, 0],
      [HOUR, 0],
    ],
    seen: [0, 0],
    skipped: 0,
  },
  {
    why: "small corrections are none, however many",
    steps: [
      [HOUR, 59_000],
      [HOUR, 59_000],
      [HOUR, -59_000],
    ],
    seen: [0, 0, 0],
    skipped: 0,
  },
  { why: "forward", steps: [[HOUR, 7 * HOUR]], seen: [7 * HOUR], skipped: 7 * HOUR },
  { why: "back", steps: [[HOUR, -HOUR]], seen: [-HOUR], skipped: 0 },
  {
    why: "forward and set right",
    steps: [
      [HOUR, 7 * HOUR],
      [HOUR, -7 * HOUR],
    ],
    seen: [7 * HOUR, -7 * HOUR],
    skipped: 0,
  },
  {
    why: "forward and half of it back",
    steps: [
      [HOUR, 4 * HOUR],
      [0, -HOUR],
    ],
    seen: [4 * HOUR, -HOUR],
    skipped: 3 * HOUR,
  },
  {
    why: "twice forward, one and a half back",
    steps: [
      [0, 2 * HOUR],
      [1, 2 * HOUR],
      [1, -3 * HOUR],
    ],
    seen: [2 * HOUR, 2 * HOUR, -3 * HOUR],
    skipped: HOUR,
  },
];
for (const { why, steps, seen, skipped } of cases) {
  test(`ClockJumps ${why}`, () => {
    let [wall, passed] = [1_000_000_000_000, 5];
    const jumps = new ClockJumps({ now: () => wall, monotonic: () => passed });
    const told = steps.map(([passes, set]) => {
      passed += passes;
      wall += passes + set;
      return jumps.look();
    });
    assert.deepEqual(told, seen);
    assert.equal(jumps.skippedMs(1_000_000_000_000), skipped);
    assert.equal(jumps.skippedMs(wall + 1), 0, "later mail has missed nothing");
  });
}

test("ClockJumps: what was skipped and what passed is what the wall clock shows, for forward jumps", () => {
  const step = fc.record({ passes: fc.nat(HOUR), set: fc.integer({ min: 60_000, max: 10 * HOUR }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const begin = 1_000_000_000_000;
      let [wall, passed] = [begin, 0];
      const jumps = new ClockJumps({ now: () => wall, monotonic: () => passed });
      for (const { passes, set } of steps) {
        passed += passes;
        wall += passes + set;
        jumps.look();
      }
      assert.equal(wall - begin - jumps.skippedMs(begin), passed);
    }),
  );
});
