import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LdapFrames } from "./ldap-frames.ts";
import { ber, entry, message, result } from "./testdata/ber.ts";

const GOOD = [
  message(1, result(0x61)),
  message(2, entry("cn=a", { mail: ["a@b", Buffer.of(0xff, 0)], cn: [] })),
  message(2, entry("cn=b", { mail: ["x".repeat(3000)] })),
  message(2, ber(0x73, ber(0x04, "ldap://elsewhere"))),
  message(2, result(0x65, 4)),
  ber(0x30, ber(0x02, Buffer.of(3)), result(0x65), ber(0xa0, ber(0x30, ber(0x04, "1.2.3")))),
  message(0, ber(0x78, ber(0x0a, Buffer.of(52)), ber(0x04), ber(0x04, "bye"), ber(0x8a, "1.3.6.1.4.1.1466.20036"))),
  message(4, ber(0x65, ber(0x0a, Buffer.of(10)), ber(0x04), ber(0x04), ber(0xa3, ber(0x04, "ldap://h")))),
];

test("LdapFrames gives the same messages for any segmentation", () => {
  const stream = Buffer.concat(GOOD);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1 }), (sizes) => {
      const frames = new LdapFrames(1e6);
      const got: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        const messages = frames.push(stream.subarray(at, at + size));
        assert.ok(!("problem" in messages));
        got.push(...messages);
        at += size;
      }
      assert.deepEqual(got, GOOD);
      assert.ok(frames.empty);
    }),
    { numRuns: 30 },
  );
});

test("LdapFrames tells the result code of the search", () => {
  const frames = new LdapFrames(1e6);
  frames.push(Buffer.concat([message(1, entry("x", {})), message(1, result(0x65, 4))]));
  assert.equal(frames.doneCode, 4);
  frames.begin();
  assert.equal(frames.doneCode, undefined);
});

const BAD: { bytes: Buffer; why: string }[] = [
  { bytes: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), why: "another protocol" },
  { bytes: Buffer.of(0x30, 0x80), why: "indefinite length" },
  { bytes: Buffer.of(0x30, 0x85, 0, 0, 0, 0, 1), why: "length of five bytes" },
  { bytes: Buffer.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff), why: "4 GB" },
  { bytes: Buffer.of(0x30, 0), why: "empty message" },
  { bytes: ber(0x30, ber(0x02, Buffer.of(1))), why: "no operation" },
  { bytes: ber(0x30, ber(0x04, "1"), result(0x65)), why: "id is no number" },
  { bytes: ber(0x30, ber(0x02, Buffer.alloc(9)), result(0x65)), why: "id too long" },
  { bytes: message(1, ber(0x65)), why: "no result code" },
  { bytes: message(1, ber(0x65, ber(0x0a, Buffer.of(0)))), why: "half a result" },
  { bytes: message(1, ber(0x63, ber(0x04))), why: "a request" },
  { bytes: message(1, ber(0x64, ber(0x04, "x"))), why: "entry without attributes" },
  {
    bytes: message(1, ber(0x64, ber(0x04, "x"), ber(0x04, Buffer.of(0x30, 0x84, 0x7f, 0xff, 0xff, 0xff)))),
    why: "attributes that are a string with a huge length inside: the driver would read for ever",
  },
  {
    bytes: message(1, ber(0x64, ber(0x04, "x"), Buffer.of(0x30, 5, 0x30, 0x20, 0x04, 1, 0x61))),
    why: "inner length beyond the outer",
  },
  {
    bytes: message(1, ber(0x64, ber(0x04, "x"), ber(0x30, ber(0x30, ber(0x04, "a"), ber(0x31, ber(0x30)))))),
    why: "value that is no string",
  },
  { bytes: message(1, ber(0x73, ber(0x02, "x"))), why: "reference that is no string" },
];
for (const { bytes, why } of BAD) {
  test(`LdapFrames refuses ${why}`, () => {
    for (const size of [bytes.length, 1]) {
      const frames = new LdapFrames(1e6);
      let problem = "";
      for (let at = 0; at < bytes.length && problem === ""; at += size) {
        const messages = frames.push(bytes.subarray(at, at + size));
        if ("problem" in messages) problem = messages.problem;
      }
      assert.equal(problem, "malformed LDAP message from the server");
    }
  });
}

test("LdapFrames never throws and never gives what it would refuse, for any bytes", () => {
  const mutated = fc
    .tuple(fc.constantFrom(...GOOD), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 5 }))
    .map(([good, changes]) => {
      const bytes = Buffer.from(good);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(mutated, (bytes) => {
      const messages = new LdapFrames(1e6).push(bytes);
      if ("problem" in messages) return;
      for (const one of messages) assert.ok(!("problem" in new LdapFrames(1e6).push(one)));
    }),
    { numRuns: 1000 },
  );
});

test("LdapFrames ends an answer over the limit, in one message or in many", () => {
  const entryOf = (size: number) => message(1, entry("x", { a: ["y".repeat(size)] }));
  assert.deepEqual(new LdapFrames(1000).push(entryOf(2000)), { problem: "the answer is longer than 1000 bytes" });
  const frames = new LdapFrames(1000);
  for (let i = 0; i < 3; i++) assert.ok(!("problem" in frames.push(entryOf(200))));
  frames.begin();
  for (let i = 0; i < 3; i++) assert.ok(!("problem" in frames.push(entryOf(200))));
  assert.ok("problem" in frames.push(entryOf(400)));
});
