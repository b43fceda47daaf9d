/** Group commit and faults: one transaction per batch, a full database, a commit whose outcome is unknown, corruption. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ContentDirectory, type ContentHandle, SpillingBody } from "./body-writer.ts";
import { appendOf, engineIn, ids, ioError, listed, outcomes } from "./testdata/engine-fixture.ts";
import { messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

test("a batch is one transaction: its WAL holds the shared pages once", (t) => {
  const walOf = (batch: number) => {
    const { engine, directory } = engineIn(t);
    const requests = Array.from({ length: 60 }, () => appendOf(ids.next()));
    for (let at = 0; at < requests.length; at += batch) engine.run(requests.slice(at, at + batch));
    return statSync(join(directory, "shard-00", "queue.sqlite-wal")).size;
  };
  assert.ok(walOf(60) * 5 < walOf(1));
});

test("a request that fails takes nothing of its neighbours with it", (t) => {
  const { engine, notes } = engineIn(t);
  const [a, b] = [ids.next(), ids.next()];
  assert.deepEqual(outcomes(engine.run([appendOf(a), appendOf(a), appendOf(b)])), ["ok", "error", "ok"]);
  assert.deepEqual(listed(engine), [a, b]);
  assert.deepEqual(notes, [], "a bad request is no storage fault");
});

test("a shard that is not open refuses", (t) => {
  const { engine } = engineIn(t);
  assert.deepEqual(outcomes(engine.run([{ ...appendOf(ids.next()), shard: 7 }])), ["error"]);
});

test("a full database refuses what does not fit, keeps what does, and goes on after removals", (t) => {
  const { engine, notes } = engineIn(t, { maxPages: 40 });
  const [small, large, later] = [ids.next(), ids.next(), ids.next()];
  assert.deepEqual(outcomes(engine.run([appendOf(small), appendOf(large, 600_000)])), ["ok", "full"]);
  assert.match(notes[0]?.text ?? "", /full/);
  assert.deepEqual(listed(engine), [small]);
  assert.deepEqual(outcomes(engine.run([appendOf(large, 600_000)])), ["full"]);
  assert.deepEqual(outcomes(engine.run([appendOf(later)])), ["ok"]);
  assert.deepEqual(listed(engine), [small, later]);
});

test("a full store answers with QueueError { full: true } and works on", async (t) => {
  const { store, ids: own } = await storeIn(t, temporaryDirectory(t), { maxPages: 40 });
  const large = messageFor(own.next(), { sizeBytes: 600_000 });
  await assert.rejects(store.append(large, { claim: false }), { name: "QueueError", full: true });
  await store.append(messageFor(own.next()), { claim: false });
});

test("a failed commit that is not durable leaves nothing", (t) => {
  const opened = engineIn(t);
  const { engine, notes } = opened;
  const [before, lost, after] = [ids.next(), ids.next(), ids.next()];
  engine.run([appendOf(before)]);
  opened.shard.commit = () => {
    throw ioError();
  };
  assert.deepEqual(outcomes(engine.run([appendOf(lost)])), ["error"]);
  assert.match(notes[0]?.text ?? "", /disk I\/O error/);
  assert.deepEqual(outcomes(engine.run([appendOf(after)])), ["ok"]);
  assert.deepEqual(listed(engine), [before, after]);
});

test("while the shard cannot be opened again, everything is refused; then it resumes", (t) => {
  const opened = engineIn(t);
  const { engine } = opened;
  const [kept, after] = [ids.next(), ids.next()];
  engine.run([appendOf(kept)]);
  opened.shard.begin = () => {
    throw ioError();
  };
  assert.deepEqual(outcomes(engine.run([appendOf(ids.next())])), ["error"]);
  opened.onReopen = (shard) => {
    shard.checkpoint = () => {
      throw ioError();
    };
  };
  assert.deepEqual(outcomes(engine.run([appendOf(ids.next()), appendOf(ids.next())])), ["error", "error"]);
  opened.onReopen = () => {};
  assert.deepEqual(outcomes(engine.run([appendOf(after)])), ["ok"]);
  assert.deepEqual(listed(engine), [kept, after]);
});

for (const { why, found, kept, notes } of [
  { why: "a sound shard stays", found: false, kept: 1, notes: 1 },
  { why: "a broken one is moved aside", found: true, kept: 0, notes: 2 },
]) {
  test(`reported corruption is checked: ${why}`, (t) => {
    const opened = engineIn(t);
    const message = ids.next();
    opened.engine.run([appendOf(message)]);
    opened.shard.checkpoint();
    opened.shard.begin = () => {
      throw Object.assign(new Error("database disk image is malformed"), { errcode: 11 });
    };
    assert.deepEqual(outcomes(opened.engine.run([appendOf(ids.next())])), ["error"]);
    if (found) damageContent(join(opened.directory, "shard-00", "queue.sqlite"));
    assert.equal(listed(opened.engine).length, kept);
    assert.equal(opened.notes.length, notes);
    assert.equal(existsSync(join(opened.directory, "corrupt")), found);
  });
}

/** Overwrites the one page that holds contents, which only quick_check looks at. Opening the file here drops the engine's
 *  lock; nobody else wants it. */
function damageContent(path: string): void {
  const bytes = readFileSync(path);
  const page = Math.floor(bytes.indexOf("Subject: test") / 8192) * 8192;
  assert.ok(page > 0);
  writeFileSync(path, bytes.fill(0xee, page, page + 8192));
}

test("checkpoints keep the WAL bounded", (t) => {
  const { engine, directory } = engineIn(t);
  for (let turn = 0; turn < 60; turn++) {
    engine.run(Array.from({ length: 10 }, () => appendOf(ids.next(), 60_000)));
    engine.checkpoint("idle");
  }
  assert.ok(statSync(join(directory, "shard-00", "queue.sqlite-wal")).size < 20 << 20);
});

for (const { failAt, code, full } of [
  { failAt: "open", code: "ENOSPC", full: true },
  { failAt: "write", code: "ENOSPC", full: true },
  { failAt: "write", code: "EIO", full: false },
  { failAt: "datasync", code: "EIO", full: false },
  { failAt: "close", code: "EDQUOT", full: true },
]) {
  test(`BodyWriter: ${code} at ${failAt} is told by finish() and leaves no file`, async (t) => {
    const directory = temporaryDirectory(t);
    const removed: string[] = [];
    const step = (name: string) => {
      if (name === failAt) throw Object.assign(new Error(code), { code, syscall: name });
    };
    const fs = {
      async open(path: string, flags: string, mode: number): Promise<ContentHandle> {
        step("open");
        const handle = await open(path, flags, mode);
        return {
          write: async (bytes, offset, length) => {
            step("write");
            return handle.write(bytes, offset, Math.min(length, 7));
          },
          datasync: async () => step("datasync"),
          close: async () => {
            await handle.close();
            step("close");
          },
        };
      },
      unlink: async (path: string) => {
        removed.push(path);
        await unlink(path);
      },
    };
    const body = new SpillingBody(new ContentDirectory(directory, fs), { queueId: ids.next(), inlineLimit: 10 });
    for (let i = 0; i < 5; i++) await body.write(new Uint8Array(20));
    await assert.rejects(async () => body.finish(), { name: "QueueError", full });
    assert.equal(removed.length, failAt === "open" ? 0 : 1);
    writeFileSync(join(directory, "probe"), "");
    await body.abort();
  });
}
