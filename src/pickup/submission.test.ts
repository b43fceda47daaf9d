import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "../mail/address.ts";
import { formatSubmission, isMailAddress, MAX_HEAD_BYTES, parseSubmission, type Submission } from "./submission.ts";

const PLAIN: Submission = { sender: asAddress("alice"), recipients: [asAddress("bob@example.org")] };
const head = (value: unknown, magic = "postern-maildrop 1 ") => Buffer.from(`${magic}${JSON.stringify(value)}\n`);

test("parseSubmission() reads back what formatSubmission() wrote", () => {
  const text = fc.string({ minLength: 1, unit: "grapheme" }).map(asAddress).filter(isMailAddress);
  const submission = fc.record(
    {
      sender: fc.oneof(text, fc.constant(asAddress(""))),
      recipients: fc.array(text, { minLength: 1 }),
      fullName: fc.string({ unit: "grapheme" }),
      notify: fc.constantFrom(["NEVER"] as const, ["SUCCESS", "DELAY"] as const),
      ret: fc.constantFrom("FULL", "HDRS"),
      envid: fc.constant("a id=+"),
      originalId: fc.constant("4BE0A21E5F5"),
      body: fc.constantFrom("7BIT", "8BITMIME"),
      gateway: fc.boolean(),
    },
    { requiredKeys: ["sender", "recipients"] },
  );
  fc.assert(
    fc.property(submission, (given) => {
      const line = formatSubmission(given);
      assert.deepEqual(JSON.parse(JSON.stringify(line && parseSubmission(line))), JSON.parse(JSON.stringify(given)));
    }),
  );
});

test("parseSubmission() throws for no bytes", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseSubmission(bytes)));
});

test("parseSubmission() keeps what is asked for each recipient", () => {
  const dsn = [{ notify: ["DELAY"] as const, orcpt: "rfc822;bob@example.org" }];
  assert.deepEqual(parseSubmission(head({ ...PLAIN, dsn }))?.dsn, dsn);
});

const bad = [
  { line: head(PLAIN, "#!/bin/sh "), why: "a program that was moved here" },
  { line: head(PLAIN, "postern-maildrop 2 "), why: "another version" },
  { line: Buffer.from('postern-maildrop 1 {"sender":'), why: "cut off" },
  { line: head(null), why: "null" },
  { line: head([]), why: "a list" },
  { line: head({ recipients: ["b"] }), why: "no sender" },
  { line: head({ ...PLAIN, recipients: [] }), why: "no recipient" },
  { line: head({ ...PLAIN, recipients: "bob" }), why: "recipients are no list" },
  { line: head({ ...PLAIN, recipients: [7] }), why: "a recipient is a number" },
  { line: head({ ...PLAIN, recipients: ["bob\r\nRCPT TO:<x@y>"] }), why: "line ends in an address" },
  { line: head({ ...PLAIN, recipients: ["@example.org"] }), why: "no local part" },
  { line: head({ ...PLAIN, recipients: ["b@"] }), why: "no domain behind @" },
  { line: head({ ...PLAIN, recipients: ["b@a..test"] }), why: "an empty label" },
  { line: head({ ...PLAIN, recipients: [`b@${"x".repeat(1000)}`] }), why: "too long" },
  { line: head({ ...PLAIN, sender: "a\u0000b" }), why: "NUL in the sender" },
  { line: head({ ...PLAIN, notify: ["NEVER", "SUCCESS"] }), why: "NEVER stands alone" },
  { line: head({ ...PLAIN, notify: [] }), why: "NOTIFY of nothing" },
  { line: head({ ...PLAIN, ret: "ALL" }), why: "no such RET" },
  { line: head({ ...PLAIN, envid: "a\nb" }), why: "line end in ENVID" },
  { line: head({ ...PLAIN, body: "BINARYMIME" }), why: "no such body type" },
  { line: head({ ...PLAIN, dsn: [] }), why: "reports of fewer recipients than there are" },
  { line: head({ ...PLAIN, dsn: [{ notify: ["X"] }] }), why: "no such condition for one recipient" },
  { line: head({ ...PLAIN, dsn: [{ orcpt: "rfc822;a\nb" }] }), why: "line end in ORCPT" },
  { line: head({ ...PLAIN, dsn: [{ orcpt: "a@b" }] }), why: "ORCPT without type" },
  { line: head({ ...PLAIN, dsn: [{ other: 1 }] }), why: "what is no member" },
  { line: head({ ...PLAIN, originalId: "a b" }), why: "no queue id" },
  { line: head({ ...PLAIN, fullName: {} }), why: "a name that is an object" },
];
for (const { line, why } of bad) {
  test(`parseSubmission() refuses: ${why}`, () => assert.equal(parseSubmission(line), undefined));
}

test("formatSubmission() refuses what parse would find too long", () => {
  const recipients = Array.from({ length: MAX_HEAD_BYTES / 20 }, (_, i) => asAddress(`recipient${i}@example.org`));
  assert.equal(formatSubmission({ ...PLAIN, recipients }), undefined);
});
