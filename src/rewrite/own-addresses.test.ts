import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import { createResolver } from "./create.ts";

const MACHINE = ["127.0.0.1", "::1", "192.0.2.5", "192.0.2.6", "2001:db8::5"];

const ROWS = [
  { settings: {}, to: "a@[192.0.2.5]", want: "local", why: "all are" },
  { settings: {}, to: "a@[IPv6:2001:db8::5]", want: "local", why: "of both families" },
  { settings: {}, to: "a@[192.0.2.7]", want: "default", why: "no address of the machine" },
  { settings: { inet_interfaces: "192.0.2.6" }, to: "a@[192.0.2.6]", want: "local", why: "the one that is served" },
  { settings: { inet_interfaces: "192.0.2.6" }, to: "a@[192.0.2.5]", want: "default", why: "another one" },
  { settings: { inet_interfaces: "loopback-only" }, to: "a@[192.0.2.5]", want: "default", why: "nothing from outside" },
  { settings: { inet_interfaces: "loopback-only" }, to: "a@[127.0.0.1]", want: "local", why: "the loopback address" },
  { settings: { inet_interfaces: "mx.test" }, to: "a@[192.0.2.5]", want: "local", why: "a name, which DNS knows" },
  {
    settings: { inet_protocols: "ipv4" },
    to: "a@[IPv6:2001:db8::5]",
    want: "default",
    why: "a family that is not served",
  },
  {
    settings: { inet_interfaces: "loopback-only", proxy_interfaces: "198.51.100.1" },
    to: "a@[198.51.100.1]",
    want: "local",
    why: "a translator's",
  },
];
for (const { settings, to, want, why } of ROWS) {
  test(`addresses of ours, ${JSON.stringify(settings)}: ${why}: ${to}`, async () => {
    const tables = { open: () => assert.fail("no tables here") };
    const params = parametersOf({ alias_maps: "", local_recipient_maps: "", mydestination: "here.test", ...settings });
    assert.equal(await createResolver(params, { tables, ownAddresses: MACHINE }).classOf(asAddress(to)), want);
  });
}
