/** Tests of what the log may show of AUTH. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hideCredentials, hideInitialResponse } from "./auth.ts";

const early = [
  { in: "MAIL FROM:<a@b.test>\r\n", after: "EHLO", want: "MAIL FROM:<a@b.test>\r\n", why: "no secret" },
  { in: "AUTH PLAIN AHgAeQ==\r\n", after: "EHLO", want: "AUTH PLAIN ********", why: "initial response" },
  {
    in: "NOOP\r\nauth plain AHgAeQ==\r\nQUIT\r\n",
    after: "EHLO",
    want: "NOOP\r\nauth plain ********",
    why: "later line",
  },
  { in: "AUTH LOGIN\r\neA==\r\neQ==\r\n", after: "HELO", want: "AUTH LOGIN\r\n********", why: "answers behind it" },
  { in: "eA==\r\neQ==\r\n", after: "AUTH", want: "********", why: "answers" },
];
for (const c of early) {
  test(`hideCredentials() ${c.why}`, () => assert.equal(hideCredentials(c.in, c.after), c.want));
}

test("hideInitialResponse() keeps the mechanism", () => {
  assert.equal(hideInitialResponse("AUTH PLAIN AHgAeQ=="), "AUTH PLAIN ********");
});
