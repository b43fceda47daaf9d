/** listQueue(): every message once, in order, in few requests; pages that are too large are asked for again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueListing } from "../queue/store.ts";
import { listQueue, type QueueDoor } from "./queue-access.ts";

const to = asAddress("bob@example.net");

function queueOf(count: number, recipients: number): readonly QueueListing[] {
  return Array.from({ length: count }, (_, i) => ({
    queueId: String(i).padStart(6, "0") as QueueId,
    queue: "deferred",
    arrivalMs: 0,
    sizeBytes: 1,
    sender: to,
    recipients: Array.from({ length: recipients }, () => ({ address: to, reason: "" })),
  }));
}

/** Answers as the master does; fails when an answer would hold more than `most` recipients. */
function doorTo(all: readonly QueueListing[], most: number) {
  const asked: number[] = [];
  const door: QueueDoor = {
    ask: async ({ after, limit = 0 }) => {
      asked.push(limit);
      const page = all.filter(({ queueId }) => after === undefined || queueId > after).slice(0, limit);
      if (page.reduce((sum, entry) => sum + entry.recipients.length, 0) > most)
        throw new Error("the answer is too long");
      return page;
    },
  };
  return { door, asked };
}

for (const { why, all, most = 1e9, requests } of [
  { why: "an empty queue", all: queueOf(0, 1), requests: [200] },
  { why: "exactly one page", all: queueOf(200, 1), requests: [200, 400] },
  { why: "a long queue", all: queueOf(10_000, 1), requests: [200, 400, 800, 1600, 3200, 3200, 3200] },
  { why: "messages with many recipients", all: queueOf(700, 50), requests: [200, 200, 200, 200] },
  {
    why: "many recipients after few",
    all: [...queueOf(300, 1), ...queueOf(700, 100).slice(300)],
    most: 25_000,
    requests: [200, 400, 200, 200, 200],
  },
]) {
  test(`listQueue() ${why}`, async () => {
    const { door, asked } = doorTo(all, most);
    const listed: string[] = [];
    for await (const { queueId } of listQueue(door)) listed.push(queueId);
    assert.deepEqual(
      listed,
      all.map(({ queueId }) => queueId),
    );
    assert.deepEqual(asked, requests);
  });
}

test("listQueue() tells what the server says when a small page fails, too", async () => {
  const { door } = doorTo(queueOf(10, 1), 5);
  await assert.rejects(async () => {
    for await (const _ of listQueue(door));
  }, /the answer is too long/);
});
