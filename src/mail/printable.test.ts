import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeControls, printableAscii, printableUtf8 } from "./printable.ts";

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

const escapes = [
  { in: "NOOP x\r\n", want: "NOOP x\\r\\n", why: "line ends" },
  { in: "a\\b\t\x00\x7f\xc3", want: "a\\\\b\\t\\000\\177\\303", why: "backslash, tab, and octal digits for the rest" },
];
for (const c of escapes) test(`escapeControls() ${c.why}`, () => assert.equal(escapeControls(c.in), c.want));
