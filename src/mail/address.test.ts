import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress, domainOf, formatAddress, localPartOf } from "./address.ts";

const cases = [
  { in: "a@b.test", out: "a@b.test", local: "a", domain: "b.test", why: "plain" },
  { in: "", out: "", local: "", domain: undefined, why: "null sender" },
  { in: "postmaster", out: "postmaster", local: "postmaster", domain: undefined, why: "no domain" },
  {
    in: "two words@b.test",
    out: '"two words"@b.test',
    local: "two words",
    domain: "b.test",
    why: "blank needs quotes",
  },
  { in: 'q"\\@b.test', out: '"q\\"\\\\"@b.test', local: 'q"\\', domain: "b.test", why: "specials are escaped" },
  { in: "a@c@b.test", out: '"a@c"@b.test', local: "a@c", domain: "b.test", why: "the last @ counts" },
  { in: "a..b@c.test", out: '"a..b"@c.test', local: "a..b", domain: "c.test", why: "empty atom needs quotes" },
  { in: "müller@b.test", out: "müller@b.test", local: "müller", domain: "b.test", why: "UTF-8 is an atom (RFC 6531)" },
];
for (const c of cases) {
  test(`formatAddress() ${c.why}: ${c.in}`, () => {
    const address = asAddress(c.in);
    assert.equal(formatAddress(address), c.out);
    assert.equal(localPartOf(address), c.local);
    assert.equal(domainOf(address), c.domain);
  });
}
