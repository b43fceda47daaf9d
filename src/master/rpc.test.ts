/** Tests of rpc.ts: one answer for each call, and nothing but an error for nonsense. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Methods, PeerEndedError, Rpc } from "./rpc.ts";

/** Two ends of one channel. */
function pair(methods: Methods): { readonly near: Rpc; readonly far: Rpc } {
  const near: Rpc = new Rpc((message) => queueMicrotask(() => far.receive(message)), new Map());
  const far: Rpc = new Rpc((message) => queueMicrotask(() => near.receive(message)), methods);
  return { near, far };
}

test("Rpc gives each call its answer, in any order", async () => {
  let slow: (value: string) => void = () => undefined;
  const { near } = pair(
    new Map<string, (args: never) => unknown>([
      ["slow", () => new Promise((resolve) => (slow = resolve))],
      ["twice", (n: number) => n * 2],
      [
        "bad",
        () => {
          throw new Error("no");
        },
      ],
    ]),
  );
  const first = near.call("slow", undefined);
  assert.equal(await near.call("twice", 21), 42);
  slow("done");
  assert.equal(await first, "done");
  await assert.rejects(near.call("bad", undefined), { message: "no" });
  await assert.rejects(near.call("nothing", undefined), { message: 'No method "nothing"' });
});

for (const message of [null, undefined, 7, "x", {}, { kind: "result", id: 99 }, { kind: "error" }, { kind: "call" }]) {
  test(`Rpc.receive() takes nonsense: ${JSON.stringify(message)}`, async () => {
    const { near, far } = pair(new Map([["ping", () => "pong"]]));
    far.receive(message);
    near.receive(message);
    assert.equal(await near.call("ping", undefined), "pong");
  });
}

test("Rpc.close() rejects what is open and what comes", async () => {
  const { near } = pair(new Map([["never", () => new Promise(() => undefined)]]));
  const open = near.call("never", undefined);
  near.close("killed");
  await assert.rejects(open, PeerEndedError);
  await assert.rejects(near.call("never", undefined), PeerEndedError);
});
