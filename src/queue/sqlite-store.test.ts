/** The store as its users see it: every state and the operation that moves it, bodies, bounces, adoption. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RecipientDsn } from "../mail/dsn.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { checkQueueDirectory } from "./directory.ts";
import type { QueueStore } from "./store.ts";
import {
  bodyFor,
  bytesOf,
  HEADER,
  idsOf,
  LANE,
  messageFor,
  type OpenedStore,
  openedStore,
  queueOf,
  storedBody,
  storeIn,
  temporaryDirectory,
} from "./testdata/fixture.ts";

const NOW = 2000;

/** One store for all tests that do not need their own: a thread takes longer to start than most of them run. */
let shared: (OpenedStore & { readonly directory: string }) | undefined;

async function emptied(): Promise<OpenedStore & { readonly directory: string }> {
  assert.ok(shared);
  await shared.store.delete("ALL");
  return shared;
}

before(async () => {
  const directory = mkdtempSync(join(tmpdir(), "queue-"));
  shared = { ...(await openedStore(directory, { inlineLimit: 1000 })), directory };
});

after(async () => {
  await shared?.store.close();
  rmSync(shared?.directory ?? "", { recursive: true, force: true });
});

/** Each row: what is done to one waiting message, where it is listed then, how many recipients can be claimed. */
const STATES: readonly {
  why: string;
  claim?: boolean;
  hold?: boolean;
  run: (store: QueueStore, id: QueueId) => Promise<unknown>;
  queue: string | undefined;
  claimable: number;
}[] = [
  { why: "append: waiting", run: async () => {}, queue: "incoming", claimable: 2 },
  { why: "append with claim: claimed", claim: true, run: async () => {}, queue: "active", claimable: 0 },
  {
    why: "append with hold: held, never claimed",
    claim: true,
    hold: true,
    run: async () => {},
    queue: "hold",
    claimable: 0,
  },
  { why: "claimDue: claimed", run: (s) => s.claimDue(LANE, NOW, 10), queue: "active", claimable: 0 },
  { why: "claimDue with a limit takes some", run: (s) => s.claimDue(LANE, NOW, 1), queue: "active", claimable: 1 },
  {
    why: "claimDue before the due time takes none",
    run: (s) => s.claimDue(LANE, 999, 9),
    queue: "incoming",
    claimable: 2,
  },
  { why: "claimDue of another lane takes none", run: (s) => s.claimDue("x", NOW, 9), queue: "incoming", claimable: 2 },
  {
    why: "unclaim: waiting, due as before",
    claim: true,
    run: (s, id) => s.unclaim(id, [1]),
    queue: "active",
    claimable: 1,
  },
  {
    why: "settle deferred: waiting with a new due time",
    claim: true,
    run: (s, queueId) =>
      s.settle({ queueId, done: [1], deferred: [{ id: 2, dueMs: NOW, reason: "later" }], append: [] }),
    queue: "deferred",
    claimable: 1,
  },
  {
    why: "settle deferred into the future: not due",
    claim: true,
    run: (s, queueId) =>
      s.settle({ queueId, done: [1], deferred: [{ id: 2, dueMs: NOW + 1, reason: "later" }], append: [] }),
    queue: "deferred",
    claimable: 0,
  },
  {
    why: "settle of one recipient leaves the other claimed",
    claim: true,
    run: (s, queueId) => s.settle({ queueId, done: [2], deferred: [], append: [] }),
    queue: "active",
    claimable: 0,
  },
  {
    why: "settle of all: gone",
    claim: true,
    run: (s, queueId) => s.settle({ queueId, done: [1, 2], deferred: [], append: [] }),
    queue: undefined,
    claimable: 0,
  },
  { why: "requeue: waiting", run: (s, id) => s.requeue([id], "retry:"), queue: "incoming", claimable: 0 },
  { why: "hold: held", run: (s, id) => s.hold([id]), queue: "hold", claimable: 0 },
  {
    why: "hold while claimed: held once it is deferred",
    claim: true,
    run: async (s, queueId) => {
      await s.hold([queueId]);
      const deferred = [1, 2].map((id) => ({ id, dueMs: 0, reason: "r" }));
      await s.settle({ queueId, done: [], deferred, append: [] });
    },
    queue: "hold",
    claimable: 0,
  },
  {
    why: "hold, then unclaim: held",
    claim: true,
    run: async (s, id) => {
      await s.hold([id]);
      await s.unclaim(id, [1, 2]);
    },
    queue: "hold",
    claimable: 0,
  },
  {
    why: "release: waiting and due",
    hold: true,
    run: (s, id) => s.release([id]),
    queue: "incoming",
    claimable: 2,
  },
  { why: "delete: gone", run: (s, id) => s.delete([id]), queue: undefined, claimable: 0 },
  { why: "delete ALL: gone", run: (s) => s.delete("ALL"), queue: undefined, claimable: 0 },
];

