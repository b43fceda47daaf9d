/** master/address-mapping.test.ts: addresses that name their way through one of our domains are queued without it, or the
 *  next hop would be asked for an address of ours. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import { createResolver } from "../rewrite/create.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import { type LookupTable, TableError } from "../tables/table.ts";
import { mappingOf } from "./address-mapping.ts";

function peelOf(settings: Readonly<Record<string, string>>, get: LookupTable["get"] = () => undefined) {
  const params = parametersOf({ mydestination: "here.test", myorigin: "here.test", ...settings });
  const tables = { open: (ref: string) => ({ ref, partialKeys: true, get }) };
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  return mappingOf(params, { tables, resolver }).mapping?.peel;
}

const ROWS = [
  { to: "a@there.test", want: undefined, why: "nothing to peel" },
  { to: "a@here.test", want: undefined, why: "ours" },
  { to: "a%there.test@here.test", want: "a@there.test", why: "the percent hack" },
  { to: "there.test!a@here.test", want: "a@there.test", why: "a UUCP path" },
  { to: "a@there.test@here.test", want: "a@there.test", why: "an address in an address" },
  { to: "a%b.test@there.test", want: "a%b.test@there.test", why: "another domain's business" },
];
for (const { to, want, why } of ROWS) {
  test(`recipients as next hops see them: ${why}: ${to}`, async () => {
    assert.equal(await peelOf({})?.(asAddress(to)), want);
  });
}

test("a table that does not answer refuses the message for now", async () => {
  const peel = peelOf({ transport_maps: "x:y" }, () => {
    throw new TableError("away");
  });
  await assert.rejects(async () => peel?.(asAddress("a%b.test@here.test")), MappingError);
});
