/** What a new owner finds: after damage, after unfinished work, after a release of another version. What
 *  kill -9 leaves is kill.test.ts. */
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { QueueId } from "../mail/queue-id.ts";
import { InFlightMarks, parseMarks } from "./in-flight.ts";
import { openOffline } from "./offline.ts";
import { perform } from "./operations.ts";
import { openShard } from "./shard.ts";
import {
  bodyFor,
  bytesOf,
  HEADER,
  idsOf,
  messageFor,
  storedBody,
  storeIn,
  temporaryDirectory,
} from "./testdata/fixture.ts";

/** A shard with twenty messages, closed. */
function filledShard(directory: string): QueueId[] {
  const { shard } = openShard({ directory, shard: 0, create: true, life: "new" });
  const ids = idsOf(0);
  const all = Array.from({ length: 20 }, () => ids.next());
  shard.begin();
  for (const id of all) appendTo(shard, id);
  shard.commit();
  shard.close();
  return all;
}

function appendTo(shard: ReturnType<typeof openShard>["shard"], queueId: QueueId): void {
  const { envelope, header, recipients } = messageFor(queueId);
  const key = BigInt(idParts(queueId)) * 256n;
  const message = {
    key,
    queueId,
    envelope: JSON.stringify(envelope),
    sizeBytes: 1,
    header,
    body: bodyFor(queueId, 9000),
  };
  perform(shard, { kind: "append", message: { ...message, file: undefined, hold: false, recipients }, claim: false });
}

function idParts(queueId: QueueId): number {
  return Number.parseInt(queueId.slice(5, -2), 16) * 1e6 + Number.parseInt(queueId.slice(0, 5), 16);
}

const DAMAGES: readonly { why: string; damage: (file: string) => void }[] = [
  { why: "empty", damage: (file) => truncateSync(file, 0) },
  { why: "missing", damage: (file) => rmSync(file) },
  { why: "truncated inside the header", damage: (file) => truncateSync(file, 50) },
  { why: "truncated inside the first page", damage: (file) => truncateSync(file, 5000) },
  { why: "truncated to half", damage: (file) => truncateSync(file, 8192 * 20) },
  { why: "garbage", damage: (file) => writeFileSync(file, "garbage\n".repeat(5000)) },
];

for (const { why, damage } of DAMAGES) {
  test(`a shard whose database is ${why} is moved aside whole and replaced`, async (t) => {
    const directory = temporaryDirectory(t);
    filledShard(directory);
    const file = join(directory, "shard-00", "queue.sqlite");
    damage(file);
    writeFileSync(join(directory, "shard-00", "content", "precious"), "body");
    const { shard, notes } = openShard({ directory, shard: 0, create: true, life: "new" });
    t.after(() => shard.close());
    assert.equal(notes.length, 1);
    assert.equal(notes[0]?.severity, "error");
    assert.match(notes[0]?.text ?? "", /is corrupt .* moved to ".*corrupt\/shard-00-\d+", nothing of it was deleted/);
    const [aside = ""] = readdirSync(join(directory, "corrupt"));
    assert.equal(readFileSync(join(directory, "corrupt", aside, "content", "precious"), "utf8"), "body");
    assert.ok(shard.isEmpty);
  });
}

test("a shard truncated at any page is whole or moved aside, never half a queue", (t) => {
  const origin = temporaryDirectory(t);
  const all = filledShard(origin);
  const pages = readFileSync(join(origin, "shard-00", "queue.sqlite")).length / 8192;
  for (let page = 1; page <= pages; page += 3) {
    const directory = temporaryDirectory(t);
    mkdirSync(join(directory, "shard-00"));
    const file = join(directory, "shard-00", "queue.sqlite");
    copyFileSync(join(origin, "shard-00", "queue.sqlite"), file);
    truncateSync(file, page * 8192);
    const { shard, notes } = openShard({ directory, shard: 0, create: true, life: "new" });
    assert.equal(shard.admin.list(-1n, 100).length, page >= pages ? all.length : 0);
    assert.equal(notes.length, page >= pages ? 0 : 1);
    shard.close();
  }
});

