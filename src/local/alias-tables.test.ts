/** Patterns in alias_maps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LookupTable } from "../tables/table.ts";
import { substitutingRule, withoutSubstitution } from "./alias-tables.ts";

const tableOf = (value: string): LookupTable => ({
  ...{ ref: "regexp:/a", partialKeys: false, get: () => value },
  rules: [
    { pattern: "/^x/", value: "plain" },
    { pattern: "/^(.*)$/", value },
  ],
});

const CASES = [
  { value: "root", refused: false },
  { value: ":include:/lists/$1", refused: true },
  { value: "a${1}", refused: true },
  { value: "a$(2)b", refused: true },
  { value: "costs $$1", refused: false },
  { value: "$$$1", refused: true },
];
for (const { value, refused } of CASES) {
  test(`alias_maps: ${value} is ${refused ? "refused" : "taken"}`, () => {
    const table = tableOf(value);
    assert.equal(substitutingRule(table), refused ? value : undefined);
    if (refused)
      assert.throws(() => withoutSubstitution(table).get("x"), { name: "TableError", message: /not allowed/ });
    else assert.equal(withoutSubstitution(table), table);
  });
}
