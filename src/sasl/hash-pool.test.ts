import assert from "node:assert/strict";
import { scryptSync } from "node:crypto";
import { test } from "node:test";
import { HashPool } from "./hash-pool.ts";
import { DEFAULT_SCRYPT_COST, scryptOptions } from "./verifiers.ts";

const salt = Buffer.from("0123456789abcdef");
const cheap = { password: "pencil", salt, keyBytes: 32, cost: { logN: 4, r: 1, p: 1 } };
const dear = { ...cheap, cost: DEFAULT_SCRYPT_COST };

test("HashPool computes what scryptSync() computes, also at the default cost", async (t) => {
  const pool = new HashPool({ threads: 1, queueLimit: 8 });
  t.after(() => pool.close());
  for (const request of [cheap, dear]) {
    const want = scryptSync("pencil", salt, 32, scryptOptions(request.cost));
    assert.deepEqual(await pool.scrypt(request), { kind: "key", key: new Uint8Array(want) });
  }
});

test("HashPool leaves the event loop free while it computes", async (t) => {
  const pool = new HashPool({ threads: 1, queueLimit: 8 });
  t.after(() => pool.close());
  await pool.scrypt(cheap);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await Promise.all([pool.scrypt(dear), pool.scrypt(dear)]);
  clearInterval(timer);
  assert.ok(turns > 5, `${turns} turns`);
});

test("HashPool takes threads + queueLimit hashes and overflows at the next", async (t) => {
  const pool = new HashPool({ threads: 2, queueLimit: 3 });
  t.after(() => pool.close());
  const outcomes = await Promise.all(Array.from({ length: 7 }, () => pool.scrypt(cheap)));
  assert.deepEqual(
    outcomes.map((outcome) => outcome.kind),
    ["key", "key", "key", "key", "key", "overflow", "overflow"],
  );
  assert.equal((await pool.scrypt(cheap)).kind, "key");
});

test("HashPool reports a hash that cannot be computed and goes on", async (t) => {
  const pool = new HashPool({ threads: 1, queueLimit: 8 });
  t.after(() => pool.close());
  assert.equal((await pool.scrypt({ ...cheap, cost: { logN: 0, r: 1, p: 1 } })).kind, "broken");
  assert.equal((await pool.scrypt(cheap)).kind, "key");
});

test("HashPool.close() breaks what is under way and takes nothing more", async () => {
  const pool = new HashPool({ threads: 1, queueLimit: 8 });
  const running = [pool.scrypt(dear), pool.scrypt(dear)];
  await pool.close();
  for (const outcome of await Promise.all([...running, pool.scrypt(cheap)])) assert.equal(outcome.kind, "broken");
});
