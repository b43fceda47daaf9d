/** tables/backtracking.test.ts: patterns that need back-tracking end at a deadline and take nobody with them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { Log } from "../log/log.ts";
import { Backtracker } from "./backtracking.ts";
import { createTableOpener } from "./open.ts";
import { TableError } from "./table.ts";

/** Exponential in JavaScript and in PCRE alike. */
const CATASTROPHE = "^(?!x)(a+)+$";
const EVIL = `${"a".repeat(40)}!`;

test("match() ends a catastrophic match at its deadline, and matches on", async () => {
  const backtracker = new Backtracker(systemClock);
  const before = systemClock.monotonic();
  let turns = 0;
  const beat = setInterval(() => turns++, 10);
  await assert.rejects(backtracker.match(CATASTROPHE, "", EVIL), (error) => {
    return error instanceof TableError && /took longer than 250 ms/.test(error.message);
  });
  clearInterval(beat);
  const took = systemClock.monotonic() - before;
  assert.ok(took < 3000, `took ${took} ms`);
  assert.ok(turns >= 10, `the event loop turned ${turns} times meanwhile`);
  assert.deepEqual(await backtracker.match(CATASTROPHE, "", "aaa"), ["aaa", "aaa"]);
  await backtracker.close();
});

test("match() answers in order, one at a time, also behind one that hangs", async () => {
  const backtracker = new Backtracker(systemClock);
  const results = await Promise.allSettled([
    backtracker.match("(?=a)a", "i", "A"),
    backtracker.match(CATASTROPHE, "", EVIL),
    backtracker.match("b(c)?", "", "b"),
    backtracker.match("x", "", "b"),
  ]);
  assert.deepEqual(
    results.map((result) => (result.status === "fulfilled" ? result.value : "late")),
    [["A"], "late", ["b", ""], undefined],
  );
  await backtracker.close();
});

test("match() refuses what would wait behind too many others, and close() rejects those that wait", async () => {
  const backtracker = new Backtracker(systemClock);
  const matches = Array.from({ length: 600 }, () => backtracker.match(CATASTROPHE, "", EVIL));
  const settled = Promise.allSettled(matches);
  await assert.rejects(matches[599] ?? Promise.resolve(), /too many matches wait/);
  await backtracker.close();
  assert.ok((await settled).every((result) => result.status === "rejected"));
  await assert.rejects(backtracker.match("a", "", "a"), /closed/);
});

test("match() with flag y begins each match at the start", async () => {
  const backtracker = new Backtracker(systemClock);
  for (let turn = 0; turn < 3; turn++) assert.deepEqual(await backtracker.match("a(?=b)", "y", "ab"), ["a"]);
  assert.equal(await backtracker.match("a(?=b)", "y", "xab"), undefined);
  await backtracker.close();
});

test("a table with a catastrophic pattern gives TableError, and answers other keys", async () => {
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const files = {
    read: () => {
      throw new TableError("no files");
    },
  };
  const opener = createTableOpener({ files, log, configDirectory: "/" });
  const table = opener.open(`pcre:{{/${CATASTROPHE}/ OK}}`);
  const [evil, good] = await Promise.allSettled([table.get(EVIL), table.get("AAA")]);
  assert.equal(evil.status, "rejected");
  assert.equal(good.status === "fulfilled" && good.value, "OK");
  await opener.close?.();
});
