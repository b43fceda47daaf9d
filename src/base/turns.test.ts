import assert from "node:assert/strict";
import { test } from "node:test";
import { SLICE, Turns } from "./turns.ts";

const rows = [
  { spend: [SLICE], waits: 0, why: "one slice" },
  { spend: [SLICE, 1], waits: 1, why: "more than a slice" },
  { spend: [SLICE - 1, 1, 1], waits: 1, why: "a slice to the unit" },
  { spend: [10 * SLICE, 1, 1], waits: 1, why: "one piece of work that cannot be cut" },
  { spend: new Array<number>(10 * SLICE).fill(1), waits: 9, why: "ten slices" },
  { spend: new Array<number>(1000).fill(0), waits: 0, why: "no work" },
];
for (const { spend, waits, why } of rows) {
  test(`Turns.spend() waits between slices: ${why}`, async () => {
    const turns = new Turns();
    let waited = 0;
    for (const units of spend) {
      const wait = turns.spend(units);
      if (wait === undefined) continue;
      waited++;
      await wait;
    }
    assert.equal(waited, waits);
  });
}

test("Turns.spend(): what waits in the event loop runs meanwhile", async () => {
  const turns = new Turns();
  const order: string[] = [];
  setImmediate(() => order.push("other work"));
  assert.equal(turns.spend(SLICE), undefined);
  await turns.spend(1);
  order.push("the next slice");
  assert.deepEqual(order, ["other work", "the next slice"]);
});
