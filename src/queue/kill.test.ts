/** Real processes, killed with SIGKILL: what was acknowledged is kept, crashes are counted, locks are let go. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { QueueId } from "../mail/queue-id.ts";
import { InFlightMarks } from "./in-flight.ts";
import { type OfflineQueue, openOffline } from "./offline.ts";
import { bodyFor, bytesOf, HEADER, messageFor, storeIn, temporaryDirectory } from "./testdata/fixture.ts";

function child(script: string, directory: string): ChildProcess {
  const path = fileURLToPath(new URL(`./testdata/${script}`, import.meta.url));
  return spawn(process.execPath, [path, directory], { stdio: ["pipe", "pipe", "inherit"] });
}

/** Everything the child printed until it was gone, whole lines only. */
async function killedAfter(process: ChildProcess, wait: (lines: () => string[]) => boolean): Promise<string[]> {
  let text = "";
  const lines = () => text.split("\n").slice(0, -1);
  process.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (wait(lines)) process.kill("SIGKILL");
  });
  await once(process, "close");
  return lines();
}

async function checkKept(queue: OfflineQueue, lines: readonly string[]): Promise<void> {
  const settling = new Set(lines.filter((line) => line.startsWith("-")).map((line) => line.slice(1)));
  for (const line of lines) {
    const id = line.slice(1) as QueueId;
    if (!line.startsWith("+") || settling.has(id)) continue;
    const found = await queue.read(id);
    assert.ok(found, `${id} was acknowledged`);
    assert.equal(found.listing.queue, "incoming", "claims of the dead are due again");
    const size = found.content.sizeBytes - HEADER.length;
    assert.deepEqual(await bytesOf(found.content), Buffer.concat([HEADER, bodyFor(id, size)]));
  }
}

for (const chain of [1, 2]) {
  test(`SMTP-41: kill -9 loses no acknowledged message: chain ${chain} of five kills at random moments`, async (t) => {
    const directory = temporaryDirectory(t);
    const all: string[] = [];
    for (let kill = 0; kill < 5; kill++) {
      const stopAt = 1 + Math.floor(Math.random() * 120);
      all.push(...(await killedAfter(child("append-child.ts", directory), (lines) => lines().length >= stopAt)));
      const queue = openOffline(directory);
      await checkKept(queue, all);
      assert.deepEqual(queue.notes, []);
      const named = (await queue.list({ limit: 10_000 })).length;
      assert.ok(readdirSync(join(directory, "shard-00", "content")).length <= named, "no file without a row");
      queue.close();
    }
    assert.ok(all.length >= 5);
  });
}

test("a message that is being delivered at three crashes is held; a graceful close is no crash", async (t) => {
  const directory = temporaryDirectory(t);
  const first = await storeIn(t, directory);
  const id = first.ids.next();
  await first.store.append(messageFor(id), { claim: false });
  first.store.markInFlight?.(id);
  await first.store.close();
  // The first crash: a marks file that nobody closed.
  new InFlightMarks(join(directory, "shard-00", "inflight")).mark(id);
  for (const expected of ["marked", "marked"]) {
    assert.deepEqual(await killedAfter(child("in-flight-child.ts", directory), (lines) => lines().length > 0), [
      expected,
    ]);
  }
  const { store, logged } = await storeIn(t, directory);
  const [listed] = await store.list({ limit: 1 });
  assert.equal(listed?.queue, "hold");
  assert.match(logged[0]?.text ?? "", new RegExp(`${id}: placed on hold: .* 3 crashes`));
  await store.release([id]);
  assert.equal((await store.list({ limit: 1 }))[0]?.queue, "incoming", "release forgets the crashes");
});

test("a second opener is refused, in this process and in another", async (t) => {
  const directory = temporaryDirectory(t);
  const { store } = await storeIn(t, directory);
  await assert.rejects(storeIn(t, directory), /in use by another process: the server is running/);
  assert.throws(() => openOffline(directory), /in use by another process/);
  await store.close();
  const other = child("in-flight-child.ts", directory);
  await once(other.stdout ?? other, "data");
  assert.throws(() => openOffline(directory), /in use by another process/);
  await assert.rejects(storeIn(t, directory), /in use by another process/);
  other.kill("SIGKILL");
  await once(other, "close");
  openOffline(directory).close();
});
