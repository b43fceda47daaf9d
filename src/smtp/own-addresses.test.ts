import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { ownAddresses } from "./own-addresses.ts";

const MACHINE = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "::1", "2001:db8::1"];

const CASES = [
  { why: "all of the machine's", set: {}, want: MACHINE, single: ["", ""] },
  {
    why: "those of inet_interfaces only: another server may have the others",
    set: { inet_interfaces: "192.0.2.1, [2001:DB8::1]" },
    want: ["192.0.2.1", "2001:db8::1"],
    single: ["192.0.2.1", "2001:db8::1"],
  },
  {
    why: "a family that is off",
    set: { inet_interfaces: "192.0.2.1", inet_protocols: "ipv6" },
    want: [],
    single: ["", ""],
  },
  {
    why: "loopback is no address to connect from",
    set: { inet_interfaces: "loopback-only" },
    want: ["127.0.0.1", "::1"],
    single: ["", ""],
  },
  {
    why: "proxy_interfaces are ours, but cannot be connected from",
    set: { inet_interfaces: "192.0.2.1", proxy_interfaces: "198.51.100.7" },
    want: ["192.0.2.1", "198.51.100.7"],
    single: ["192.0.2.1", ""],
  },
  { why: "a name may be any of them", set: { inet_interfaces: "$myhostname" }, want: MACHINE, single: ["", ""] },
];
for (const c of CASES) {
  test(`ownAddresses() ${c.why}`, () => {
    const { receiving, single } = ownAddresses(parametersOf(c.set), MACHINE);
    assert.deepEqual([...receiving], c.want);
    assert.deepEqual([single[4], single[6]], c.single);
  });
}
