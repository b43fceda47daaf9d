import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Log } from "../log/log.ts";
import { createAddressCache } from "./address-cache.ts";

const root = mkdtempSync(join(tmpdir(), "address-cache-"));
after(() => rmSync(root, { recursive: true }));

const RECORD = { status: 0, probedMs: 0, updatedMs: 1, text: "ok" };

function open(directory: string | undefined) {
  const lines: string[] = [];
  const log = new Log({ sink: ({ text }) => void lines.push(text), now: () => 0, tag: "t", id: 1 });
  return { lines, ...createAddressCache(directory, () => log) };
}

test("the record is a file beside the shards, made at the first use, and kept", () => {
  const directory = join(root, "queue");
  const first = open(directory);
  assert.equal(existsSync(directory), false);
  first.open().put("a@b.test", RECORD);
  assert.equal(first.open(), first.open());
  first.close();
  const second = open(directory);
  assert.deepEqual(second.open().get("a@b.test"), RECORD);
  second.close();
  assert.ok(existsSync(join(directory, "address_verify.sqlite")));
});

test("an empty address_verify_map keeps it in memory", () => {
  const cache = open(undefined);
  cache.open().put("a@b.test", RECORD);
  assert.deepEqual(cache.open().get("a@b.test"), RECORD);
  cache.close();
  assert.equal(cache.open().get("a@b.test"), undefined);
});

test("without a place for the file it is kept in memory, and the log says so once", () => {
  writeFileSync(join(root, "file"), "");
  const cache = open(join(root, "file"));
  cache.open().put("a@b.test", RECORD);
  assert.deepEqual(cache.open().get("a@b.test"), RECORD);
  assert.equal(cache.lines.length, 1);
  assert.match(cache.lines[0] ?? "", /address_verify\.sqlite: .*; results are kept in memory$/);
});
