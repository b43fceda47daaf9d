/** flushReason(): finds recipients by what they wait for, over pages and shards, and leaves all others alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueStore } from "./store.ts";
import { LANE, messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

const FAR = 9e15;
const LATER = Date.UTC(2100, 0);

async function deferred(store: QueueStore, queueId: QueueId, reasons: readonly string[]): Promise<void> {
  const recipients = reasons.map((_, i) => `u${i}@example.net`);
  await store.append(messageFor(queueId, { recipients }), { claim: true });
  const rows = reasons.map((reason, i) => ({ id: i + 1, dueMs: FAR, reason }));
  await store.settle({ queueId, done: [], deferred: rows, append: [] });
}

test("flushReason() makes due who waits for exactly that reason, and nobody else", async (t) => {
  const { store, ids } = await storeIn(t, temporaryDirectory(t));
  const [both, held, claimed] = [ids.next(), ids.next(), ids.next()];
  await deferred(store, both, ["paused: smtp", "paused: smtp:x"]);
  await deferred(store, held, ["paused: smtp"]);
  await store.hold([held]);
  await store.append(messageFor(claimed), { claim: true });
  assert.equal(await store.flushReason("paused: smtp"), 1);
  assert.equal(await store.flushReason("paused: smtp"), 0, "due already");
  const due = await store.claimDue(LANE, LATER, 100);
  assert.deepEqual(
    due.map(({ envelope, recipients }) => [envelope.queueId, recipients.map(({ id }) => id)]),
    [[both, [1]]],
  );
});

test("flushReason() goes through a queue of several pages", async (t) => {
  const { store, ids } = await storeIn(t, temporaryDirectory(t));
  const all = Array.from({ length: 11_000 }, () => ids.next());
  await Promise.all(all.map((id, i) => deferred(store, id, [i % 5000 === 4999 || i === 10_999 ? "this" : "that"])));
  assert.equal(await store.flushReason("this"), 3);
});
