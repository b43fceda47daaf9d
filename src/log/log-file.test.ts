import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LogFile } from "./log-file.ts";

const root = mkdtempSync(join(tmpdir(), "postern-log-"));
after(() => rmSync(root, { recursive: true }));

/** A log at `path` whose time is set by hand, and what it has told. */
function logAt(path: string) {
  const time = { ms: 0 };
  const errors: string[] = [];
  const lost: number[] = [];
  const log = new LogFile({
    ...{ path, mode: 0o600, clock: { monotonic: () => time.ms } },
    onError: (error) => errors.push((error as NodeJS.ErrnoException).code ?? error.message),
    onBack: (lines) => lost.push(lines),
  });
  return { log, time, errors, lost };
}

async function until(true_: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !true_(); await new Promise((resolve) => setImmediate(resolve)))
    if (performance.now() > end) throw new Error("It never came");
}

test("LogFile appends, and goes on in another file after a rotation", async () => {
  const path = join(root, "plain");
  const { log, errors, lost } = logAt(path);
  log.write("one\n");
  await until(() => existsSync(path));
  renameSync(path, `${path}.1`);
  await log.reopen();
  log.write(Buffer.from("two\n"));
  await log.close();
  assert.equal(readFileSync(`${path}.1`, "latin1"), "one\n");
  assert.equal(readFileSync(path, "latin1"), "two\n");
  assert.deepEqual([errors, lost], [[], []]);
});

test("LogFile on a full disk loses lines, and has those that come when there is room again", async () => {
  const path = join(root, "full");
  symlinkSync("/dev/full", path);
  const { log, time, errors, lost } = logAt(path);
  log.write("one\ntwo\n");
  log.write("three\n");
  await until(() => errors.length > 0);
  log.write("four\n");
  rmSync(path);
  let written = 4;
  await until(() => {
    time.ms += 100;
    log.write(`${++written}\n`);
    return lost.length > 0;
  });
  await log.close();
  const kept = readFileSync(path, "latin1").split("\n").slice(0, -1);
  assert.equal(kept.at(-1), String(written));
  assert.equal(kept.length + (lost[0] ?? 0), written, "each line is written, or counted");
  assert.ok((lost[0] ?? 0) >= 4 + 8, "nothing is tried within a second");
  assert.deepEqual(errors, ["ENOSPC"], "told once");
});

test("LogFile keeps a bounded part of what a slow reader does not take", async () => {
  const path = join(root, "fifo");
  execFileSync("mkfifo", [path]);
  const { log, errors, lost } = logAt(path);
  const line = `${"x".repeat(1023)}\n`;
  const block = line.repeat(1024);
  for (let i = 0; i < 40; i++) log.write(block);
  assert.ok(log.waitingBytes() < 18 * 1024 * 1024, `${log.waitingBytes()} bytes wait`);
  const reader = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
  let bytes = 0;
  reader.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await until(() => lost.length > 0 && log.waitingBytes() === 0);
  await log.close();
  await once(reader, "close");
  assert.deepEqual(errors, []);
  assert.equal(bytes / line.length + (lost[0] ?? 0), 40 * 1024, "each line is written, or counted");
});
