import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cacheKey, isCachedDestination } from "./cache-key.ts";

const traits = fc.record({
  nexthop: fc.string({ maxLength: 3 }),
  tlsPolicy: fc.string({ maxLength: 3 }),
  saslIdentity: fc.string({ maxLength: 3 }),
  sourceAddress: fc.string({ maxLength: 3 }),
});

test("cacheKey() is equal for equal traits only", () => {
  fc.assert(
    fc.property(traits, traits, (a, b) => {
      const words = ({ nexthop, tlsPolicy, saslIdentity, sourceAddress }: typeof a) => [
        nexthop,
        tlsPolicy,
        saslIdentity,
        sourceAddress,
      ];
      const same = words(a).every((word, i) => word === words(b)[i]);
      assert.equal(cacheKey(a) === cacheKey(b), same);
      assert.equal(cacheKey(a), cacheKey({ ...a }));
    }),
  );
});

const BASE = { nexthop: "a.test", tlsPolicy: "may", saslIdentity: "me@example.org", sourceAddress: "192.0.2.1" };
for (const name of ["nexthop", "tlsPolicy", "saslIdentity", "sourceAddress"] as const) {
  test(`cacheKey() keeps sessions apart that differ in ${name}`, () => {
    assert.notEqual(cacheKey(BASE), cacheKey({ ...BASE, [name]: "" }));
  });
}

test("cacheKey() is not fooled by a word that spills into the next", () => {
  assert.notEqual(
    cacheKey({ ...BASE, nexthop: "a", tlsPolicy: "b" }),
    cacheKey({ ...BASE, nexthop: 'a","b', tlsPolicy: "" }),
  );
});

for (const { nexthop, protocol = "smtp", want, why } of [
  { nexthop: "a.test", want: true, why: "a domain" },
  { nexthop: "A.Test", want: true, why: "in any case" },
  { nexthop: "[a.test]:587", want: true, why: "brackets and port do not count" },
  { nexthop: "b.test", want: false, why: "another" },
  { nexthop: "sub.a.test", want: false, why: "not what is below it" },
  { nexthop: "b.test, a.test", want: false, why: "the first of several decides" },
  { nexthop: "unix:/run/lmtp", protocol: "lmtp" as const, want: true, why: "a socket by its path" },
]) {
  test(`isCachedDestination() ${nexthop}: ${why}`, () => {
    assert.equal(isCachedDestination(nexthop, new Set(["a.test", "/run/lmtp"]), protocol as "smtp" | "lmtp"), want);
    assert.equal(isCachedDestination(nexthop, new Set(), protocol as "smtp" | "lmtp"), false);
  });
}
