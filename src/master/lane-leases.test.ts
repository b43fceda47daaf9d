import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { type Borrower, LaneLeases } from "./lane-leases.ts";

class Worker implements Borrower {
  held = 0;
  readonly recalls: number[] = [];
  granted(_key: string, count: number): void {
    this.held += count;
  }
  recalled(_key: string, keep: number): void {
    this.recalls.push(keep);
  }
}

function setUp() {
  const clock = new ManualClock();
  const leases = new LaneLeases(clock);
  const [a, b] = [new Worker(), new Worker()];
  const ask = (worker: Worker, want: number, limit: number, restMs = 0) =>
    leases.ask(worker, { key: "smtp:x", want, limit, restMs });
  const release = (worker: Worker, count: number) => {
    worker.held -= count;
    leases.release(worker, "smtp:x", count);
  };
  return { clock, leases, a, b, ask, release };
}

test("LaneLeases grants several at once, what is free, and the rest when it is released", () => {
  const { leases, a, b, ask, release } = setUp();
  ask(a, 3, 4);
  ask(b, 3, 4);
  assert.deepEqual([a.held, b.held], [3, 1]);
  ask(b, 2, 4);
  assert.deepEqual(a.recalls, [2], "its fair share");
  release(a, 1);
  assert.deepEqual([a.held, b.held], [2, 2]);
  release(a, 2);
  release(b, 2);
  assert.equal(leases.size, 0, "nothing is remembered");
});

test("LaneLeases one slot goes round", () => {
  const { a, b, ask, release } = setUp();
  ask(a, 1, 1);
  ask(b, 1, 1);
  assert.deepEqual([a.recalls, b.held], [[0], 0]);
  release(a, 1);
  assert.equal(b.held, 1);
  ask(a, 1, 1);
  release(b, 1);
  assert.deepEqual([a.held, b.held, b.recalls], [1, 0, [0]]);
});

test("LaneLeases does not recall from a worker that waits for itself", () => {
  const { a, ask } = setUp();
  ask(a, 2, 2);
  ask(a, 1, 2);
  assert.deepEqual(a.recalls, []);
});

test("LaneLeases gives what a dead worker held to the others and forgets what it asked for", () => {
  const { leases, a, b, ask } = setUp();
  ask(a, 2, 2);
  ask(a, 1, 2);
  ask(b, 2, 2);
  leases.drop(a);
  assert.equal(b.held, 2);
  leases.release(a, "smtp:x", 2);
  assert.equal(leases.out("smtp:x"), 2, "a late release of the dead changes nothing");
  leases.drop(b);
  assert.equal(leases.size, 0);
});

test("LaneLeases keeps a rate delay over all workers, also after a death", async () => {
  const { clock, leases, a, b, ask, release } = setUp();
  ask(a, 1, 1, 1000);
  ask(b, 1, 1, 1000);
  release(a, 1);
  await clock.advance(999);
  assert.equal(b.held, 0);
  await clock.advance(1);
  assert.equal(b.held, 1);
  ask(a, 1, 1, 1000);
  leases.drop(b);
  await clock.advance(999);
  assert.equal(a.held, 0);
  await clock.advance(1);
  assert.equal(a.held, 1);
});

for (const bad of [{ want: 0 }, { limit: 0 }, { limit: Number.NaN }, { restMs: -1 }]) {
  test(`LaneLeases refuses ${JSON.stringify(bad)}`, () => {
    const { leases, a } = setUp();
    assert.throws(() => leases.ask(a, { key: "k", want: 1, limit: 1, restMs: 0, ...bad }), RangeError);
    assert.equal(leases.size, 0);
  });
}

test("LaneLeases never exceeds the limit, and nobody waits while a slot is free", async () => {
  const step = fc.record({
    worker: fc.nat(2),
    what: fc.constantFrom("ask", "ask", "release", "drop", "wait"),
    count: fc.integer({ min: 1, max: 4 }),
  });
  const input = [fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 10)] as const;
  await fc.assert(
    fc.asyncProperty(...input, async (steps, limit, restMs) => {
      const { clock, leases, ask, release } = setUp();
      const workers = [new Worker(), new Worker(), new Worker()];
      let open = new Map<Worker, number>();
      const waiting = () => [...open].some(([worker, before]) => worker.held === before);
      const all = () => workers.reduce((n, { held }) => n + held, 0);
      for (const { worker: index, what, count } of steps) {
        const worker = workers[index] ?? assert.fail();
        open = new Map([...open].filter(([w, before]) => w.held === before));
        if (what === "ask" && !open.has(worker)) {
          open.set(worker, worker.held);
          ask(worker, count, limit, restMs);
        } else if (what === "release" && worker.held > 0 && !open.has(worker)) {
          release(worker, Math.min(count, worker.held));
        } else if (what === "drop") {
          open.delete(worker);
          worker.held = 0;
          leases.drop(worker);
        } else if (what === "wait") await clock.advance(10);
        assert.ok(all() <= limit && leases.out("smtp:x") <= limit, `${all()} of ${limit}`);
        assert.ok(all() <= leases.out("smtp:x"));
        if (waiting()) assert.equal(leases.out("smtp:x"), limit);
      }
      for (const worker of workers) leases.drop(worker);
      await clock.advance(10);
      assert.equal(leases.size, 0);
    }),
    { numRuns: 200 },
  );
});
