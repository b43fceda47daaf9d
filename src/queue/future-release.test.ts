/** Messages that are held for later (RFC 4865): nothing lets them go before their time but the one operation for it. */
import assert from "node:assert/strict";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { systemClock } from "../base/clock.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { damagedAt, rebuildShard } from "./rebuild.ts";
import type { QueueStore } from "./store.ts";
import { LANE, messageFor, openedStore, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

const NOW = 1_800_000_000_000;
const LATER = NOW + 60_000;
const clock: Clock = { ...systemClock, now: () => NOW };

async function withHeld(t: TestContext, shape: { hold?: boolean } = {}) {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory, { clock });
  const held = ids.next();
  await store.append(messageFor(held, { dueMs: LATER, login: "alice", ...shape }), { claim: false });
  return { store, ids, held, directory };
}

async function dueOf(store: QueueStore): Promise<number | undefined> {
  return (await store.dueLanes(1))[0]?.earliestDueMs;
}

test("FR-02: a held message is not claimed before its time, and is when it has come", async (t) => {
  const { store } = await withHeld(t);
  assert.equal(await dueOf(store), LATER);
  assert.deepEqual(await store.claimDue(LANE, LATER - 1, 10), []);
  assert.equal((await store.claimDue(LANE, LATER, 10)).length, 1);
});

const gentle: readonly { why: string; hold?: true; run: (store: QueueStore, id: QueueId) => Promise<unknown> }[] = [
  { why: "flush of it", run: (store, id) => store.flush([id]) },
  { why: "flush of all", run: (store) => store.flush("ALL") },
  { why: "requeue", run: (store, id) => store.requeue([id], LANE) },
  { why: "hold and release", run: async (store, id) => (await store.hold([id])) && store.release([id]) },
  { why: "release of what was put on hold as it came", hold: true, run: (store, id) => store.release([id]) },
  {
    why: "the clock was set",
    run: (store) => store.retime({ kind: "shift", aboveMs: NOW, notAboveMs: 1e15, byMs: -1e6 }),
  },
  { why: "a start", run: (store) => store.retime({ kind: "spread", aboveMs: NOW, nowMs: NOW, spreadMs: 1000 }) },
  { why: "flush of a reason", run: (store) => store.flushReason("host said: 450 later") },
];
for (const { why, run, hold = false } of gentle) {
  test(`FR-02: a held message stays held: ${why}`, async (t) => {
    const { store, held } = await withHeld(t, { hold });
    await run(store, held);
    assert.equal(await dueOf(store), LATER);
  });
}

test("FR-02: a held message survives a restart, and what is known of it too", async (t) => {
  const { store, held, directory } = await withHeld(t);
  await store.close();
  const { store: again } = await storeIn(t, directory, { clock });
  assert.deepEqual(await again.flush("ALL"), []);
  assert.equal(await dueOf(again), LATER);
  assert.equal(await again.heldFor("alice"), 1);
  assert.equal((await again.read(held))?.listing.heldUntilMs, LATER);
});

test("FR-02: what is not held is flushed, requeued and moved as ever beside it", async (t) => {
  const { store, ids } = await withHeld(t);
  const other = ids.next();
  await store.append(messageFor(other, { dueMs: LATER - 1 }), { claim: false });
  assert.equal(await store.retime({ kind: "shift", aboveMs: NOW, notAboveMs: 1e15, byMs: -10 }), 1);
  assert.equal(await dueOf(store), LATER - 11);
  assert.deepEqual(await store.flush("ALL"), [other]);
  assert.equal(await dueOf(store), NOW);
});

test("FR-08: advance lets a held message go now, or at another time; nobody else's", async (t) => {
  const { store, ids, held } = await withHeld(t);
  const other = ids.next();
  await store.append(messageFor(other, { dueMs: LATER }), { claim: true });
  assert.deepEqual(await store.advance([held, other], LATER + 5000), [held]);
  assert.equal(await dueOf(store), LATER + 5000);
  assert.deepEqual(await store.flush("ALL"), []);
  assert.deepEqual(await store.advance("ALL", 0), [held]);
  assert.equal(await dueOf(store), NOW);
  const { envelope } = (await store.read(held)) ?? {};
  assert.deepEqual(envelope?.futureRelease, { untilMs: NOW, request: "until;2026-12-24T18:00:00Z" });
  assert.deepEqual(await store.advance("ALL", LATER), [], "it is held no more");
});

test("FR-08: delete cancels a held message", async (t) => {
  const { store, held } = await withHeld(t);
  assert.deepEqual(await store.delete([held]), [held]);
  assert.equal(await store.heldFor("alice"), 0);
  assert.equal(await dueOf(store), undefined);
});

test("FR-06: held messages are counted by their owner, until their time has come", async (t) => {
  const { store, ids } = await withHeld(t);
  for (const [login, dueMs] of [
    ["alice", NOW + 1],
    ["alice", NOW],
    ["bob", LATER],
  ] as const) {
    await store.append(messageFor(ids.next(), { dueMs, login }), { claim: false });
  }
  assert.deepEqual([await store.heldFor("alice"), await store.heldFor("bob"), await store.heldFor("eve")], [2, 1, 0]);
});

test("a shard that an older program made or used gets what it lacks", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await openedStore(directory, { clock });
  const held = ids.next();
  await store.append(messageFor(held, { dueMs: LATER, login: "alice" }), { claim: false });
  await store.close();
  const change = (sql: string) => {
    const db = new DatabaseSync(join(directory, "shard-00", "queue.sqlite"));
    db.exec(sql);
    db.close();
  };
  change("DELETE FROM message; DELETE FROM recipient; DELETE FROM content");
  const second = await openedStore(directory, { clock });
  assert.equal(await second.store.heldFor("alice"), 0, "the row that was left behind is gone");
  await second.store.close();
  change("DROP TABLE future_release");
  const third = await storeIn(t, directory, { clock });
  await third.store.append(messageFor(third.ids.next(), { dueMs: LATER, login: "alice" }), { claim: false });
  assert.equal(await third.store.heldFor("alice"), 1);
});

test("FR-02: what is put back of a damaged shard is held as before", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await openedStore(directory, { clock });
  const held = ids.next();
  await store.append(messageFor(held, { dueMs: LATER, login: "alice" }), { claim: false });
  await store.append(messageFor(ids.next(), { dueMs: NOW }), { claim: false });
  await store.close();
  mkdirSync(join(directory, "corrupt"));
  renameSync(join(directory, "shard-00"), join(directory, "corrupt", "shard-00-1"));
  const damaged = damagedAt(join(directory, "corrupt", "shard-00-1"));
  const { shard } = rebuildShard(damaged, { queueDirectory: directory, atLeast: 1 });
  const again = await storeIn(t, directory, { clock, shard: shard ?? -1 });
  assert.deepEqual(await again.store.flush([held]), []);
  assert.deepEqual([await again.store.heldFor("alice"), await again.store.heldFor("[192.0.2.1]")], [1, 0]);
});
