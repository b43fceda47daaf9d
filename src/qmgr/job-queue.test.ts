import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Job } from "./active.ts";
import { JobQueue } from "./job-queue.ts";

function job(name: number, priority: number | undefined): Job {
  return { active: { message: { envelope: { priority, name } } }, recipients: [] } as unknown as Job;
}
const nameOf = (taken: Job | undefined) =>
  (taken?.active.message.envelope as unknown as { name: number } | undefined)?.name;

const rows: readonly { why: string; priorities: readonly (number | undefined)[]; want: readonly number[] }[] = [
  { why: "without priorities in the order it came", priorities: [undefined, 0, undefined], want: [0, 1, 2] },
  { why: "PRI-05 the most urgent first", priorities: [-1, 0, 5, undefined, 9, -9], want: [4, 2, 1, 3, 0, 5] },
  { why: "PRI-05 in one priority in the order it came", priorities: [3, -2, 3, -2, 3], want: [0, 2, 4, 1, 3] },
  {
    why: "PRI-05 every tenth turn is the least urgent's",
    priorities: [-9, -9, ...Array.from({ length: 18 }, () => 1)],
    want: [2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19, 1],
  },
];
for (const { why, priorities, want } of rows) {
  test(`JobQueue ${why}`, () => {
    const queue = new JobQueue();
    for (const [name, priority] of priorities.entries()) queue.push(job(name, priority));
    assert.equal(
      queue.urgent,
      priorities.some((priority) => (priority ?? 0) > 0),
    );
    assert.deepEqual(
      priorities.map(() => nameOf(queue.take())),
      want,
    );
    assert.deepEqual([queue.take(), queue.length, queue.urgent], [undefined, 0, false]);
  });
}

test("JobQueue gives back everything once, whatever comes and goes", () => {
  const step = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constant("take" as const), fc.constant("drain" as const));
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const queue = new JobQueue();
      const inside = new Set<number>();
      for (const [name, what] of [...steps, "drain" as const].entries()) {
        if (typeof what === "number") {
          queue.push(job(name, what));
          inside.add(name);
        } else {
          const taken = what === "take" ? [queue.take()] : queue.drain();
          for (const one of taken) if (one) assert.ok(inside.delete(nameOf(one) ?? -1));
        }
        assert.equal(queue.length, inside.size);
      }
      assert.equal(inside.size, 0);
    }),
  );
});
