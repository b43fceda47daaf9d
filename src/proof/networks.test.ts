/** Tests of proof/networks.ts: what counts as the Internet, and which addresses stand for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { firstMember, isPrivate, isWide, networkIn, strangerAddresses } from "./networks.ts";

function network(text: string) {
  const found = networkIn(text);
  assert.ok(found, text);
  return found;
}

const widths = [
  { net: "0.0.0.0/0", wide: true, why: "everybody" },
  { net: "8.0.0.0/15", wide: true, why: "more than a /16" },
  { net: "8.8.0.0/16", wide: false, why: "a /16" },
  { net: "10.0.0.0/8", wide: false, why: "private" },
  { net: "10.0.0.0/7", wide: true, why: "private, and 11.0.0.0/8 with it" },
  { net: "0.0.0.0/4", wide: true, why: "begins with addresses of nobody" },
  { net: "127.0.0.0/8", wide: false, why: "this machine" },
  { net: "172.16.0.0/12", wide: false, why: "private" },
  { net: "100.64.0.0/10", wide: false, why: "shared by customers of a provider" },
  { net: "12", wide: true, why: "a key of one octet" },
  { net: "12.34", wide: false, why: "a key of two octets" },
  { net: "[::]/0", wide: true, why: "everybody with IPv6" },
  { net: "2001:db8::/31", wide: true, why: "more than a /32" },
  { net: "2001:db8::/32", wide: false, why: "a /32" },
  { net: "fc00::/7", wide: false, why: "unique local" },
  { net: "2a00:1450", wide: false, why: "a key of two hextets" },
];
for (const c of widths) {
  test(`isWide() ${c.why}: ${c.net}`, () => assert.equal(isWide(network(c.net)), c.wide));
}

test("networkIn() takes names for no network", () => {
  for (const name of ["example.com", "localhost", "1.2.3.4.5", "texthash:/x", ".example"])
    assert.equal(networkIn(name), undefined);
  assert.equal(networkIn("!10.0.0.0/8")?.prefixLength, 8);
});

test("isPrivate() knows networks of somebody's own", () => {
  assert.deepEqual(
    ["10.1.0.0/16", "192.168.1.1", "127.0.0.0/8", "8.8.8.8"].map((text) => isPrivate(network(text))),
    [true, true, false, false],
  );
});

test("strangerAddresses() gives one outside of everything, and one in each wide network outside of narrower ones", () => {
  const listed = ["203.0.113.0/24", "12.0.0.0/8", "12.0.0.0/9", "12.200.0.0/16", "2000::/3"].map(network);
  const found = strangerAddresses(listed);
  assert.equal(found[0], "198.51.100.77", "203.0.113.0/24 is somebody's");
  const [wide = "", half = "", v6 = ""] = found.slice(1);
  assert.ok(network("12.0.0.0/8").matches(wide) && !network("12.0.0.0/9").matches(wide), wide);
  assert.ok(!network("12.200.0.0/16").matches(wide), wide);
  assert.ok(network("12.0.0.0/9").matches(half), half);
  assert.ok(network("2000::/3").matches(v6), v6);
});

test("firstMember() is in the network", () => {
  for (const text of ["192.168.7.0/24", "10.0.0.1", "2001:db8::/64"])
    assert.ok(network(text).matches(firstMember(network(text))));
});
