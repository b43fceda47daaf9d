import assert from "node:assert/strict";
import { test } from "node:test";
import { whenKnown } from "./awaitable.ts";

test("whenKnown() goes on at once with a value that is there", () => {
  assert.equal(
    whenKnown(1, (n) => n + 1),
    2,
  );
});

test("whenKnown() waits for a promise, and flattens what follows", async () => {
  const result = whenKnown(Promise.resolve(1), (n) => Promise.resolve(n + 1));
  assert.ok(result instanceof Promise);
  assert.equal(await result, 2);
});

test("whenKnown() lets a rejection through, and does not go on", async () => {
  let called = false;
  const failed = whenKnown(Promise.reject<number>(new Error("down")), () => {
    called = true;
  });
  await assert.rejects(async () => failed, { message: "down" });
  assert.equal(called, false);
});
