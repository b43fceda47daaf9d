/** Tests of journal.ts: what a disk that refuses leaves behind. How claims are read back is claim-host.test.ts's. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Journal } from "./journal.ts";

test("Journal on a full disk says so once and leaves no file open", async () => {
  const warnings: string[] = [];
  const journal = new Journal({ path: "/dev/full", all: () => "", warn: (text) => warnings.push(text) });
  const before = readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 50; i++) await journal.append(`+${i}\n`);
  assert.ok(readdirSync("/proc/self/fd").length <= before + 1);
  await journal.close();
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^\/dev\/full: ENOSPC.*: a restart forgets whose reply was not read$/);
});
