/** master/worker-entry.test.ts: a worker whose master ends while it owes it an answer. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ENTRY = fileURLToPath(new URL("./worker-entry.ts", import.meta.url));
/** More than one chunk of the channel, so that answers meet its end. */
const CALLS = 2000;

test("a worker that cannot answer a master that has ended drains and ends without an error", {
  timeout: 30_000,
}, async () => {
  const child = fork(ENTRY, [], { serialization: "advanced", stdio: ["ignore", "ignore", "pipe", "pipe", "ipc"] });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
  });
  for (let id = 1; id <= CALLS; id++) child.send({ kind: "call", id, method: "nothing", args: {} });
  await once(child, "message");
  child.disconnect();
  const [code] = await once(child, "exit");
  assert.deepEqual({ code, said }, { code: 0, said: "" });
});
