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
