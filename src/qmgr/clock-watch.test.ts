/** The wall clock is set while mail waits: it is tried when it would have been, and is not returned for an age it has not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { ManualClock, settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const HOUR = 3_600_000;
const WEEK = 168 * HOUR;
const later = async (r: DeliveryRequest) => outcome(r, "deferred", "4.2.0", "host said: 450 later");

for (const { why, jumps } of [
  { why: "back an hour", jumps: [-HOUR] },
  { why: "forward a week", jumps: [WEEK] },
  { why: "forward a week and right again", jumps: [WEEK, -WEEK] },
  { why: "back a week, forward an hour", jumps: [-WEEK, HOUR] },
]) {
  test(`retries keep their distance when the clock is set ${why}`, async () => {
    const at: number[] = [];
    const clock = new ManualClock();
    const world = new World({
      clock,
      deliver: (r) => {
        at.push(clock.monotonic());
        return later(r);
      },
      settings: { queue_run_delay: "60s" },
    });
    world.queue.start();
    await world.send(["a@x.test"]);
    for (const jump of jumps) {
      await clock.advance(70_000);
      clock.jump(jump);
    }
    await clock.advance(20_000_000);
    const gaps = at.slice(1).map((ms, i) => ms - (at[i] ?? 0));
    assert.ok(Math.abs((gaps[0] ?? 0) - 300_000) <= 61_000, `first retry after ${gaps[0]} ms`);
    // As old as 0 while it came in the future, so the shortest backoff then; never sooner, and never later than the longest.
    assert.ok(gaps.length >= 6 && gaps.every((gap) => gap >= 299_000 && gap <= 4_061_000), gaps.join(" "));
    assert.equal(world.store.messages.size, 1, "not returned to its sender");
    assert.ok(
      world.lines.some((line) =>
        /postfix\/qmgr: the system clock was set (?:back|forward) by \d+ s: retries keep their distance/.test(line),
      ),
    );
  });
}

test("mail that came before a jump forward expires at its true age; later mail at its own", async () => {
  const clock = new ManualClock();
  const world = new World({ clock, deliver: later, settings: { queue_run_delay: "60s" } });
  world.queue.start();
  await world.send(["early@x.test"]);
  clock.jump(WEEK);
  await clock.advance(70_000);
  await world.send(["late@x.test"]);
  await clock.advance(119 * HOUR);
  assert.equal(world.store.messages.size, 2, "both are less than five days old");
  await clock.advance(3 * HOUR);
  const expired = world.lines.filter((line) => line.includes("status=expired"));
  assert.deepEqual(
    expired.map((line) => line.split(" ")[1]),
    ["Q1:", "Q2:"],
  );
});

test("a dead destination is tried again after transport_retry_time, although the clock was set back", async () => {
  const at: number[] = [];
  const clock = new ManualClock();
  const world = new World({
    clock,
    deliver: async (r) => {
      at.push(clock.monotonic());
      return outcome(r, "deferred", "4.4.1", "connect to mx.test: Connection refused");
    },
    settings: { queue_run_delay: "60s", smtp_initial_destination_concurrency: "1", minimal_backoff_time: "10s" },
  });
  world.queue.start();
  await world.send(["a@x.test"]);
  await settled();
  assert.ok(world.queue.status().lanes[0]?.pausedUntilMs !== undefined);
  clock.jump(-HOUR);
  await clock.advance(130_000);
  assert.ok(at.length >= 2, `${at.length} tries`);
});

test("after a restart with the clock set back, retries farther than any backoff are spread over one", async () => {
  const clock = new ManualClock();
  const world = new World({ clock, deliver: later });
  for (let i = 0; i < 50; i++) await world.send([`u${i}@x${i}.test`], { quiet: true });
  const due = (i: number) => clock.now() + 30 * 24 * HOUR + i * 80_000;
  for (const [i, { rows }] of [...world.store.messages.values()].entries()) {
    for (const row of rows.values()) row.recipient = { ...row.recipient, dueMs: due(i) };
  }
  world.queue.start();
  await clock.advance(300_000);
  const early = world.lines.filter((line) => line.includes("status=deferred")).length;
  assert.ok(early > 0 && early < 15, `${early} in the first 300 s: no storm`);
  await clock.advance(3_800_000);
  const tried = new Set(world.lines.flatMap((line) => /to=<(u\d+)@.*status=deferred/.exec(line)?.[1] ?? []));
  assert.equal(tried.size, 50);
});
