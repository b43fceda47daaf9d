/** What reading the queue costs the store, and what it must not lose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const sent = async (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");

test("retries that are due one after the other cost one look a second, and none is late by more", async () => {
  const world = new World({ deliver: sent });
  let looks = 0;
  const { dueLanes } = world.store;
  world.store.dueLanes = (limit) => {
    looks++;
    return dueLanes.call(world.store, limit);
  };
  const begin = world.clock.now();
  for (let i = 0; i < 1000; i++) await world.send([`a@x${i}.test`], { quiet: true });
  let i = 0;
  for (const { rows } of world.store.messages.values()) {
    for (const row of rows.values()) row.recipient = { ...row.recipient, dueMs: begin + ++i * 10 };
  }
  world.queue.start();
  for (let second = 1; second <= 11; second++) {
    await world.clock.advance(1000);
    assert.ok(world.store.messages.size <= 1000 - 100 * (second - 1), `${world.store.messages.size} after ${second} s`);
  }
  assert.equal(world.store.messages.size, 0);
  assert.ok(looks <= 14, `${looks} looks in 11 s`);
});

test("a message that waits in several lanes becomes active once", async () => {
  const world = new World({ deliver: sent });
  await world.send(["a@x.test", "b@y.test", "c@z.test"], { quiet: true });
  world.queue.start();
  await settled();
  assert.deepEqual(world.lines.filter((line) => line.includes("queue active")).length, 1);
  assert.equal(world.store.messages.size, 0);
});

test("a claim that fails takes no other claim with it, and is made again", async () => {
  const world = new World({ deliver: sent });
  const { claimDue } = world.store;
  let failures = 1;
  world.store.claimDue = async (lane, nowMs, limit) => {
    if (lane === "smtp:y.test" && failures-- > 0) throw new Error("disk is sulking");
    return claimDue.call(world.store, lane, nowMs, limit);
  };
  for (const site of ["x", "y", "z"]) await world.send([`a@${site}.test`], { quiet: true });
  world.queue.start();
  await settled();
  assert.deepEqual(
    world.store.waiting.map(({ address }) => address),
    ["a@y.test"],
  );
  assert.ok(world.lines.some((line) => line.includes("cannot read the queue, trying again: Error: disk is sulking")));
  await world.clock.advance(6000);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("claims for several lanes together keep within the active limit", async () => {
  const world = new World({
    deliver: () => new Promise(() => undefined),
    settings: { qmgr_message_active_limit: "10" },
  });
  for (let i = 0; i < 40; i++) await world.send([`a@x${i}.test`], { quiet: true });
  world.queue.start();
  await settled();
  assert.deepEqual([world.store.claimed, world.queue.status().activeMessages], [10, 10]);
});
