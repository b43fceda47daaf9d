/** What a listing and a message that is read tell of its recipients' tries and of its sender's wishes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueStore } from "./store.ts";
import { LANE, messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

const TWO = ["bob@example.net", "carol@example.net"];

const states: readonly {
  why: string;
  run: (store: QueueStore, id: QueueId) => Promise<unknown>;
  nextTryMs: readonly (number | undefined)[];
}[] = [
  { why: "both wait", run: async () => undefined, nextTryMs: [1000, 1000] },
  { why: "one is being delivered", run: (store) => store.claimDue(LANE, 2000, 1), nextTryMs: [undefined, 1000] },
  { why: "both are", run: (store) => store.claimDue(LANE, 2000, 2), nextTryMs: [undefined, undefined] },
  { why: "held by the operator", run: (store, id) => store.hold([id]), nextTryMs: [undefined, undefined] },
  {
    why: "deferred to different times",
    run: async (store, queueId) => {
      await store.claimDue(LANE, 2000, 2);
      const deferred = [7000, 5000].map((dueMs, i) => ({ id: i + 1, dueMs, reason: "later" }));
      await store.settle({ queueId, done: [], deferred, append: [] });
    },
    nextTryMs: [7000, 5000],
  },
];
for (const { why, run, nextTryMs } of states) {
  test(`the next try: ${why}`, async (t) => {
    const { store, ids } = await storeIn(t, temporaryDirectory(t));
    const id = ids.next();
    await store.append(messageFor(id, { recipients: TWO }), { claim: false });
    await run(store, id);
    const [listed] = await store.list({ limit: 10 });
    const waiting = nextTryMs.filter((ms) => ms !== undefined);
    assert.equal(listed?.nextTryMs, waiting.length === 0 ? undefined : Math.min(...waiting));
    const read = (await store.read(id))?.listing.recipients.map((recipient) => [recipient.lane, recipient.nextTryMs]);
    assert.deepEqual(
      read,
      nextTryMs.map((ms) => [LANE, ms]),
    );
  });
}

const wishes: readonly (readonly [why: string, envelope: Partial<Envelope>, listed?: object])[] = [
  ["none", {}, {}],
  ["REQUIRETLS", { requireTls: true }],
  ["TLS-Required: No", { tlsOptional: true }],
  ["a priority, though it is the usual one", { priority: 0 }],
  ["a time", { deliverBy: { untilMs: 5000, mode: "R", trace: false } }],
  ["a filter", { filter: "smtp:scan" }],
  ["held", { futureRelease: { untilMs: 5000, request: "for;5" } }, { heldUntilMs: 5000 }],
];
for (const [why, envelope, listed = envelope] of wishes) {
  test(`a listing tells of wishes: ${why}`, async (t) => {
    const { store, ids } = await storeIn(t, temporaryDirectory(t));
    const message = messageFor(ids.next());
    await store.append({ ...message, envelope: { ...message.envelope, ...envelope } }, { claim: false });
    const [found] = await store.list({ limit: 1 });
    const { queueId, queue, arrivalMs, sizeBytes, sender, recipients, nextTryMs, ...rest } = found ?? assert.fail();
    assert.deepEqual(rest, listed);
  });
}
