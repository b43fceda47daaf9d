import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { balanced, inOrder } from "./address-order.ts";
import { settingsOf } from "./settings.ts";

const addresses = fc.array(
  fc.record({ address: fc.string(), family: fc.constantFrom<4 | 6>(4, 6), preference: fc.nat(3) }),
  { maxLength: 20 },
);

test("balanced() keeps order and limit, and gives each family its half as far as it has one", () => {
  fc.assert(
    fc.property(addresses, fc.integer({ min: 1, max: 12 }), (all, limit) => {
      const chosen = balanced(all, limit);
      assert.equal(chosen.length, Math.min(limit, all.length));
      assert.deepEqual(
        chosen,
        all.filter((address) => chosen.includes(address)),
      );
      for (const family of [4, 6] as const) {
        const had = all.filter((address) => address.family === family).length;
        const got = chosen.filter((address) => address.family === family).length;
        assert.ok(limit < 2 || got >= Math.min(had, Math.floor(limit / 2)), `${family}: ${got} of ${had}`);
      }
    }),
  );
});

test("inOrder() loses nothing, and preference goes before everything (OUT-01, DANE-07)", () => {
  fc.assert(
    fc.property(
      addresses,
      fc.constantFrom("any", "ipv4", "ipv6"),
      fc.infiniteStream(fc.nat(9)),
      (all, word, digits) => {
        const { lookup } = settingsOf(parametersOf({ smtp_address_preference: word }), "smtp");
        const ordered = inOrder(all, lookup, () => (digits.next().value ?? 0) / 10);
        assert.deepEqual(new Set(ordered), new Set(all));
        for (const [i, address] of ordered.entries()) {
          const before = ordered[i - 1];
          if (!before) continue;
          assert.ok(before.preference <= address.preference);
          const wrong = word !== "any" && before.preference === address.preference && before.family !== address.family;
          assert.ok(!wrong || `ipv${before.family}` === word);
        }
      },
    ),
  );
});
