/** Tests of config/edit-distance.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editDistance, nearestName } from "./edit-distance.ts";

const cases = [
  { a: "abc", b: "abc", want: 0 },
  { a: "abc", b: "abd", want: 1 },
  { a: "abc", b: "ab", want: 1 },
  { a: "abc", b: "acb", want: 1 },
  { a: "", b: "ab", want: 2 },
  { a: "kitten", b: "sitting", want: 3 },
  { a: "aaaa", b: "bbbb", want: 4 },
];
for (const { a, b, want } of cases) {
  test(`editDistance() ${a} → ${b}`, () => assert.equal(editDistance(a, b, 3), want));
}

test("editDistance() is symmetric, and zero only for equal texts", () => {
  const word = fc.stringMatching(/^[abc]{0,6}$/);
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b, 9);
      assert.equal(distance, editDistance(b, a, 9));
      assert.equal(distance === 0, a === b);
    }),
  );
});

test("nearestName() finds the nearest name, or none", () => {
  const known = ["smtpd_banner", "smtpd_timeout", "myorigin"];
  assert.equal(nearestName("smtpd_baner", known), "smtpd_banner");
  assert.equal(nearestName("smtpd_tiemout", known), "smtpd_timeout");
  assert.equal(nearestName("unrelated_name", known), undefined);
  assert.equal(nearestName("x".repeat(1000), known), undefined);
});
