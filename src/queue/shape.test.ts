/** Counting by domain and age: what SQLite counts is what a listing counts, and memory is bounded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { perform } from "./operations.ts";
import { keyOf } from "./schema.ts";
import { QueueShape, SHAPE_EDGES } from "./shape.ts";
import { openShard, type Shard } from "./shard.ts";
import type { QueueListing, ShapeQuery } from "./store.ts";
import { HEADER, idsOf, messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

const NOW_MS = 1_800_000_000_000;
const QUEUES = ["incoming", "active", "deferred", "hold"] as const;

const domain = fc.oneof(
  fc.constantFrom(
    "a.test",
    "A.Test",
    "b.test",
    "[192.0.2.1]",
    "[IPv6:2001:DB8::1]",
    "BÜCHER.example",
    "ΣΑΣ.test",
    "İ.test",
    "",
  ),
  fc.string({ unit: fc.constantFrom(..."aB.-é@"), maxLength: 6 }),
);
const address = fc.oneof(
  fc.tuple(fc.constantFrom("bob", "x@y", '"', "o'hara", "", "a.test", "%_"), domain).map((parts) => parts.join("@")),
  fc.constantFrom("root", "MAILER-DAEMON", ""),
);
const age = fc.oneof(
  fc.integer({ min: -600_000, max: 2000 * 60_000 }),
  fc
    .tuple(fc.constantFrom(...SHAPE_EDGES), fc.constantFrom(-1, -0.25, 0, 0.25, 1))
    .map(([minutes, beside]) => minutes * 60_000 + beside),
);
const message = fc.record({
  ageMs: age,
  sender: address,
  recipients: fc.array(fc.record({ address, state: fc.constantFrom("new", "tried", "active") }), {
    minLength: 1,
    maxLength: 5,
  }),
  hold: fc.boolean(),
});
type Message = typeof message extends fc.Arbitrary<infer T> ? T : never;

function fill(shard: Shard, messages: readonly Message[]): void {
  const ids = idsOf(0);
  for (const { ageMs, sender, recipients, hold } of messages) {
    const queueId = ids.next();
    const key = keyOf(queueId) ?? assert.fail();
    const { envelope, body: _, ...made } = messageFor(queueId, { recipients: recipients.map((r) => r.address) });
    const told = JSON.stringify({ ...envelope, sender, arrivalMs: NOW_MS - ageMs });
    const row = {
      ...made,
      key,
      queueId,
      envelope: told,
      sizeBytes: 1,
      header: HEADER,
      body: undefined,
      file: undefined,
    };
    shard.begin();
    perform(shard, { kind: "append", message: { ...row, hold: false }, claim: true });
    const idsIn = (state: string) => recipients.flatMap((r, i) => (r.state === state ? [i + 1] : []));
    const deferred = idsIn("tried").map((id) => ({ id, dueMs: 1, reason: "later" }));
    const settlement = { key, done: [], deferred, warned: [], append: [], forwards: [] };
    perform(shard, { kind: "settle", settlement, filesFrom: undefined });
    perform(shard, { kind: "unclaim", key, ids: idsIn("new") });
    const change = { what: "hold", selection: { ids: [queueId] }, nowMs: 0, lane: "", atMs: 0 } as const;
    if (hold) perform(shard, { kind: "change", ...change });
    shard.commit();
  }
}

function empty(shard: Shard): void {
  shard.begin();
  const selection = { after: -1n, limit: 1000 };
  perform(shard, { kind: "change", what: "delete", selection, nowMs: 0, lane: "", atMs: 0 });
  shard.commit();
}

function counted(shard: Shard, query: ShapeQuery, limit: number): QueueShape {
  const shape = new QueueShape();
  for (let after: bigint | undefined = -1n; after !== undefined; ) {
    const page = shard.shape.page({ query, after, limit });
    shape.add(page.counts);
    after = page.next;
  }
  return shape;
}

function listed(shard: Shard, query: ShapeQuery): QueueShape {
  const shape = new QueueShape();
  const entries = perform(shard, { kind: "list", after: -1n, limit: 1000 }) as readonly QueueListing[];
  for (const entry of entries) if (query.queues.includes(entry.queue)) shape.addListed(entry, query);
  return shape;
}

test("whatever is in the queue, its shape is that of its listing, in pages of any size", (t) => {
  const { shard } = openShard({ directory: temporaryDirectory(t), shard: 0, create: true, life: "new" });
  t.after(() => shard.close());
  const page = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(1000));
  const asked = fc.record({ by: fc.constantFrom("sender", "recipient"), queues: fc.subarray([...QUEUES]), page });
  const property = fc.property(fc.array(message, { maxLength: 12 }), asked, (messages, { by, queues, page: limit }) => {
    fill(shard, messages);
    try {
      const query = { nowMs: NOW_MS, by, queues } as const;
      assert.deepEqual(counted(shard, query, limit).rows(), listed(shard, query).rows());
    } finally {
      empty(shard);
    }
  });
  fc.assert(property, { numRuns: 300 });
});

test("a page ends behind the message that fills it, and the last one says so", (t) => {
  const { shard } = openShard({ directory: temporaryDirectory(t), shard: 0, create: true, life: "new" });
  t.after(() => shard.close());
  const of = (n: number): Message => ({
    ...{ ageMs: 0, sender: "", hold: false },
    recipients: Array.from({ length: n }, () => ({ address: "a@b.test", state: "new" as const })),
  });
  fill(shard, [of(2), of(5), of(1), of(1)]);
  const query = { nowMs: NOW_MS, by: "recipient", queues: QUEUES } as const;
  const pages: number[] = [];
  for (let after: bigint | undefined = -1n; after !== undefined; ) {
    const page = shard.shape.page({ query, after, limit: 3 });
    pages.push(page.counts.reduce((sum, [, , n]) => sum + n, 0));
    after = page.next;
  }
  assert.deepEqual(pages, [7, 2]);
});

test("commits do not wait until all is counted", async (t) => {
  const { store, ids } = await storeIn(t, temporaryDirectory(t));
  const recipients = Array.from({ length: 1000 }, (_, i) => `r${i}@d${i % 7}.test`);
  for (let i = 0; i < 8; i++) await store.append(messageFor(ids.next(), { recipients }), { claim: false });
  let isCounted = false;
  const shape = store.shape({ nowMs: NOW_MS, by: "recipient", queues: QUEUES }).then((counts) => {
    isCounted = true;
    return counts.reduce((sum, [, , n]) => sum + n, 0);
  });
  let commits = 0;
  for (; !isCounted; commits++)
    await store.append(messageFor(ids.next(), { recipients: ["late@x.test"] }), { claim: false });
  assert.ok((await shape) >= 8000);
  // Each page is of one message here, and goes into a batch with a commit.
  assert.ok(commits >= 7, String(commits));
});

test("domains beyond 10,000 share a row, and the sum is right", () => {
  const shape = new QueueShape();
  shape.add(Array.from({ length: 10_500 }, (_, i) => [`d${i}.test`, 0, 1] as const));
  shape.add([
    ["d1.test", 3, 2],
    ["unknown.test", 1, 4],
  ]);
  const rows = new Map(shape.rows().map((row) => [row.domain, row.total]));
  assert.deepEqual([rows.size, rows.get("TOTAL"), rows.get("(others)"), rows.get("d1.test")], [10_002, 10_506, 504, 3]);
  const joined = new QueueShape();
  joined.add(shape.counts);
  assert.deepEqual(joined.rows(), shape.rows());
});

test("an address without a domain, and the null sender, have rows of their own", () => {
  const shape = new QueueShape();
  const entry = { queueId: "x" as QueueId, queue: "hold", arrivalMs: NOW_MS, sizeBytes: 1 } as const;
  const recipients = [{ address: asAddress("root"), reason: "" }];
  for (const by of ["sender", "recipient"] as const) {
    shape.addListed({ ...entry, sender: asAddress(""), recipients }, { nowMs: NOW_MS, by });
  }
  assert.deepEqual(
    shape.rows().map((row) => row.domain),
    ["TOTAL", "(none)", "MAILER-DAEMON"],
  );
});
