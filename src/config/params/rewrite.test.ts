import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../parameters.ts";

for (const [name, text, want, why] of [
  ["receive_override_options", "No_Milters, no_address_mappings", ["no_milters", "no_address_mappings"], "any case"],
  ["canonical_classes", "", [], "nowhere"],
  ["receive_override_options", "no_adress_mappings", undefined, "misspelt: it would map twice"],
  ["masquerade_classes", "header_sender envelope", undefined, "half a word"],
] as const) {
  test(`${name} = ${text}: ${why}`, () => {
    const read = () => parametersOf({ [name]: text }).get(name);
    if (want) assert.deepEqual(read(), want);
    else assert.throws(read, /^ParameterError: unknown \w+ value "[a-z_]+" in "/);
  });
}

test("local_header_rewrite_clients takes the words it knows and tables", () => {
  const read = (text: string) =>
    parametersOf({ local_header_rewrite_clients: text }).get("local_header_rewrite_clients");
  assert.deepEqual(read("Permit_MyNetworks, check_address_map hash:/a static:all"), [
    ...["Permit_MyNetworks", "check_address_map", "hash:/a", "static:all"],
  ]);
  assert.deepEqual(read(""), []);
  const message = "parameter local_header_rewrite_clients: invalid request: permit_all";
  assert.throws(() => read("permit_mynetworks permit_all"), { name: "ParameterError", message });
});
