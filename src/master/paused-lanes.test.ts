import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkLane, PausedLanes } from "./paused-lanes.ts";

const names = [
  { lane: "smtp", good: true, why: "a transport" },
  { lane: "smtp:[127.0.0.1]:25", good: true, why: "a next hop with colons" },
  { lane: "local:", good: true, why: "no next hop" },
  { lane: "smtp:exämple.test", good: true, why: "an internationalized domain" },
  { lane: "", good: false, why: "nothing" },
  { lane: ":x", good: false, why: "no transport" },
  { lane: "smtp:a b", good: false, why: "a blank" },
  { lane: "smtp:\x7f", good: false, why: "a control character" },
  { lane: `smtp:${"x".repeat(600)}`, good: false, why: "too long" },
];
for (const { lane, good, why } of names) {
  test(`checkLane() ${why}`, () => assert.equal(checkLane(lane) === undefined, good));
}

async function inDirectory(use: (path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "paused-"));
  try {
    await use(join(directory, "paused"));
    assert.ok(
      readdirSync(directory).every((name) => name === "paused"),
      "no temporary file is left",
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("PausedLanes outlive the process, each once, at the same time too", () =>
  inDirectory(async (path) => {
    const paused = new PausedLanes(path);
    const changed = await Promise.all([
      paused.pause("smtp:X.test", 1),
      paused.pause("smtp:x.test", 2),
      paused.pause("relay", 3),
      paused.resume("local"),
    ]);
    assert.deepEqual(changed, [true, false, true, false]);
    const wanted = [
      { lane: "smtp:x.test", sinceMs: 1 },
      { lane: "relay", sinceMs: 3 },
    ];
    assert.deepEqual(new PausedLanes(path).all, wanted);
    assert.equal(await paused.resume("smtp:X.TEST"), true);
    assert.deepEqual(new PausedLanes(path).keys, ["relay"]);
  }));

test("PausedLanes are bounded, and a refusal changes nothing", () =>
  inDirectory(async (path) => {
    const lines = Array.from({ length: 1000 }, (_, i) => JSON.stringify({ lane: `smtp:${i}`, sinceMs: i }));
    writeFileSync(path, `${lines.join("\n")}\n`);
    const paused = new PausedLanes(path);
    await assert.rejects(paused.pause("smtp:more", 1), /1000 destinations are paused already/);
    assert.equal(await paused.resume("smtp:7"), true, "and the next change is made");
    assert.equal(paused.all.length, 999);
  }));

for (const damage of ["{", "[]", '{"lane":5,"sinceMs":1}', '{"lane":"smtp"}', '{"lane":"a b","sinceMs":1}']) {
  test(`PausedLanes refuse a damaged file: ${damage}`, () =>
    inDirectory(async (path) => {
      writeFileSync(path, `${damage}\n`);
      assert.throws(
        () => new PausedLanes(path),
        /^Error: Cannot read ".*paused", which names paused destinations: .*; mend or remove it$/,
      );
    }));
}
