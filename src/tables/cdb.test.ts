/** tables/cdb.test.ts: the format of cdb(5): what is written is read, and damaged files are refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatCdb, parseCdb } from "./cdb.ts";
import { TableError } from "./table.ts";

test("parseCdb() reads what formatCdb() writes", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 }).map((s) => s.replaceAll("\0", "").toWellFormed());
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { maxLength: 300 }), (pairs) => {
      const entries = new Map(pairs);
      assert.deepEqual([...parseCdb(formatCdb(entries), "x.cdb")], [...entries]);
    }),
    { numRuns: 50 },
  );
});

test("formatCdb() is the format of cdb(5), byte for byte", () => {
  const bytes = formatCdb(new Map([["one", "Hello"]]));
  // 5381 hashed over "one" as cdb(5) says.
  let hash = 5381;
  for (const c of Buffer.from("one")) hash = (((hash << 5) + hash) ^ c) >>> 0;
  const table = 2048 + 8 + 3 + 5;
  assert.equal(bytes.length, table + 16);
  assert.equal(bytes.subarray(2048, table).toString("latin1"), "\x03\0\0\0\x05\0\0\0oneHello");
  assert.equal(bytes.readUInt32LE((hash & 255) * 8), table);
  assert.equal(bytes.readUInt32LE((hash & 255) * 8 + 4), 2);
  const slot = table + ((hash >>> 8) % 2) * 8;
  assert.deepEqual([bytes.readUInt32LE(slot), bytes.readUInt32LE(slot + 4)], [hash, 2048]);
});

test("parseCdb() of damaged bytes throws TableError or reads a part, and never hangs", () => {
  const whole = formatCdb(new Map(Array.from({ length: 20 }, (_, i) => [`key${i}`, `value${i}`])));
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length - 1), fc.nat(255), (length, at, byte) => {
      const bytes = Buffer.from(whole.subarray(0, length));
      if (at < bytes.length) bytes[at] = byte;
      try {
        assert.ok(parseCdb(bytes, "x.cdb").size <= 21);
      } catch (error) {
        assert.ok(error instanceof TableError, String(error));
      }
    }),
  );
});
