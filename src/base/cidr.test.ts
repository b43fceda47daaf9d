/** base/cidr.test.ts: addresses and networks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIp, formatIp, octetsOf, parseAddress, parseNetwork } from "./cidr.ts";

const ADDRESSES = [
  { in: "192.0.2.1", want: "192.0.2.1", why: "plain IPv4" },
  { in: "255.255.255.255", want: "255.255.255.255", why: "highest IPv4" },
  { in: "0.0.0.0", want: "0.0.0.0", why: "zeros" },
  { in: "192.0.2.01", want: undefined, why: "leading zero may be octal" },
  { in: "192.0.2.256", want: undefined, why: "part too large" },
  { in: "192.0.2", want: undefined, why: "three parts" },
  { in: "1.2.3.4.5", want: undefined, why: "five parts" },
  { in: "1..2.3", want: undefined, why: "empty part" },
  { in: "1.2.3.", want: undefined, why: "ends in a dot" },
  { in: "0x7f.0.0.1", want: undefined, why: "hexadecimal" },
  { in: "2130706433", want: undefined, why: "one number" },
  { in: "2001:DB8:0:0:0:0:0:1", want: "2001:db8::1", why: "IPv6 is made canonical" },
  { in: "::", want: "::", why: "unspecified" },
  { in: "::ffff:192.0.2.1", want: "192.0.2.1", why: "mapped is IPv4" },
  { in: "::ffff:c000:201", want: "192.0.2.1", why: "mapped, hexadecimal" },
  { in: "::ffff:192.0.2.010", want: undefined, why: "octal in the IPv4 tail" },
  { in: "fe80::1%eth0", want: undefined, why: "zone" },
  { in: "1::2::3", want: undefined, why: "two gaps" },
  { in: "", want: undefined, why: "empty" },
  { in: "localhost", want: undefined, why: "a name" },
];

for (const c of ADDRESSES) {
  test(`canonicalIp() ${c.why}: ${c.in}`, () => assert.equal(canonicalIp(c.in), c.want));
}

const NETWORKS = [
  { net: "10.0.0.0/8", address: "10.255.1.2", want: true, why: "inside" },
  { net: "10.0.0.0/8", address: "11.0.0.0", want: false, why: "just outside" },
  { net: "0.0.0.0/0", address: "203.0.113.9", want: true, why: "everything IPv4" },
  { net: "0.0.0.0/0", address: "2001:db8::1", want: false, why: "the other family" },
  { net: "192.0.2.1", address: "192.0.2.1", want: true, why: "bare address" },
  { net: "192.0.2.1", address: "::ffff:192.0.2.1", want: true, why: "mapped client" },
  { net: "[::1]/128", address: "0:0:0:0:0:0:0:1", want: true, why: "brackets" },
  { net: "[2001:db8::]/33", address: "2001:db8:7fff::1", want: true, why: "prefix inside a word" },
  { net: "[2001:db8::]/33", address: "2001:db8:8000::1", want: false, why: "prefix inside a word, outside" },
  { net: "::/0", address: "2001:db8::1", want: true, why: "everything IPv6" },
  { net: "[::ffff:10.0.0.0]/104", address: "10.1.2.3", want: true, why: "mapped network" },
  { net: "10.0.0.0/8", address: "garbage", want: false, why: "no address" },
];

for (const c of NETWORKS) {
  test(`parseNetwork() ${c.why}: ${c.net} ${c.address}`, () => {
    const result = parseNetwork(c.net);
    assert.equal(result.kind === "network" && result.network.matches(c.address), c.want);
  });
}

const BAD = [
  { in: "10.0.0.1/8", text: 'non-null host address bits in "10.0.0.1/8", perhaps you should use "10.0.0.0/8" instead' },
  { in: "10.0.0.0/33", text: 'bad mask length in net/mask pattern: "10.0.0.0/33"' },
  { in: "10.0.0.0/", text: 'bad address pattern: "10.0.0.0/"' },
  { in: "10.0.0.0/-1", text: 'bad address pattern: "10.0.0.0/-1"' },
  { in: "10.0.0/8", text: 'bad address pattern: "10.0.0/8"' },
  { in: "[::1", text: 'bad address pattern: "[::1"' },
  { in: "[::1]128", text: 'bad address pattern: "[::1]128"' },
  { in: "::ffff:0:0/64", text: 'bad mask length in net/mask pattern: "::ffff:0:0/64"' },
  { in: "2001:db8::1/32", text: "non-null host" },
];

for (const c of BAD) {
  test(`parseNetwork() refuses ${c.in}`, () => {
    const result = parseNetwork(c.in);
    assert.equal(result.kind, "invalid");
    assert.ok(result.kind === "invalid" && result.text.includes(c.text), JSON.stringify(result));
  });
}

test("parse and format are inverse for every address", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseAddress(text);
      assert.ok(address, text);
      assert.deepEqual(parseAddress(formatIp(address)), address);
    }),
  );
});

test("a network matches exactly the addresses that share its prefix", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (base, other, length) => {
      const bits = (text: string) =>
        octetsOf(parseAddress(text) ?? { family: 4, words: [] })
          .map((o) => o.toString(2).padStart(8, "0"))
          .join("");
      const cut = bits(base).slice(0, length).padEnd(32, "0");
      const net = [0, 8, 16, 24].map((i) => Number.parseInt(cut.slice(i, i + 8), 2)).join(".");
      const result = parseNetwork(`${net}/${length}`);
      assert.ok(result.kind === "network");
      assert.equal(result.network.matches(other), bits(other).startsWith(cut.slice(0, length)));
      assert.equal(result.network.matches(base), true);
    }),
  );
});

test("parseNetwork() never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."0123456789abf:./[]%") }), (text) => void parseNetwork(text)),
  );
});
