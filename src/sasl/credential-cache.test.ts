import assert from "node:assert/strict";
import { test } from "node:test";
import { CredentialCache } from "./credential-cache.ts";
import { ManualClock } from "./testdata/manual-clock.ts";

test("CredentialCache remembers one identity for its life and no longer", () => {
  const clock = new ManualClock();
  const cache = new CredentialCache({ clock, lifeMs: 1000, limit: 10 });
  cache.remember(["password", "alice", "pencil"]);
  clock.advance(999);
  assert.ok(cache.has(["password", "alice", "pencil"]));
  clock.advance(1);
  assert.ok(!cache.has(["password", "alice", "pencil"]));
  assert.equal(cache.size, 0);
});

const others = [
  { in: ["password", "alice", "pencils"], why: "another password" },
  { in: ["password", "bob", "pencil"], why: "another login" },
  { in: ["other", "alice", "pencil"], why: "another mechanism class" },
  { in: ["password", "alicep", "encil"], why: "the same letters cut elsewhere" },
  { in: ["password", "alice", "pencil", ""], why: "one part more" },
];
for (const c of others) {
  test(`CredentialCache keeps apart ${c.why}`, () => {
    const cache = new CredentialCache({ clock: new ManualClock(), lifeMs: 1000, limit: 10 });
    cache.remember(["password", "alice", "pencil"]);
    assert.ok(!cache.has(c.in));
  });
}

test("CredentialCache drops the oldest at its limit, everything at clear(), and is off at life 0", () => {
  const cache = new CredentialCache({ clock: new ManualClock(), lifeMs: 1000, limit: 2 });
  for (const login of ["a", "b", "a", "c"]) cache.remember([login]);
  assert.deepEqual(
    [["a"], ["b"], ["c"]].map((identity) => cache.has(identity)),
    [true, false, true],
  );
  cache.clear();
  assert.ok(!cache.has(["a"]));
  const off = new CredentialCache({ clock: new ManualClock(), lifeMs: 0, limit: 2 });
  off.remember(["a"]);
  assert.ok(!off.has(["a"]));
});
