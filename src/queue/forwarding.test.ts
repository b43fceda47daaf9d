/** settle() with forwards: the content of a message goes on under new queue ids, whatever its size, in one commit. */
import assert from "node:assert/strict";
import { linkSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { listShards } from "./directory.ts";
import type { ForwardedCopy } from "./store.ts";
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

const HEAD = Buffer.from("Received: by here\r\nDelivered-To: list@example.org\r\n");

function copyFor(queueId: QueueId, addresses = ["x@far.test", "y@far.test"]): ForwardedCopy {
  const { envelope } = messageFor(queueId);
  const recipients = addresses.map((text) => ({
    ...{ address: asAddress(text), original: asAddress("list@example.org") },
    ...{ dsn: { notify: ["NEVER"] as const }, lane: LANE, dueMs: 1000 },
  }));
  return { envelope: { ...envelope, sender: asAddress("owner-list@example.org") }, head: HEAD, recipients };
}

function contentFiles(directory: string, shard = "shard-00"): readonly string[] {
  return readdirSync(join(directory, shard, "content")).sort();
}

const BODIES = [
  { bytes: 100, files: 0, why: "a body in the database" },
  { bytes: 5000, files: 1, why: "a body in a file" },
];
for (const c of BODIES) {
  test(`settle() forwards ${c.why}`, async (t) => {
    const directory = temporaryDirectory(t);
    const { store, ids } = await storeIn(t, directory, { inlineLimit: 1000 });
    const [queueId, first, second] = [ids.next(), ids.next(), ids.next()];
    const bytes = bodyFor(queueId, c.bytes);
    const body = await storedBody(store, queueId, { bytes, pieceBytes: 700 });
    await store.append(messageFor(queueId, { body }), { claim: true });
    const forwards = [copyFor(first), copyFor(second, ["z@far.test"])];
    const { removed, appended } = await store.settle({ queueId, done: [1], deferred: [], append: [], forwards });
    assert.equal(removed, true);
    const whole = Buffer.concat([HEAD, HEADER, bytes]);
    assert.equal(appended.length, 2);
    for (const [i, message] of appended.entries()) {
      assert.equal(message.envelope.queueId, [first, second][i]);
      assert.equal(message.envelope.sender, "owner-list@example.org");
      assert.equal(message.sizeBytes, whole.length);
      assert.deepEqual(await bytesOf(message.content), whole, "the original is gone, its content is not");
    }
    const [claimed] = appended;
    assert.deepEqual(
      claimed?.recipients.map((r) => [r.id, r.address, r.original, r.dsn?.notify, r.reason]),
      [
        [1, "x@far.test", "list@example.org", ["NEVER"], ""],
        [2, "y@far.test", "list@example.org", ["NEVER"], ""],
      ],
    );
    assert.deepEqual(await queueOf(store), { [first]: "active", [second]: "active" });
    assert.equal(contentFiles(directory).length, 2 * c.files);
    await store.settle({ queueId: first, done: [1, 2], deferred: [], append: [] });
    await store.settle({ queueId: second, done: [1], deferred: [], append: [] });
    assert.deepEqual(contentFiles(directory), [], "each name goes with its message");
  });
}

test("a forwarded file is the original's, not a copy of its bytes", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory, { inlineLimit: 10 });
  const [queueId, copy] = [ids.next(), ids.next()];
  const body = await storedBody(store, queueId, { bytes: bodyFor(queueId, 100), pieceBytes: 100 });
  await store.append(messageFor(queueId, { body, recipients: ["a@x", "b@x"] }), { claim: true });
  const { removed } = await store.settle({ queueId, done: [1], deferred: [], append: [], forwards: [copyFor(copy)] });
  assert.equal(removed, false, "the other recipient stays");
  const inodes = contentFiles(directory).map((name) => statSync(join(directory, "shard-00/content", name)).ino);
  assert.equal(inodes.length, 2);
  assert.equal(inodes[0], inodes[1]);
});

