import assert from "node:assert/strict";
import { test } from "node:test";
import { formatReply, isRefusal, reply, replyText } from "./reply.ts";

const cases = [
  { in: reply(250, "2.1.0", "Ok"), wire: "250 2.1.0 Ok\r\n", log: "250 2.1.0 Ok", why: "one line with status" },
  { in: reply(354, undefined, "Go"), wire: "354 Go\r\n", log: "354 Go", why: "3xx has no status (RFC 2034 §4)" },
  {
    in: { code: 550, dsn: "5.7.1", lines: ["a", "b"] },
    wire: "550-5.7.1 a\r\n550 5.7.1 b\r\n",
    log: "550 5.7.1 a b",
    why: "the status stands on each line (ESC-02)",
  },
];
for (const c of cases) {
  test(`formatReply() and replyText(): ${c.why}`, () => {
    assert.equal(formatReply(c.in), c.wire);
    assert.equal(replyText(c.in), c.log);
    assert.equal(isRefusal(c.in), c.in.code >= 400);
  });
}
