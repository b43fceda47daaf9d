import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatLongQueueId, formatShortQueueId, parseQueueId, QueueIdAllocator } from "./queue-id.ts";

const parts = fc.record({ micros: fc.integer({ min: 1e15, max: 4e15 }), shard: fc.integer({ min: 0, max: 255 }) });

test("parseQueueId() reads back both forms", () => {
  fc.assert(
    fc.property(parts, (p) => {
      for (const id of [formatShortQueueId(p), formatLongQueueId(p)]) {
        assert.deepEqual(parseQueueId(id), { ...p, id });
      }
    }),
  );
});

test("parseQueueId() takes no text that is not a queue id", () => {
  for (const text of ["", "ABC", "zzzzz", "4A1F2B4C5DG000", "../../etc/passwd", "FFFFF692600000"]) {
    assert.equal(parseQueueId(text), undefined, text);
  }
});

test("the forms match what log parsers expect", () => {
  const p = { micros: 1_795_500_000_123_456, shard: 1 };
  assert.match(formatShortQueueId(p), /^[0-9A-F]{6,}$/);
  assert.match(formatLongQueueId(p), /^[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+$/);
});

test("QueueIdAllocator never repeats an id when the clock stands still or goes back, so Message-IDs are unique (MSG-10)", () => {
  let now = 2_000_000_000_000_000;
  const ids = new QueueIdAllocator({ nowMicros: () => now, shard: 3, long: false, floorMicros: now + 50 });
  const seen = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    if (i === 500) now -= 10_000_000;
    seen.add(ids.next());
  }
  assert.equal(seen.size, 1000);
});
