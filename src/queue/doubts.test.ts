/** A commit that reported an error although it reached the disk: its requests were refused, so that must become true, and what
 *  is asked again must not happen twice. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Request } from "./engine.ts";
import { keyOf } from "./schema.ts";
import {
  appendOf,
  engineIn,
  failAfterCommit,
  failBeforeCommit,
  ids,
  ioError,
  listed,
  outcomes,
  row,
} from "./testdata/engine-fixture.ts";
import { LANE } from "./testdata/fixture.ts";

test("a failed commit that was durable after all is made undone: refused appends and claims", (t) => {
  const opened = engineIn(t);
  const { engine } = opened;
  const [waiting, refused] = [ids.next(), ids.next()];
  const { op } = appendOf(waiting);
  assert.equal(op.kind, "append");
  engine.run([{ id: 1, shard: 0, op: { ...op, claim: false } as typeof op }]);
  const claim: Request = { id: 2, shard: 0, op: { kind: "claim", lane: LANE, nowMs: 5000, limit: 10 } };
  failAfterCommit(opened.shard);
  assert.deepEqual(outcomes(engine.run([claim, appendOf(refused)])), ["error", "error"]);
  assert.deepEqual(listed(engine), [waiting]);
  const [again] = engine.run([claim]);
  assert.ok(again && "answer" in again);
  assert.equal((again.answer as readonly unknown[]).length, 1);
});

test("a refused settlement that was durable after all leaves its bounce and its copy waiting", (t) => {
  const opened = engineIn(t);
  const { engine } = opened;
  const [original, bounce, copy] = [ids.next(), ids.next(), ids.next()];
  engine.run([appendOf(original)]);
  failAfterCommit(opened.shard);
  const { key, queueId, envelope, recipients } = row(copy);
  const forwards = [{ key, queueId, envelope, recipients, head: Buffer.from("X: y\r\n") }];
  const told = { append: [row(bounce)], forwards };
  const settlement = { key: keyOf(original) ?? 0n, done: [1], deferred: [], warned: [], ...told };
  const settle: Request = { id: 1, shard: 0, op: { kind: "settle", settlement, filesFrom: undefined } };
  assert.deepEqual(outcomes(engine.run([settle])), ["error"]);
  const [again] = engine.run([settle]);
  assert.deepEqual(again && "answer" in again && again.answer, {
    removed: true,
    appended: false,
    forwardedBytes: [],
  });
  const [claim] = engine.run([{ id: 2, shard: 0, op: { kind: "claim", lane: LANE, nowMs: 5000, limit: 10 } }]);
  assert.equal(claim && "answer" in claim && (claim.answer as readonly unknown[]).length, 2);
});

test("a settlement of some recipients that is asked again is done once, and its bounce is made once", (t) => {
  const opened = engineIn(t);
  const { engine } = opened;
  const [original, bounce] = [ids.next(), ids.next()];
  const two = { ...row(original), recipients: [...row(original).recipients, ...row(original).recipients] };
  engine.run([{ id: 1, shard: 0, op: { kind: "append", message: two, claim: true } }]);
  failAfterCommit(opened.shard);
  const later = [{ id: 2, dueMs: 9000, reason: "not now", lastTry: undefined }];
  const settlement = {
    key: keyOf(original) ?? 0n,
    done: [1],
    deferred: later,
    warned: [],
    append: [row(bounce)],
    forwards: [],
  };
  const settle: Request = { id: 1, shard: 0, op: { kind: "settle", settlement, filesFrom: undefined } };
  assert.deepEqual(outcomes(engine.run([settle])), ["error"]);
  const claim = (nowMs: number): Request => ({ id: 2, shard: 0, op: { kind: "claim", lane: LANE, nowMs, limit: 10 } });
  const claimed = engine.run([claim(9000)]).map((reply) => ("answer" in reply ? reply.answer : undefined));
  assert.equal((claimed[0] as readonly unknown[]).length, 2);
  // The bounce is delivered before the settlement is asked again.
  const delivered = { key: keyOf(bounce) ?? 0n, done: [1], deferred: [], warned: [], append: [], forwards: [] };
  engine.run([{ id: 3, shard: 0, op: { kind: "settle", settlement: delivered, filesFrom: undefined } }]);
  const [again] = engine.run([settle]);
  assert.deepEqual(again && "answer" in again && again.answer, { removed: false, appended: false, forwardedBytes: [] });
  assert.deepEqual(listed(engine), [original], "no second bounce");
  assert.deepEqual(outcomes(engine.run([claim(99_000)])), ["ok"]);
});

for (const { why, break: breakCommit } of [
  { why: "durable after all", break: failAfterCommit },
  { why: "not durable", break: failBeforeCommit },
]) {
  test(`the content file of a refused append stays until the shard is open again, then goes: ${why}`, (t) => {
    const opened = engineIn(t);
    const { engine, directory } = opened;
    const queueId = ids.next();
    const file = `${queueId}.1`;
    const path = join(directory, "shard-00", "content", file);
    writeFileSync(path, "body");
    breakCommit(opened.shard);
    const message = { ...row(queueId), body: undefined, file };
    const [refused] = engine.run([{ id: 1, shard: 0, op: { kind: "append", message, claim: true } }]);
    assert.equal(refused && "error" in refused && refused.undecided, true, "whoever wrote the file must leave it");
    assert.equal(existsSync(path), true, "a kill at this moment may find the message in the queue");
    assert.deepEqual(listed(engine), []);
    assert.equal(existsSync(path), false);
  });
}

for (const { why, stays, durable } of [
  { why: "durable after all: the message is gone, and its file with it", stays: false, durable: true },
  { why: "not durable: the message is still there, and its file too", stays: true, durable: false },
]) {
  test(`the content file of a message that a refused settlement removes: ${why}`, (t) => {
    const opened = engineIn(t);
    const { engine, directory } = opened;
    const queueId = ids.next();
    const file = `${queueId}.1`;
    const path = join(directory, "shard-00", "content", file);
    writeFileSync(path, "body");
    const message = { ...row(queueId), body: undefined, file };
    engine.run([{ id: 1, shard: 0, op: { kind: "append", message, claim: true } }]);
    if (durable) failAfterCommit(opened.shard);
    else failBeforeCommit(opened.shard);
    const settlement = { key: keyOf(queueId) ?? 0n, done: [1], deferred: [], warned: [], append: [], forwards: [] };
    const settle: Request = { id: 2, shard: 0, op: { kind: "settle", settlement, filesFrom: undefined } };
    assert.deepEqual(outcomes(engine.run([settle])), ["error"]);
    assert.equal(existsSync(path), true, "a kill at this moment may find the message in the queue");
    assert.deepEqual(listed(engine), stays ? [queueId] : []);
    assert.equal(existsSync(path), stays);
    assert.deepEqual(outcomes(engine.run([settle])), ["ok"]);
    assert.equal(existsSync(path), false);
  });
}

test("a request that was never begun is decided: nothing of it can be in the database", (t) => {
  const opened = engineIn(t);
  opened.shard.begin = () => {
    throw ioError();
  };
  const [refused] = opened.engine.run([appendOf(ids.next())]);
  assert.equal(refused && "error" in refused && refused.undecided, false);
});