test("a queue of another version, or of another program, is refused and left alone", (t) => {
  for (const [pragma, text] of [
    ["user_version = 99", /has version 99, this program needs version 2/],
    ["application_id = 7", /made by another program/],
  ] as const) {
    const directory = temporaryDirectory(t);
    filledShard(directory);
    const db = new DatabaseSync(join(directory, "shard-00", "queue.sqlite"));
    db.exec(`PRAGMA ${pragma}`);
    db.close();
    assert.throws(() => openShard({ directory, shard: 0, create: true, life: "new" }), text);
    assert.ok(!existsSync(join(directory, "corrupt")));
  }
});

test("recovery removes content that no row names, and only that", async (t) => {
  const directory = temporaryDirectory(t);
  const { store, ids } = await storeIn(t, directory, { inlineLimit: 10 });
  const [kept, lost] = [ids.next(), ids.next()];
  const body = await storedBody(store, kept, { bytes: bodyFor(kept, 100), pieceBytes: 100 });
  await storedBody(store, lost, { bytes: bodyFor(lost, 100), pieceBytes: 100 });
  await store.append(messageFor(kept, { body }), { claim: false });
  await store.close();
  const content = join(directory, "shard-00", "content");
  writeFileSync(join(content, "stray"), "");
  writeFileSync(join(content, `${kept}.77`), "an older try");
  assert.equal(readdirSync(content).length, 4);
  const queue = openOffline(directory);
  assert.deepEqual(readdirSync(content), [body.kind === "file" ? body.name : ""]);
  const read = await queue.read(kept);
  assert.ok(read);
  assert.deepEqual(await bytesOf(read.content), Buffer.concat([HEADER, bodyFor(kept, 100)]));
  queue.close();
});

test("openOffline() is one queue over all shards", async (t) => {
  const directory = temporaryDirectory(t);
  const ids: QueueId[] = [];
  for (const shard of [0, 2]) {
    const opened = await storeIn(t, directory, { shard });
    ids.push(opened.ids.next());
    await opened.store.append(messageFor(ids.at(-1) as QueueId), { claim: true });
    await opened.store.close();
  }
  const queue = openOffline(directory);
  t.after(() => queue.close());
  assert.deepEqual(
    (await queue.list({ limit: 10 })).map((entry) => entry.queueId),
    ids,
  );
  assert.deepEqual(await queue.hold([ids[1] as QueueId]), [ids[1]]);
  assert.deepEqual(await queue.delete("ALL"), ids);
  assert.deepEqual(await queue.list({ limit: 10 }), []);
});

test("openOffline() of an empty or missing directory is an empty queue", async (t) => {
  const queue = openOffline(join(temporaryDirectory(t), "none"));
  assert.deepEqual(await queue.list({ limit: 10 }), []);
  assert.equal(await queue.read("3A1F200000000" as QueueId), undefined);
});

test("InFlightMarks count, reuse their slots, and survive in the file", (t) => {
  const path = join(temporaryDirectory(t), "inflight");
  const marks = new InFlightMarks(path);
  const [a, b, c] = ["00001AAAAAAA00", "00002AAAAAAA00", "4fXyZB1cDdz1"] as QueueId[];
  assert.ok(a && b && c);
  for (const id of [a, a, b]) marks.mark(id);
  marks.clear(a);
  assert.deepEqual(parseMarks(readFileSync(path)), [a, b]);
  marks.clear(a);
  marks.clear(a);
  marks.mark(c);
  assert.deepEqual(parseMarks(readFileSync(path)), [c, b]);
  assert.deepEqual(parseMarks(readFileSync(path).subarray(0, 40)), [c], "a torn slot is skipped");
  marks.close();
  assert.deepEqual(parseMarks(readFileSync(path)), []);
});

test("all files of a shard are for its owner alone, those of an older one too", (t) => {
  const directory = temporaryDirectory(t);
  const open = () => openShard({ directory, shard: 0, create: true, life: "new" }).shard;
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  const modes = () =>
    readdirSync(join(directory, "shard-00")).map(
      (name) => `${name} ${(statSync(join(directory, "shard-00", name)).mode & 0o777).toString(8)}`,
    );
  const first = open();
  assert.ok(modes().length >= 3);
  for (const mode of modes()) assert.match(mode, / (?:600|700)$/);
  first.close();
  chmodSync(join(directory, "shard-00/queue.sqlite"), 0o644);
  const second = open();
  for (const mode of modes()) assert.match(mode, / (?:600|700)$/);
  second.close();
});
