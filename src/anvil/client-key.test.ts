import assert from "node:assert/strict";
import { test } from "node:test";
import { clientKey } from "./client-key.ts";

const DEFAULT = { ipv4: 32, ipv6: 84 };
const cases = [
  { address: "192.0.2.77", lengths: DEFAULT, want: "smtp:192.0.2.77", why: "IPv4 by default one by one" },
  { address: "192.0.2.77", lengths: { ipv4: 24, ipv6: 84 }, want: "smtp:192.0.2.0/24", why: "an IPv4 network" },
  { address: "192.0.2.77", lengths: { ipv4: 0, ipv6: 84 }, want: "smtp:0.0.0.0/0", why: "all of IPv4" },
  { address: "2001:db8:1:2:3:f4f5:6:7", lengths: DEFAULT, want: "smtp:2001:db8:1:2:3:f000::/84", why: "84 bits" },
  { address: "2001:db8:1:2:3:ffff:9:9", lengths: DEFAULT, want: "smtp:2001:db8:1:2:3:f000::/84", why: "its neighbour" },
  {
    address: "2001:db8:1:2:3:4:5:6",
    lengths: { ipv4: 32, ipv6: 64 },
    want: "smtp:2001:db8:1:2::/64",
    why: "word border",
  },
  { address: "2001:DB8:0::1", lengths: { ipv4: 32, ipv6: 128 }, want: "smtp:2001:db8::1", why: "canonical, no length" },
  { address: "2001:db8::1", lengths: { ipv4: 32, ipv6: 0 }, want: "smtp:::/0", why: "all of IPv6" },
  { address: "unknown", lengths: { ipv4: 24, ipv6: 84 }, want: "smtp:unknown", why: "no address, after XCLIENT" },
];
for (const c of cases) {
  test(`clientKey() ${c.why}: ${c.address}`, () => assert.equal(clientKey("smtp", c.address, c.lengths), c.want));
}
