import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import { Deadlines } from "./deadlines.ts";

/** A clock that only moves when told. */
function manualClock(): Clock & { advance(ms: number): void } {
  let now = 0;
  let timers: { at: number; run: () => void }[] = [];
  return {
    ...systemClock,
    monotonic: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.push(timer);
      return { cancel: () => (timers = timers.filter((t) => t !== timer)) };
    },
    advance(ms) {
      for (const end = now + ms; now < end; ) {
        now += 50;
        const due = timers.filter((t) => t.at <= now);
        timers = timers.filter((t) => t.at > now);
        for (const timer of due) timer.run();
      }
    },
  };
}

test("Deadlines fire once, at most one tick late, never early", () => {
  const clock = manualClock();
  const fired: number[] = [];
  const deadline = new Deadlines(clock).open(() => fired.push(clock.monotonic()));
  deadline.arm(1000);
  clock.advance(900);
  assert.deepEqual(fired, []);
  clock.advance(2000);
  assert.equal(fired.length, 1);
  assert.ok((fired[0] ?? 0) >= 1000 && (fired[0] ?? 0) <= 1250);
});

test("a re-armed, disarmed or closed deadline does not fire", () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  let fired = 0;
  const deadline = deadlines.open(() => fired++);
  deadline.arm(500);
  clock.advance(400);
  deadline.arm(1000);
  clock.advance(500);
  deadline.disarm();
  clock.advance(5000);
  assert.equal(fired, 0);
  deadline.arm(100);
  deadline.close();
  clock.advance(5000);
  assert.equal(fired, 0);
  assert.equal(deadlines.size, 0);
});
