/** cleanup/duties/any-header.test.ts: headers made of what headers are made of, in any order, under all repairs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { submit } from "../testdata/submit.ts";

const PIECES = [
  ...'<>@,;:."\\()[]= \t'.split(""),
  ...[
    "a",
    "b.c",
    "\xe9",
    "\xc3\xbc",
    "=?utf-8?Q?x?=",
    "\r\n ",
    "undisclosed-recipients:;",
    "x".repeat(500),
    "ann@x.test",
  ],
  ...["2026-11-24", "Tue, 24 Nov 2026 07:00:00 +0100", "<1@x.test>", "multipart/mixed; boundary=b", "name=", "8bit"],
];
const NAMES = ["From", "Sender", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "References", "X-Other"];
const MORE_NAMES = [
  "Content-Type",
  "Content-Transfer-Encoding",
  "MIME-Version",
  "Resent-From",
  "Resent-Date",
  "Resent-To",
];

const SETTLED = /^(?:date|message_id|from|mime_version|transfer_encoding|eight_bit_header):/;

test("any header comes out so that there is nothing left to mend, and its body stays", async () => {
  const value = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join(""));
  const field = fc.tuple(fc.constantFrom(...NAMES, ...MORE_NAMES), value);
  await fc.assert(
    fc.asyncProperty(fc.array(field, { maxLength: 8 }), async (fields) => {
      const header = fields.map(([name, text]) => `${name}: ${text}\r\n`).join("");
      const settings = { postern_submission_checks: "all:fix", append_dot_mydomain: "no" };
      const first = await submit(`${header}\r\ntext \xe9\r\n`, { login: "al@x.test", settings });
      assert.equal(first.result, "queued");
      assert.equal(first.body, "text \xe9\r\n");
      const again = await submit(`${first.fields.join("\r\n")}\r\n\r\n${first.body}`, { login: "al@x.test", settings });
      // What is no list of addresses at all may be understood in another way once it has been put together.
      const mended = again.envelope?.changes?.list.filter(({ rule }) => SETTLED.test(rule)) ?? [];
      assert.deepEqual(mended, []);
    }),
    { numRuns: 300 },
  );
});