for (const row of STATES) {
  test(`QueueStore state: ${row.why}`, async () => {
    const { store, ids } = await emptied();
    const id = ids.next();
    const message = messageFor(id, { recipients: ["a@example.net", "b@example.net"], hold: row.hold ?? false });
    const claimed = await store.append(message, { claim: row.claim ?? false });
    assert.equal(claimed !== undefined, row.claim === true && row.hold !== true);
    await row.run(store, id);
    assert.equal((await queueOf(store))[id], row.queue);
    const due = await store.claimDue(LANE, NOW, 10);
    assert.equal(due.flatMap((m) => m.recipients).length, row.claimable);
  });
}

test("a claimed message holds what was appended, from memory and from the queue alike", async () => {
  const { store, ids } = await emptied();
  const [first, second] = [ids.next(), ids.next()];
  const fromMemory = await store.append(messageFor(first, { recipients: ["a@x", "b@x"] }), { claim: true });
  await store.append(messageFor(second, { recipients: ["a@x", "b@x"] }), { claim: false });
  const [fromQueue] = await store.claimDue(LANE, NOW, 10);
  assert.ok(fromMemory && fromQueue);
  for (const [message, id] of [
    [fromMemory, first],
    [fromQueue, second],
  ] as const) {
    assert.equal(message.envelope.queueId, id);
    assert.equal(message.envelope.origin.clientName, "client.example.org");
    assert.equal(message.remaining, 2);
    assert.deepEqual(
      message.recipients.map((r) => [r.id, r.address, r.original, r.lane, r.dueMs, r.reason]),
      [
        [1, "a@x", "orig-a@x", LANE, 1000, ""],
        [2, "b@x", "orig-b@x", LANE, 1000, ""],
      ],
    );
    const bytes = await bytesOf(message.content);
    assert.equal(bytes.length, message.sizeBytes);
    assert.deepEqual(bytes, Buffer.concat([HEADER, bodyFor(id, 100)]));
    assert.deepEqual(await bytesOf(message.content), bytes, "chunks() starts again");
  }
});

test("a deferred recipient keeps its reason", async () => {
  const { store, ids } = await emptied();
  const queueId = ids.next();
  await store.append(messageFor(queueId), { claim: true });
  const lastTry = { dsn: "4.4.1", diagnostic: "smtp; 450 x" };
  const deferred = [{ id: 1, dueMs: 5, reason: "Connection refused", lastTry }];
  await store.settle({ queueId, done: [], deferred, append: [] });
  const [listed] = await store.list({ limit: 10 });
  assert.deepEqual(listed?.recipients, [{ address: "bob@example.net", reason: "Connection refused" }]);
  const [claimed] = await store.claimDue(LANE, 5, 1);
  assert.equal(claimed?.recipients[0]?.reason, "Connection refused");
  assert.deepEqual(claimed?.recipients[0]?.lastTry, lastTry);
});

