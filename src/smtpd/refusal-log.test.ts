/** smtpd/refusal-log.test.ts: which refusals are kept, in which order, and when nothing is recorded at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Explanation } from "./explanation.ts";
import { RefusalLog } from "./refusal-log.ts";

function refusal(id: number): Explanation {
  return {
    id: `1.${id}`,
    atMs: id,
    service: "smtp",
    command: "RCPT",
    client: { name: "unknown", address: "192.0.2.1", reverseName: "unknown" },
    helo: undefined,
    login: undefined,
    tls: undefined,
    sender: undefined,
    recipient: undefined,
    recipients: 0,
    sizeBytes: undefined,
    decision: "reject",
    by: undefined,
    steps: [],
    effects: [],
    notices: [],
    reply: [],
  };
}

const ids = (log: RefusalLog, count: number) => log.last(count).map(({ atMs }) => atMs);

test("RefusalLog keeps the last ones, oldest first, as if it were a list cut at its limit", () => {
  const step = fc.oneof(
    fc.constant({ kind: "take" } as const),
    fc.record({ kind: fc.constant("limit" as const), limit: fc.nat(5) }),
  );
  fc.assert(
    fc.property(fc.nat(5), fc.array(step, { maxLength: 40 }), (first, steps) => {
      let limit = first;
      let model: number[] = [];
      const log = new RefusalLog(limit);
      for (const [i, change] of steps.entries()) {
        if (change.kind === "take") {
          log.take(refusal(i));
          model.push(i);
        } else {
          log.configure(change.limit);
          limit = change.limit;
        }
        model = limit === 0 ? [] : model.slice(-limit);
        assert.deepEqual(ids(log, 100), model);
        assert.deepEqual(ids(log, 2), model.slice(-2));
      }
    }),
  );
});

test("RefusalLog finds a refusal by its id as long as it is kept, and the newest where an id came again", () => {
  const log = new RefusalLog(2);
  for (const id of [1, 2, 3]) log.take(refusal(id));
  assert.equal(log.find("1.1"), undefined);
  assert.equal(log.find("1.3")?.atMs, 3);
  log.take({ ...refusal(3), atMs: 9 });
  assert.equal(log.find("1.3")?.atMs, 9);
});

test("RefusalLog wants traces only where something is kept", () => {
  const log = new RefusalLog(0);
  assert.equal(log.trace, undefined);
  log.configure(1);
  assert.equal(log.trace, "refusals");
});
