/** Real shards, really damaged: what is whole comes back byte for byte, once; what has left the queue stays away. */
import assert from "node:assert/strict";
import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { QueueId } from "../mail/queue-id.ts";
import { damagedAt, inspectShard, listDamaged, rebuildShard } from "./rebuild.ts";
import type { Salvage } from "./salvage.ts";
import { PAGE_BYTES } from "./schema.ts";
import type { QueueStore } from "./store.ts";
import { bodyFor, bytesOf, HEADER, messageFor, storedBody, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

/** Sizes of bodies: in the row, over several pages, in a file of its own. */
const SIZES = [10, 3000, 30_000, 70_000];
const MESSAGES = 600;

interface Original {
  /** A shard's directory. */
  readonly path: string;
  readonly kept: readonly QueueId[];
  readonly gone: readonly QueueId[];
}

function sizeOf(i: number): number {
  return i % 50 === 0 ? 70_000 : (SIZES[i % 3] ?? 0);
}

/** A queue in which much has come and gone. `log`: copied while open, so that the log beside it holds the last of it. */
async function original(t: TestContext, log: "none" | "kept" | "missing"): Promise<Original> {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory);
  const all = Array.from({ length: MESSAGES }, () => ids.next());
  for (const [i, id] of all.entries()) {
    const body = await storedBody(store, id, { bytes: bodyFor(id, sizeOf(i)), pieceBytes: 4000 });
    const recipients = i % 7 === 0 ? ["a@example.net", "b@example.net", "c@example.net"] : ["a@example.net"];
    await store.append(messageFor(id, { body, recipients, hold: i % 11 === 0 }), { claim: false });
  }
  const gone = all.filter((_, i) => i % 3 === 1 || (i > 200 && i < 300));
  await store.delete(gone);
  const copied = join(temporaryDirectory(t), "shard-00-1");
  if (log === "none") await store.close();
  cpSync(join(directory, "shard-00"), copied, { recursive: true });
  if (log === "missing") rmSync(join(copied, "queue.sqlite-wal"));
  const left = new Set<string>(gone);
  return { path: copied, kept: all.filter((id) => !left.has(id)), gone };
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

const garbage = () => Buffer.from(Array.from({ length: PAGE_BYTES }, (_, i) => (i * 167 + 13) & 255));

/** Recovers into a queue of its own and reads everything back. */
async function recovered(
  t: TestContext,
  path: string,
): Promise<{ readonly found: Salvage; readonly store: QueueStore | undefined }> {
  const queueDirectory = temporaryDirectory(t);
  const inspected = inspectShard(damagedAt(path));
  const { shard, ...found } = rebuildShard(damagedAt(path), { queueDirectory, atLeast: 3 });
  assert.deepEqual(found, inspected, "inspect says what recover does");
  if (shard === undefined) return { found, store: undefined };
  assert.equal(shard, 3);
  const { store } = await storeIn(t, queueDirectory);
  await store.adopt(shard);
  return { found, store };
}

async function checkWhole(
  store: QueueStore | undefined,
  { kept }: Original,
  allowed: readonly QueueId[] = kept,
): Promise<readonly QueueId[]> {
  const listed = (await store?.list({ limit: 10_000 })) ?? [];
  for (const { queueId, recipients, queue } of listed) {
    assert.ok(allowed.includes(queueId), `${queueId} is not in the queue any more`);
    const i = Number(kept.indexOf(queueId));
    const read = await store?.read(queueId);
    const bytes = read && (await bytesOf(read.content));
    const size = (bytes?.length ?? 0) - HEADER.length;
    assert.ok(bytes?.equals(Buffer.concat([HEADER, bodyFor(queueId, size)])), `message ${i}, ${size} bytes`);
    assert.ok(size === 70_000 || SIZES.includes(size), `${size}`);
    assert.ok(recipients.length > 0 && queue !== "active");
  }
  return listed.map(({ queueId }) => queueId);
}

const CASES: readonly {
  why: string;
  log: "none" | "kept" | "missing";
  damage?: (file: string, pages: number) => void;
  /** Least share of the messages that must come back. */
  atLeast: number;
  uncertain?: boolean;
}[] = [
  { why: "nothing is damaged", log: "none", atLeast: 1 },
  { why: "nothing is damaged, the log holds a part", log: "kept", atLeast: 1 },
  {
    why: "the first page is zero",
    log: "none",
    damage: (f) => overwrite(f, 0, Buffer.alloc(PAGE_BYTES)),
    atLeast: 1,
    uncertain: true,
  },
  {
    why: "the first page is garbage",
    log: "none",
    damage: (f) => overwrite(f, 0, garbage()),
    atLeast: 1,
    uncertain: true,
  },
  {
    why: "roots of all tables are zero",
    log: "none",
    damage: (f) => overwrite(f, PAGE_BYTES, Buffer.alloc(5 * PAGE_BYTES)),
    atLeast: 0.9,
  },
  {
    why: "every 20th page is zero",
    log: "none",
    damage: (f, n) => {
      for (let p = 20; p < n; p += 20) overwrite(f, p * PAGE_BYTES, Buffer.alloc(PAGE_BYTES));
    },
    atLeast: 0.3,
  },
  {
    why: "every 20th page is garbage",
    log: "none",
    damage: (f, n) => {
      for (let p = 20; p < n; p += 20) overwrite(f, p * PAGE_BYTES, garbage());
    },
    atLeast: 0.3,
  },
  {
    why: "truncated to 70 %",
    log: "none",
    damage: (f) => truncateSync(f, Math.floor(statSync(f).size * 0.7)),
    atLeast: 0,
  },
  { why: "truncated within a page", log: "none", damage: (f) => truncateSync(f, statSync(f).size - 100), atLeast: 1 },
  { why: "empty", log: "none", damage: (f) => truncateSync(f, 0), atLeast: 0, uncertain: true },
];
for (const { why, log, damage, atLeast, uncertain = false } of CASES) {
  test(`recovery: ${why}`, async (t) => {
    const made = await original(t, log);
    const file = join(made.path, "queue.sqlite");
    damage?.(file, Math.floor(statSync(file).size / PAGE_BYTES));
    const { found, store } = await recovered(t, made.path);
    const back = await checkWhole(store, made, uncertain ? [...made.kept, ...made.gone] : made.kept);
    assert.equal(found.messages, back.length);
    assert.ok(back.length >= atLeast * made.kept.length, `${back.length} of ${made.kept.length}`);
    if (atLeast < 1) assert.ok(why === "empty" || found.damagedPages > 0);
    else
      assert.deepEqual(
        [found.withoutContent.count, found.withoutRecipients.count, found.withoutEnvelope].slice(0, uncertain ? 0 : 3),
        uncertain ? [] : [0, 0, 0],
      );
    assert.equal(found.hasLog, log === "kept");
    if (back.length > 0) assert.equal(found.uncertain, uncertain);
    const queues = new Set(((await store?.list({ limit: 10_000 })) ?? []).map(({ queue }) => queue));
    if (found.uncertain)
      assert.ok(
        [...queues].every((queue) => queue === "hold"),
        "what is uncertain is held",
      );
    else if (back.length > 0) assert.deepEqual([...queues].sort(), ["hold", "incoming"]);
  });
}

test("recovery: without its log a shard is what it was at its last checkpoint, and the rest is not guessed", async (t) => {
  const made = await original(t, "missing");
  const { found, store } = await recovered(t, made.path);
  const back = await checkWhole(store, made, [...made.kept, ...made.gone]);
  assert.deepEqual([found.messages, found.hasLog], [back.length, false]);
  assert.ok(back.length < MESSAGES);
});

test("recovery: a log that is damaged in its middle counts up to there", async (t) => {
  const made = await original(t, "kept");
  const wal = join(made.path, "queue.sqlite-wal");
  overwrite(wal, Math.floor(statSync(wal).size / 2), garbage());
  const { found, store } = await recovered(t, made.path);
  await checkWhole(store, made, [...made.kept, ...made.gone]);
  assert.ok(found.messages > 50 && found.messages < MESSAGES, `${found.messages}`);
});

test("recovery: a content file that is missing or short costs its message, which is named", async (t) => {
  const made = await original(t, "none");
  const [first = "", second = ""] = readdirSync(join(made.path, "content")).sort();
  rmSync(join(made.path, "content", first));
  truncateSync(join(made.path, "content", second), 69_999);
  const { found, store } = await recovered(t, made.path);
  const back = await checkWhole(store, made);
  assert.equal(back.length, made.kept.length - 2);
  assert.deepEqual(
    found.withoutContent.named.map(({ queueId, sender, recipients }) => [queueId, sender, recipients[0]]),
    [first, second].map((name) => [name.split(".")[0], "alice@example.org", "a@example.net"]),
  );
});

test("recovery: never twice, also when it was interrupted between its note and its rename", async (t) => {
  const made = await original(t, "none");
  const damaged = damagedAt(made.path);
  const queueDirectory = temporaryDirectory(t);
  const first = rebuildShard(damaged, { queueDirectory, atLeast: 2 });
  assert.equal(first.shard, 2);
  assert.equal(damagedAt(made.path).recoveredAs, "shard-02");
  assert.throws(
    () => rebuildShard(damaged, { queueDirectory, atLeast: 2 }),
    /recovered already, as shard-02; to do it again would send mail twice/,
  );
  // As it is before the rename.
  cpSync(join(queueDirectory, "shard-02"), join(queueDirectory, "salvage-shard-00-1"), { recursive: true });
  rmSync(join(queueDirectory, "shard-02"), { recursive: true });
  const second = rebuildShard(damaged, { queueDirectory, atLeast: 2 });
  assert.deepEqual([second.shard, second.messages], [2, first.messages]);
  assert.deepEqual(readdirSync(queueDirectory), ["shard-02"]);
});

test("recovery: what was moved aside is left as it is", async (t) => {
  const made = await original(t, "kept");
  const before = readdirSync(made.path).map((name) => [name, statSync(join(made.path, name)).mtimeMs]);
  const bytes = readFileSync(join(made.path, "queue.sqlite"));
  inspectShard(damagedAt(made.path));
  assert.deepEqual(
    readdirSync(made.path).map((name) => [name, statSync(join(made.path, name)).mtimeMs]),
    before,
  );
  assert.deepEqual(readFileSync(join(made.path, "queue.sqlite")), bytes);
});

test("listDamaged() of a queue without any is empty; what is no shard is refused", (t) => {
  const directory = temporaryDirectory(t);
  assert.deepEqual(listDamaged(directory), []);
  assert.ok(!existsSync(join(directory, "corrupt")));
  assert.throws(() => damagedAt(join(directory, "none")), /is no shard's directory/);
  assert.throws(() => inspectShard(damagedAt(directory)), /Cannot read .*: ENOENT/);
});

test("recovery: whatever bytes are overwritten, what comes back is whole and was there", async (t) => {
  const made = await original(t, "none");
  const good = readFileSync(join(made.path, "queue.sqlite"));
  const spot = fc.record({ at: fc.nat(good.length - 1), bytes: fc.uint8Array({ minLength: 1, maxLength: 3000 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(spot, { minLength: 1, maxLength: 8 }), async (spots) => {
      overwrite(join(made.path, "queue.sqlite"), 0, good);
      for (const { at, bytes } of spots)
        overwrite(join(made.path, "queue.sqlite"), at, bytes.subarray(0, good.length - at));
      const found = inspectShard(damagedAt(made.path));
      assert.ok(found.messages + found.withoutContent.count + found.withoutRecipients.count <= MESSAGES);
    }),
    { numRuns: 40 },
  );
});