test("what the client asked about reports is kept with its recipient", async () => {
  const { store, ids } = await emptied();
  const id = ids.next();
  const plain = messageFor(id, { recipients: ["a@x.test", "b@x.test"] });
  const dsn: RecipientDsn = { notify: ["SUCCESS", "DELAY"], orcpt: "rfc822;Bob+\u00fc@Example.ORG" };
  const recipients = plain.recipients.map((recipient, i) => (i === 0 ? { ...recipient, dsn } : recipient));
  const envelope = { ...plain.envelope, dsn: { ret: "HDRS" as const, envid: "QQ 314159" } };
  await store.append({ ...plain, envelope, recipients }, { claim: false });
  const [claimed] = await store.claimDue(LANE, NOW, 10);
  assert.deepEqual(claimed?.envelope.dsn, envelope.dsn);
  assert.deepEqual(
    claimed?.recipients.map((recipient) => recipient.dsn),
    [dsn, undefined],
  );
});

test("delayed() lists who waits after a try, until settle() says that the sender was told", async () => {
  const { store, ids } = await emptied();
  const id = ids.next();
  await store.append(messageFor(id, { recipients: ["a@x.test", "b@x.test", "c@x.test"] }), { claim: true });
  const again = (recipient: number) => ({ id: recipient, dueMs: NOW, reason: "timed out" });
  await store.settle({ queueId: id, done: [], deferred: [again(1), again(2)], append: [] });
  await store.unclaim(id, [3]);
  const delayed = async (limit = 10) => (await store.delayed(id, limit)).map(({ address }) => address);
  assert.deepEqual(await delayed(), ["a@x.test", "b@x.test"]);
  assert.deepEqual(await delayed(1), ["a@x.test"]);
  const [claimed] = await store.claimDue(LANE, NOW, 10);
  const first = claimed?.recipients.find(({ id: one }) => one === 1);
  assert.ok(first);
  await store.settle({ queueId: id, done: [], deferred: [again(1), again(2), again(3)], warned: [1, 2], append: [] });
  assert.deepEqual(await delayed(), ["c@x.test"]);
  const [later] = await store.claimDue(LANE, NOW, 10);
  assert.deepEqual(later?.recipients.map(({ id: one, warned }) => [one, warned]).sort(), [
    [1, true],
    [2, true],
    [3, false],
  ]);
});

for (const sizeBytes of [0, 1, 999, 1000, 1001, 200_000]) {
  test(`a body of ${sizeBytes} bytes with a limit of 1000 comes back whole and leaves nothing behind`, async () => {
    const { store, ids, directory } = await emptied();
    const queueId = ids.next();
    const bytes = bodyFor(queueId, sizeBytes);
    const body = await storedBody(store, queueId, { bytes, pieceBytes: 700 });
    assert.equal(body.kind, sizeBytes > 1000 ? "file" : "inline");
    const claimed = await store.append(messageFor(queueId, { body }), { claim: true });
    const want = Buffer.concat([HEADER, bytes]);
    assert.ok(claimed);
    assert.deepEqual(await bytesOf(claimed.content), want);
    const read = await store.read(queueId);
    assert.ok(read);
    assert.deepEqual(await bytesOf(read.content), want);
    assert.equal(read.listing.sizeBytes, want.length);
    await store.settle({ queueId, done: [1], deferred: [], append: [] });
    assert.deepEqual(readdirSync(join(directory, "shard-00", "content")), []);
    await assert.rejects(bytesOf(read.content), { name: "QueueError" });
  });
}

test("abort() removes the file, before and after finish()", async () => {
  const { store, ids, directory } = await emptied();
  for (const finish of [false, true]) {
    const writer = store.beginBody(ids.next());
    await writer.write(new Uint8Array(1001));
    if (finish) await writer.finish();
    assert.equal(readdirSync(join(directory, "shard-00", "content")).length, 1);
    await writer.abort();
    await writer.abort();
    assert.deepEqual(readdirSync(join(directory, "shard-00", "content")), []);
  }
});

