import assert from "node:assert/strict";
import { test } from "node:test";
import type { SlotAsk, SlotLeases } from "../mail/slot-lease.ts";
import { type SlotRule, Slots } from "./slots.ts";
import { ManualClock } from "./testdata/manual-clock.ts";

class Leases implements SlotLeases {
  readonly asks: SlotAsk[] = [];
  released = 0;
  ask(ask: SlotAsk): void {
    this.asks.push(ask);
  }
  release(_key: string, count: number): void {
    this.released += count;
  }
}

function leased(rule: Partial<SlotRule> = {}) {
  const leases = new Leases();
  let woken = 0;
  const slots = new Slots({ key: "k", rule: { limit: 4, leases, ...rule }, wake: () => woken++ });
  return { leases, slots, woken: () => woken };
}

test("Slots of its own: as many as the limit, nobody is asked", () => {
  const { slots, leases } = leased({ limit: 2, leases: undefined });
  assert.deepEqual([slots.take(9), slots.take(9), slots.take(9)], [true, true, false]);
  slots.give();
  assert.ok(slots.take(9));
  assert.deepEqual(leases.asks, []);
});

test("Slots of its own rest after use, and wake who waits", async () => {
  const clock = new ManualClock();
  let woken = 0;
  const rule: SlotRule = { limit: 1, leases: undefined, restMs: 10 };
  const slots = new Slots({ key: "k", rule, wake: () => woken++, clock });
  assert.ok(slots.take(1));
  slots.give();
  assert.deepEqual([slots.take(1), slots.idle], [false, false]);
  await clock.advance(10);
  assert.deepEqual([woken, slots.idle, slots.take(1)], [1, true, true]);
  slots.give();
  slots.change({ ...rule, limit: 2, restMs: 0 });
  assert.deepEqual([slots.take(1), slots.take(1), slots.take(1)], [true, true, false], "no rest after a reload");
  await clock.advance(10);
  assert.equal(woken, 1);
});

test("Slots asks once for several, uses them again, gives back what is not wanted", () => {
  const { slots, leases, woken } = leased();
  assert.deepEqual([slots.take(9), slots.take(9)], [false, false]);
  assert.deepEqual(leases.asks, [{ key: "k", want: 4, limit: 4, restMs: 0 }]);
  slots.granted(2);
  assert.equal(woken(), 1);
  assert.deepEqual([slots.take(3), slots.take(2), slots.take(1)], [true, true, false]);
  assert.equal(leases.asks[1]?.want, 1);
  slots.give();
  assert.ok(slots.take(1), "without the master");
  slots.give();
  slots.trim(0);
  assert.deepEqual([leases.released, slots.idle], [1, false]);
});

test("Slots recalled: gives back in use what is above its share, and nothing unused stays", () => {
  const { slots, leases } = leased({ spare: 2 });
  slots.take(4);
  slots.granted(4);
  for (let i = 0; i < 3; i++) slots.take(1);
  slots.trim(0);
  assert.equal(leases.released, 0, "spare");
  slots.recalled(2);
  slots.trim(0);
  assert.equal(leases.released, 1);
  slots.give();
  assert.equal(leases.released, 2);
  assert.equal(slots.hasSlot, false);
  slots.give();
  assert.equal(leases.released, 2, "its share may be used again");
  assert.ok(slots.take(1));
});

test("Slots that must rest go back after every use", () => {
  const { slots, leases } = leased({ limit: 1, restMs: 1000 });
  slots.take(5);
  slots.granted(1);
  assert.ok(slots.take(5));
  slots.give();
  assert.deepEqual([leases.released, slots.idle, slots.take(5)], [1, true, false]);
});

test("Slots of another kind come into force when none is in use", () => {
  const { slots, leases } = leased({ limit: 3, leases: undefined });
  slots.take(1);
  slots.take(1);
  slots.change({ limit: 1, leases });
  slots.give();
  assert.equal(slots.take(1), false);
  assert.equal(leases.asks.length, 0, "not before the last of the old kind has ended");
  slots.give();
  assert.equal(slots.take(1), false);
  slots.change({ limit: 5, leases: undefined });
  assert.ok(slots.take(1));
  slots.granted(1);
  assert.deepEqual([leases.released, slots.hasSlot], [1, true], "a late answer goes back");
  slots.give();
  assert.ok(slots.idle);
});

test("Slots a lower limit holds from the next delivery on", () => {
  const { slots, leases } = leased();
  slots.take(4);
  slots.granted(4);
  for (let i = 0; i < 4; i++) slots.take(1);
  slots.change({ limit: 2, leases });
  for (let i = 0; i < 3; i++) slots.give();
  assert.deepEqual([leases.released, slots.take(1), slots.take(1)], [2, true, false]);
});
