/** Tests of file-watch.ts: real files, time by hand. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { FileImage } from "../config/snapshot.ts";
import { ManualClock, settled } from "../qmgr/testdata/manual-clock.ts";
import { FileWatch } from "./file-watch.ts";

const root = mkdtempSync(join(tmpdir(), "postern-watch-"));
after(() => rmSync(root, { recursive: true }));

function imageOf(path: string): FileImage {
  return { path, bytes: readFileSync(path), mtimeMs: statSync(path).mtimeMs };
}

/** As an editor does it: another file takes the place. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function watching(changed: (texts: string) => Promise<void> = async () => undefined) {
  const clock = new ManualClock();
  const told: string[] = [];
  const failures: string[] = [];
  const watch = new FileWatch(
    clock,
    async (images) => {
      const texts = images.map((image) => ("bytes" in image ? Buffer.from(image.bytes).toString() : image.error));
      told.push(texts.join());
      await changed(texts.join());
    },
    (error) => failures.push(error.message),
  );
  const start = (...paths: string[]) => watch.start(new Map(paths.map((path) => [path, imageOf(path)])));
  return { clock, told, failures, watch, start };
}

function file(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

test("FileWatch tells what was replaced, once, also what was replaced between the reading and the start", async () => {
  const { clock, told, watch } = watching();
  const [early, late] = [file("early", "1"), file("late", "1")];
  const files = new Map([early, late].map((path) => [path, imageOf(path)]));
  replace(early, "22");
  watch.start(files);
  await clock.advance(1000);
  assert.deepEqual(told, ["22"]);
  replace(late, "333");
  await clock.advance(2000);
  watch.stop();
  assert.deepEqual(told, ["22", "333"]);
});

test("FileWatch goes on where a file cannot be looked at, and tells when it is there again", async () => {
  const { clock, told, start, watch } = watching();
  const path = file("loop", "1");
  start(path);
  rmSync(path);
  symlinkSync(path, path); // stat(2) says ELOOP, as it says EACCES or EIO elsewhere
  await clock.advance(2000);
  replace(path, "22");
  await clock.advance(1000);
  watch.stop();
  assert.equal(told.length, 2);
  assert.match(told[0] ?? "", /symbolic links/i);
  assert.equal(told[1], "22");
});

test("FileWatch says who could not take a file, and goes on", async () => {
  const { clock, told, failures, start, watch } = watching(async (texts) => {
    if (texts === "22") throw new Error("no answer");
  });
  const path = file("refused", "1");
  start(path);
  replace(path, "22");
  await clock.advance(1000);
  replace(path, "333");
  await clock.advance(1000);
  watch.stop();
  assert.deepEqual(failures, ["no answer"]);
  assert.deepEqual(told, ["22", "333"]);
});

test("FileWatch that is started anew while somebody takes a file looks once in a while, not twice", async () => {
  let taken: () => void = () => undefined;
  const { clock, start, watch } = watching(() => new Promise((resolve) => (taken = resolve)));
  const path = file("twice", "1");
  start(path);
  replace(path, "22");
  await clock.advance(1000);
  start(path);
  taken();
  await settled();
  assert.equal(clock.timers, 1);
  watch.stop();
  assert.equal(clock.timers, 0);
});
