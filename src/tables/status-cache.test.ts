import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openStatusCache } from "./status-cache.ts";

const directory = mkdtempSync(join(tmpdir(), "status-cache-"));
after(() => rmSync(directory, { recursive: true }));

const record = (status: number, updatedMs: number, probedMs = 0) => ({ status, updatedMs, probedMs, text: "why" });

test("a record is found again, by the next process too", () => {
  const path = join(directory, "again.sqlite");
  const first = openStatusCache(path);
  first.put("a@b.test", record(1, 5));
  first.put("a@b.test", record(2, 6, 7));
  assert.deepEqual(first.get("a@b.test"), record(2, 6, 7));
  assert.equal(first.get("A@b.test"), undefined);
  first.close();
  const second = openStatusCache(path);
  assert.deepEqual(second.get("a@b.test"), record(2, 6, 7));
  assert.equal(second.size, 1);
  second.close();
});

test("two that have it open see each other's records at once", () => {
  const path = join(directory, "two.sqlite");
  const [one, two] = [openStatusCache(path), openStatusCache(path)];
  for (let i = 0; i < 100; i++) {
    const [writer, reader] = i % 2 === 0 ? [one, two] : [two, one];
    writer.put(`${i}@b.test`, record(0, i));
    assert.equal(reader.get(`${i}@b.test`)?.updatedMs, i);
  }
  one.close();
  two.close();
});

test("a sweep removes what is too old for its status, in steps, and one of all claims it", () => {
  const cache = openStatusCache(":memory:");
  for (let i = 0; i < 1500; i++) cache.put(`old${i}@b.test`, record(1, 10));
  cache.put("new@b.test", record(1, 100));
  cache.put("asked@b.test", record(1, 0, 100));
  cache.put("ok@b.test", record(0, 10));
  const limits = [
    { status: 0, beforeMs: 5 },
    { status: 1, beforeMs: 50 },
  ];
  assert.equal(cache.sweep(limits), 1000);
  assert.equal(cache.sweep(limits), 500);
  assert.equal(cache.sweep(limits), 0);
  assert.equal(cache.size, 3);
  assert.equal(cache.claimSweep(1000, 900), true);
  assert.equal(cache.claimSweep(1001, 901), false);
  assert.equal(cache.claimSweep(3000, 2900), true);
  cache.close();
});

for (const { why, text } of [
  { why: "no database", text: "this is no database, and long enough not to be taken for an empty one" },
  { why: "a damaged one", text: `SQLite format 3\0${"x".repeat(5000)}` },
]) {
  test(`${why} is replaced by a new one`, () => {
    const path = join(directory, `${why}.sqlite`);
    writeFileSync(path, text);
    const cache = openStatusCache(path);
    cache.put("a@b.test", record(0, 1));
    assert.equal(cache.size, 1);
    cache.close();
  });
}

test("a directory that cannot be used is an error", () => {
  assert.throws(() => openStatusCache(join(directory, "none", "x.sqlite")), /unable to open/);
});
