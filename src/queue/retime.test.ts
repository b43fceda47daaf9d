/** retime(): due times of waiting recipients move as told, over pages, and nobody else's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Retiming } from "./store.ts";
import { LANE, messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

const rows: readonly { why: string; how: Retiming; want: readonly number[] }[] = [
  {
    why: "shift moves what is above",
    how: { kind: "shift", aboveMs: 1000, notAboveMs: 1e15, byMs: 50 },
    want: [1000, 2050, 3050],
  },
  { why: "shift back", how: { kind: "shift", aboveMs: 1500, notAboveMs: 1e15, byMs: -1900 }, want: [1000, 100, 1100] },
  {
    why: "shift leaves what is too far",
    how: { kind: "shift", aboveMs: 0, notAboveMs: 2000, byMs: 7 },
    want: [1007, 2007, 3000],
  },
  {
    why: "spread folds what is too far",
    how: { kind: "spread", aboveMs: 1500, nowMs: 500, spreadMs: 400 },
    want: [1000, 800, 600],
  },
  {
    why: "nothing is that late",
    how: { kind: "spread", aboveMs: 3000, nowMs: 500, spreadMs: 400 },
    want: [1000, 2000, 3000],
  },
];
for (const { why, how, want } of rows) {
  test(`retime() ${why}`, async (t) => {
    const { store, ids } = await storeIn(t, temporaryDirectory(t));
    const all = [1000, 2000, 3000].map((dueMs) => ({ id: ids.next(), dueMs }));
    for (const { id, dueMs } of all)
      await store.append(messageFor(id, { dueMs, lane: `smtp:${dueMs}` }), { claim: false });
    const held = ids.next();
    await store.append(messageFor(held, { dueMs: 9000, hold: true }), { claim: false });
    const moved = await store.retime(how);
    assert.equal(moved, want.filter((ms, i) => ms !== all[i]?.dueMs).length);
    const lanes = await store.dueLanes(10);
    const due = new Map(lanes.map(({ lane, earliestDueMs }) => [lane, earliestDueMs]));
    assert.deepEqual(
      all.map(({ dueMs }) => due.get(`smtp:${dueMs}`)),
      want,
    );
  });
}

test("retime() goes through a queue of several pages once", async (t) => {
  const { store, ids } = await storeIn(t, temporaryDirectory(t));
  const all = Array.from({ length: 11_000 }, () => ids.next());
  await Promise.all(all.map((id) => store.append(messageFor(id, { dueMs: 5000 }), { claim: false })));
  assert.equal(await store.retime({ kind: "shift", aboveMs: 1000, notAboveMs: 1e15, byMs: 1000 }), 11_000);
  assert.deepEqual(await store.dueLanes(1), [{ lane: LANE, earliestDueMs: 6000 }]);
});