test("a forwarded message is found again by the next life, and what no commit named is removed", async (t) => {
  const directory = temporaryDirectory(t);
  const before = await storeIn(t, directory, { inlineLimit: 10 });
  const [queueId, copy, never] = [before.ids.next(), before.ids.next(), before.ids.next()];
  const bytes = bodyFor(queueId, 100);
  const body = await storedBody(before.store, queueId, { bytes, pieceBytes: 100 });
  await before.store.append(messageFor(queueId, { body }), { claim: true });
  await before.store.settle({ queueId, done: [1], deferred: [], append: [], forwards: [copyFor(copy)] });
  await before.store.close();
  const content = join(directory, "shard-00/content");
  linkSync(join(content, `${copy}.0`), join(content, `${never}.0`)); // a crash between the link and the commit
  const { store } = await storeIn(t, directory, { inlineLimit: 10 });
  assert.deepEqual(contentFiles(directory), [`${copy}.0`]);
  const [claimed] = await store.claimDue(LANE, 2000, 10);
  assert.ok(claimed);
  assert.equal(claimed.remaining, 2);
  assert.deepEqual(await bytesOf(claimed.content), Buffer.concat([HEAD, HEADER, bytes]));
});

test("a settlement that is tried again forwards once", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory, { inlineLimit: 10 });
  const [queueId, copy, other] = [ids.next(), ids.next(), ids.next()];
  const body = await storedBody(store, queueId, { bytes: bodyFor(queueId, 100), pieceBytes: 100 });
  await store.append(messageFor(queueId, { body }), { claim: true });
  await store.append(messageFor(other), { claim: true });
  const settlement = { queueId, done: [1], deferred: [], forwards: [copyFor(copy)] };
  await assert.rejects(store.settle({ ...settlement, append: [messageFor(other)] }), { name: "QueueError" });
  assert.deepEqual(await queueOf(store), { [queueId]: "active", [other]: "active" });
  const { removed, appended } = await store.settle({ ...settlement, append: [] });
  assert.deepEqual([removed, appended.length], [true, 1]);
  assert.deepEqual(await queueOf(store), { [copy]: "active", [other]: "active" });
});

test("settle() of a message that an operator deleted forwards nothing", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory);
  const [queueId, copy] = [ids.next(), ids.next()];
  await store.append(messageFor(queueId), { claim: true });
  await store.delete([queueId]);
  const settled = await store.settle({ queueId, done: [1], deferred: [], append: [], forwards: [copyFor(copy)] });
  assert.deepEqual(settled, { removed: true, appended: [] });
  assert.deepEqual(await queueOf(store), {});
});

test("what an adopted shard forwards stays in it until it has left", async (t) => {
  const directory = temporaryDirectory(t);
  const dead = await storeIn(t, directory, { shard: 3, inlineLimit: 10 });
  const queueId = dead.ids.next();
  const bytes = bodyFor(queueId, 100);
  const body = await storedBody(dead.store, queueId, { bytes, pieceBytes: 100 });
  await dead.store.append(messageFor(queueId, { body }), { claim: false });
  await dead.store.close();
  const { store, ids } = await storeIn(t, directory, { shard: 0, inlineLimit: 10 });
  await store.adopt(3);
  assert.equal((await store.claimDue(LANE, 2000, 10)).length, 1);
  const copy = ids.next();
  const { appended } = await store.settle({
    ...{ queueId, done: [1], deferred: [], append: [] },
    forwards: [copyFor(copy)],
  });
  const [message] = appended;
  assert.ok(message);
  assert.deepEqual(await bytesOf(message.content), Buffer.concat([HEAD, HEADER, bytes]));
  assert.deepEqual(listShards(directory), [0, 3]);
  await store.settle({ queueId: copy, done: [1, 2], deferred: [], append: [] });
  assert.deepEqual(listShards(directory), [0]);
});
