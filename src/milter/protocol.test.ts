import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeTexts, encodePacket, encodeTexts, PacketReader } from "./protocol.ts";

test("property: packets come out as they went in, at any segmentation", () => {
  const some = fc.record({ kind: fc.constantFrom("c", "y", "+"), data: fc.uint8Array({ maxLength: 20 }) });
  fc.assert(
    fc.property(fc.array(some, { maxLength: 6 }), fc.integer({ min: 1, max: 9 }), (packets, size) => {
      const bytes = Buffer.concat(packets.map(({ kind, data }) => encodePacket(kind, data)));
      const reader = new PacketReader();
      const found = [];
      for (let at = 0; at < bytes.length; at += size) {
        const got = reader.push(bytes.subarray(at, at + size));
        assert.notEqual(got, "bad");
        if (got !== "bad") found.push(...got.map(({ kind, data }) => ({ kind, data: new Uint8Array(data) })));
      }
      assert.deepEqual(
        found,
        packets.map(({ kind, data }) => ({ kind, data: new Uint8Array(data) })),
      );
    }),
  );
});

for (const { bytes, why } of [
  { bytes: [0, 0, 0, 0, 99], why: "a length of nothing" },
  { bytes: [255, 255, 255, 255, 99], why: "a length of gigabytes is not gathered" },
  { bytes: [...Buffer.from("220 mx.test ESMTP")], why: "another protocol" },
]) {
  test(`PacketReader knows what is no Milter: ${why}`, () => {
    assert.equal(new PacketReader().push(Buffer.from(bytes)), "bad");
  });
}

test("texts end in NUL, and hold none", () => {
  assert.deepEqual(decodeTexts(encodeTexts(["a", "", "b\0c"])), ["a", "", "b c"]);
  assert.deepEqual(decodeTexts(Buffer.from("x\0y")), ["x", "y"]);
  assert.deepEqual(decodeTexts(Buffer.alloc(0)), []);
});
