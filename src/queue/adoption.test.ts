/** Adoption: a shard whose worker no longer exists drains through another one's store and is removed. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listShards } from "./directory.ts";
import {
  bodyFor,
  bytesOf,
  HEADER,
  LANE,
  messageFor,
  queueOf,
  storedBody,
  storeIn,
  temporaryDirectory,
} from "./testdata/fixture.ts";

const NOW = 2000;

test("adopt() drains another shard, bounces included, and removes it", async (t) => {
  const directory = temporaryDirectory(t);
  const dead = await storeIn(t, directory, { shard: 3, inlineLimit: 10 });
  const [small, large] = [dead.ids.next(), dead.ids.next()];
  const bytes = bodyFor(large, 5000);
  const body = await storedBody(dead.store, large, { bytes, pieceBytes: 999 });
  await dead.store.append(messageFor(small), { claim: true });
  await dead.store.append(messageFor(large, { body }), { claim: false });
  await dead.store.close();

  const { store, ids } = await storeIn(t, directory, { shard: 0, inlineLimit: 10 });
  const own = ids.next();
  await store.append(messageFor(own, { dueMs: 1 }), { claim: false });
  await store.adopt(3);
  assert.deepEqual(
    (await store.list({ limit: 10 })).map((e) => e.queueId),
    [small, large, own],
  );
  const claimed = await store.claimDue(LANE, NOW, 10);
  assert.equal(claimed.length, 3);
  const content = claimed.find((m) => m.envelope.queueId === large)?.content;
  assert.ok(content);
  assert.deepEqual(await bytesOf(content), Buffer.concat([HEADER, bytes]));

  const bounce = ids.next();
  const bounceBody = await storedBody(store, bounce, { bytes: bodyFor(bounce, 50), pieceBytes: 50 });
  await store.settle({ queueId: small, done: [1], deferred: [], append: [] });
  const settled = await store.settle({
    queueId: large,
    done: [1],
    deferred: [],
    append: [messageFor(bounce, { body: bounceBody })],
  });
  const [appended] = settled.appended;
  assert.ok(appended);
  assert.deepEqual(await bytesOf(appended.content), Buffer.concat([HEADER, bodyFor(bounce, 50)]));
  assert.deepEqual(listShards(directory), [0, 3], "the bounce keeps the shard");
  store.markInFlight?.(bounce);
  await store.settle({ queueId: bounce, done: [1], deferred: [], append: [] });
  store.clearInFlight?.(bounce);
  assert.deepEqual(listShards(directory), [0]);
  assert.deepEqual(await queueOf(store), { [own]: "active" });
});

test("an adopted shard that drains while it is asked has nothing to say", async (t) => {
  const directory = temporaryDirectory(t);
  const { store } = await storeIn(t, directory, { shard: 0 });
  for (let round = 1; round <= 5; round++) {
    const dead = await storeIn(t, directory, { shard: round });
    const queueId = dead.ids.next();
    await dead.store.append(messageFor(queueId), { claim: false });
    await dead.store.close();
    await store.adopt(round);
    assert.equal((await store.claimDue(LANE, NOW, 10)).length, 1);
    let settled = false;
    const settle = store.settle({ queueId, done: [1], deferred: [], append: [] }).then(() => (settled = true));
    const asked: Promise<unknown>[] = [];
    while (!settled) {
      asked.push(store.list({ limit: 10 }), store.dueLanes(10), store.claimDue(LANE, NOW, 10), store.flush("ALL"));
      asked.push(store.read(queueId));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settle;
    await Promise.all(asked);
  }
});

test("adopt() of an empty shard removes it at once; of a missing or locked one it is refused", async (t) => {
  const directory = temporaryDirectory(t);
  const other = await storeIn(t, directory, { shard: 5 });
  const { store } = await storeIn(t, directory);
  await assert.rejects(store.adopt(5), /in use by another process/);
  await assert.rejects(store.adopt(9), /does not exist/);
  await other.store.close();
  await store.adopt(5);
  assert.deepEqual(listShards(directory), [0]);
  assert.deepEqual(await store.list({ limit: 1 }), []);
});

test("what a killed removal of a drained shard left is removed at the next start, and is no damage", async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "shard-04.drained", "content"), { recursive: true });
  writeFileSync(join(directory, "shard-04.drained", "inflight"), "");
  const other = await storeIn(t, directory, { shard: 1 });
  assert.deepEqual(readdirSync(directory).sort(), ["shard-01", "shard-04.drained"], "left to the one that adopts");
  const { logged } = await storeIn(t, directory);
  assert.deepEqual(readdirSync(directory).sort(), ["shard-00", "shard-01"]);
  assert.deepEqual([...logged, ...other.logged], []);
});
