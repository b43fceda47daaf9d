/** The store thread can die. Then what was asked is refused as undecided, and the worker is told that it must go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Log, type LogRecord } from "../log/log.ts";
import type { QueueError } from "./store.ts";
import { StoreClient } from "./store-client.ts";

function clientOf(script: string) {
  const logged: LogRecord[] = [];
  const failures: QueueError[] = [];
  const client = new StoreClient({
    log: new Log({ sink: (record) => logged.push(record), now: () => 0, tag: "test", id: 1 }),
    drained: () => undefined,
    failed: (error) => failures.push(error),
    entry: new URL(script, import.meta.url),
  });
  return { client, logged, failures };
}

test("a thread that dies: what was asked is undecided, what comes after is refused, and it is told once", async () => {
  const { client, logged, failures } = clientOf("./testdata/dying-thread-child.ts");
  const asked = [1, 2].map(() => client.call(0, { kind: "lanes", limit: 1 }));
  for (const one of asked) await assert.rejects(one, { name: "QueueError", undecided: true, message: /out of memory/ });
  await assert.rejects(client.call(0, { kind: "lanes", limit: 1 }), { undecided: false });
  await client.close();
  assert.deepEqual(
    failures.map((error) => /^Store thread failed: Error: out of memory/.test(error.message)),
    [true],
  );
  assert.deepEqual(
    logged.map((record) => record.severity),
    ["error"],
  );
});

test("a thread that was asked to end has not failed", async () => {
  const { client, logged, failures } = clientOf("./store-thread.ts");
  await client.close();
  assert.deepEqual([...failures, ...logged], []);
});

test("two posts may be without an answer; what is asked meanwhile goes in one post when the first is answered", async () => {
  const { client, logged } = clientOf("./testdata/waiting-thread-child.ts");
  const answers: Promise<unknown>[] = [];
  for (let i = 0; i < 5; i++) {
    answers.push(client.call(0, { kind: "lanes", limit: 1 }));
    await setImmediate();
  }
  await client.open({ directory: "", shard: 0, create: true, life: "new" }, { adopted: false });
  const posts = await Promise.all(answers);
  await client.close();
  assert.deepEqual(posts, [1, 1, 3, 3, 3]);
  assert.deepEqual(logged, []);
});
