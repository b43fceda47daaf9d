import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import { createResolver } from "./create.ts";

const SETTINGS = { virtual_alias_domains: "alias.test", transport_maps: "inline:all", mydestination: "here.test" };

/** Every key of transport_maps leads to the same place. */
const tables = { open: (ref: string) => ({ ref, partialKeys: true, get: () => "other:[hub.test]" }) };

const ROWS = [
  { to: "a@there.test", want: "other [hub.test]", why: "anywhere" },
  { to: "a@here.test", want: "other [hub.test]", why: "in our own domain" },
  { to: "a@alias.test", want: "error 5.1.1 User unknown in virtual alias table", why: "no alias, so nobody" },
];
for (const { to, want, why } of ROWS) {
  test(`transport_maps decides about ${to}: ${why}`, async () => {
    const resolver = createResolver(parametersOf(SETTINGS), { tables, ownAddresses: [] });
    const { transport, nexthop } = await resolver.route(asAddress(to), asAddress("s@x.test"));
    assert.equal(`${transport} ${nexthop}`, want);
  });
}