test("settle() removes the original and appends its bounce in one step", async () => {
  const { store, ids } = await emptied();
  const [queueId, bounce] = [ids.next(), ids.next()];
  await store.append(messageFor(queueId), { claim: true });
  const settled = await store.settle({ queueId, done: [1], deferred: [], append: [messageFor(bounce)] });
  assert.equal(settled.removed, true);
  assert.deepEqual(
    settled.appended.map((m) => m.envelope.queueId),
    [bounce],
  );
  assert.deepEqual(await queueOf(store), { [bounce]: "active" });
});

test("settle() with a bounce that cannot be stored leaves the original as it was", async () => {
  const { store, ids } = await emptied();
  const [queueId, other] = [ids.next(), ids.next()];
  await store.append(messageFor(queueId), { claim: true });
  await store.append(messageFor(other), { claim: true });
  const settle = store.settle({ queueId, done: [1], deferred: [], append: [messageFor(other)] });
  await assert.rejects(settle, { name: "QueueError" });
  assert.deepEqual(await queueOf(store), { [queueId]: "active", [other]: "active" });
});

test("settle() of a message that an operator deleted appends nothing", async () => {
  const { store, ids } = await emptied();
  const [queueId, bounce] = [ids.next(), ids.next()];
  await store.append(messageFor(queueId), { claim: true });
  await store.delete([queueId]);
  const settled = await store.settle({ queueId, done: [1], deferred: [], append: [messageFor(bounce)] });
  assert.deepEqual(settled, { removed: true, appended: [] });
  assert.deepEqual(await queueOf(store), {});
});

test("one bad message does not fail its neighbours in the same batch", async () => {
  const { store, ids } = await emptied();
  const twice = ids.next();
  await store.append(messageFor(twice), { claim: false });
  const good = Array.from({ length: 20 }, () => ids.next());
  const all = [...good.slice(0, 10), twice, ...good.slice(10)];
  const results = await Promise.allSettled(all.map((id) => store.append(messageFor(id), { claim: false })));
  assert.deepEqual(
    results.map((r, i) => r.status === "rejected" && all[i] !== twice),
    all.map(() => false),
  );
  assert.equal(results[10]?.status, "rejected");
  assert.equal((await store.list({ limit: 100 })).length, 21);
});

test("append() refuses what must never become a path or a key", async () => {
  const { store, ids } = await emptied();
  const bad = { kind: "file", name: "../../etc/passwd", sizeBytes: 1 } as const;
  await assert.rejects(store.append(messageFor(ids.next(), { body: bad }), { claim: false }), { name: "QueueError" });
  await assert.rejects(store.append(messageFor("no-id" as QueueId), { claim: false }), { name: "QueueError" });
  await assert.rejects(store.append(messageFor(ids.next(), { recipients: [] }), { claim: false }), {
    name: "QueueError",
  });
});

test("dueLanes() lists waiting lanes, earliest first, without held and claimed recipients", async () => {
  const { store, ids } = await emptied();
  const add = (lane: string, dueMs: number, options: { hold?: boolean; claim?: boolean } = {}) =>
    store.append(messageFor(ids.next(), { lane, dueMs, hold: options.hold ?? false }), {
      claim: options.claim ?? false,
    });
  await Promise.all([add("b", 300), add("b", 100), add("a", 200), add("held", 1, { hold: true })]);
  await Promise.all([add("claimed", 1, { claim: true }), add("c", 400)]);
  assert.deepEqual(await store.dueLanes(2), [
    { lane: "b", earliestDueMs: 100 },
    { lane: "a", earliestDueMs: 200 },
  ]);
  assert.equal((await store.dueLanes(10)).length, 3);
});

