import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asAddress } from "./address.ts";
import { isProbeSender, probeSenderAt } from "./probe-sender.ts";

const HOUR = 3_600_000;
const plain = { address: asAddress("double-bounce@example.org"), lifeMs: 0 };
const changing = { ...plain, lifeMs: HOUR };

test("probeSenderAt() without a life time is the address itself", () => {
  assert.equal(probeSenderAt(plain, 5 * HOUR), plain.address);
  assert.equal(probeSenderAt({ address: asAddress(""), lifeMs: HOUR }, 5 * HOUR), "");
});

test("probeSenderAt() adds the number of the period in 31 digits without vowels", () => {
  assert.equal(probeSenderAt(changing, 0), "double-bounce0@example.org");
  assert.equal(probeSenderAt(changing, 30 * HOUR), "double-bounceZ@example.org");
  assert.equal(probeSenderAt(changing, 31 * HOUR), "double-bounce10@example.org");
});

const NOW = 1000 * HOUR;
const CASES = [
  { given: plain.address, sender: plain, want: true, why: "the address" },
  { given: "Double-Bounce@EXAMPLE.org", sender: plain, want: true, why: "in other case" },
  { given: "double-bounceZ@example.org", sender: plain, want: false, why: "no periods are used" },
  { given: plain.address, sender: changing, want: false, why: "no period is named" },
  { given: probeSenderAt(changing, NOW), sender: changing, want: true, why: "this period" },
  {
    given: probeSenderAt(changing, NOW - HOUR),
    sender: changing,
    want: true,
    why: "the last one: a probe may be slow",
  },
  { given: probeSenderAt(changing, NOW + HOUR), sender: changing, want: true, why: "the next one: clocks differ" },
  { given: probeSenderAt(changing, NOW - 2 * HOUR), sender: changing, want: false, why: "an old one" },
  { given: "", sender: { address: asAddress(""), lifeMs: 0 }, want: false, why: "the null sender is nobody" },
];
for (const { given, sender, want, why } of CASES) {
  test(`isProbeSender() ${why}: ${given}`, () => assert.equal(isProbeSender(asAddress(given), sender, NOW), want));
}

test("isProbeSender() knows what probeSenderAt() makes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1000, max: 1e9 }), (nowMs, lifeMs) => {
      const sender = { ...plain, lifeMs };
      assert.ok(isProbeSender(probeSenderAt(sender, nowMs), sender, nowMs));
    }),
  );
});
