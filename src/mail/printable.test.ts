import assert from "node:assert/strict";
import { test } from "node:test";
import { printableAscii, printableUtf8 } from "./printable.ts";

const cases = [
  { in: "plain text", ascii: "plain text", utf8: "plain text", why: "unchanged" },
  { in: "a\r\nb\x00c", ascii: "a??b?c", utf8: "a??b?c", why: "line ends and NUL would forge log lines" },
  { in: "grün", ascii: "gr?n", utf8: "grün", why: "non-ASCII only for SMTPUTF8" },
  { in: "a\u2028b\x9b", ascii: "a?b?", utf8: "a?b?", why: "Unicode line separators and C1 controls steer terminals" },
];
for (const c of cases) {
  test(`printable: ${c.why}`, () => {
    assert.equal(printableAscii(c.in), c.ascii);
    assert.equal(printableUtf8(c.in), c.utf8);
  });
}