test("claimDue() takes the oldest due first", async () => {
  const { store, ids } = await emptied();
  const [late, early] = [ids.next(), ids.next()];
  await store.append(messageFor(late, { dueMs: 20 }), { claim: false });
  await store.append(messageFor(early, { dueMs: 10 }), { claim: false });
  const claimed = await store.claimDue(LANE, 100, 1);
  assert.deepEqual(
    claimed.map((m) => m.envelope.queueId),
    [early],
  );
});

test("hold, release, flush and delete of ALL touch each message once, over several pages", async () => {
  const { store, ids } = await emptied();
  const all = Array.from({ length: 1100 }, () => ids.next());
  await Promise.all(all.map((id) => store.append(messageFor(id, { dueMs: 9e15 }), { claim: false })));
  assert.deepEqual(await store.hold("ALL"), all);
  assert.deepEqual(await store.hold("ALL"), [], "held already");
  assert.deepEqual(await store.flush("ALL"), [], "flush does not move held mail");
  assert.deepEqual(await store.release("ALL"), all);
  assert.deepEqual(await store.flush("ALL"), [], "release has made them due");
  assert.deepEqual(await store.hold(all.slice(0, 700)), all.slice(0, 700));
  assert.deepEqual(await store.hold(["nonsense" as QueueId, ids.next()]), []);
  assert.deepEqual(await store.delete("ALL"), all);
  assert.deepEqual(await store.list({ limit: 1 }), []);
});

test("flush() makes deferred recipients due now", async () => {
  const { store, ids } = await emptied();
  const id = ids.next();
  await store.append(messageFor(id, { dueMs: 9e15 }), { claim: false });
  assert.deepEqual(await store.flush("ALL"), [id]);
  assert.equal((await store.claimDue(LANE, Date.UTC(2100, 0), 1)).length, 1);
});

test("list() pages in order of queue id", async () => {
  const { store, ids } = await emptied();
  const all = Array.from({ length: 7 }, () => ids.next());
  for (const id of all) await store.append(messageFor(id), { claim: false });
  const listed: QueueId[] = [];
  for (let after: QueueId | undefined; ; ) {
    const page = await store.list({ after, limit: 3 });
    if (page.length === 0) break;
    listed.push(...page.map((entry) => entry.queueId));
    after = listed.at(-1);
  }
  assert.deepEqual(listed, all);
});

test("floorMicros remembers the newest id even after its message has left", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory);
  const queueId = ids.next();
  await store.append(messageFor(queueId), { claim: true });
  await store.settle({ queueId, done: [1], deferred: [], append: [] });
  await store.close();
  const again = await storeIn(t, directory);
  assert.ok(again.store.floorMicros > 1.7e15);
  assert.notEqual(idsOf(0, again.store.floorMicros).next(), queueId);
});

test("close() answers what was asked before, and refuses what comes after", async (t) => {
  const { store, ids } = await storeIn(t, temporaryDirectory(t));
  const append = store.append(messageFor(ids.next()), { claim: false });
  await store.close();
  await append;
  await assert.rejects(store.append(messageFor(ids.next()), { claim: false }), { name: "QueueError" });
});

test("freeBytes() is the file system's", async () => {
  const { store } = await emptied();
  assert.ok(store.freeBytes() > 0);
});

test("checkQueueDirectory() refuses Postfix's layout", async (t) => {
  const directory = temporaryDirectory(t);
  assert.equal(checkQueueDirectory(join(directory, "none")), undefined);
  assert.equal(checkQueueDirectory(directory), undefined);
  mkdirSync(join(directory, "incoming"));
  mkdirSync(join(directory, "active"));
  assert.equal(checkQueueDirectory(directory), undefined, "two names are no proof");
  mkdirSync(join(directory, "deferred"));
  assert.match(checkQueueDirectory(directory) ?? "", /belongs to Postfix/);
  await assert.rejects(storeIn(t, directory), /belongs to Postfix/);
  assert.ok(!existsSync(join(directory, "shard-00")));
});
