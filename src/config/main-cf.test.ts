/** Tests of config/main-cf.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseMainCf, splitNameValue } from "./main-cf.ts";

const cases = [
  { in: "a = b", want: { name: "a", value: "b" }, why: "blanks around = are dropped" },
  { in: "a=b", want: { name: "a", value: "b" }, why: "or absent" },
  { in: "  a\t=\tb c  ", want: { name: "a", value: "b c" }, why: "outer blanks are dropped, inner ones kept" },
  { in: "a =", want: { name: "a", value: "" }, why: "an empty value" },
  { in: "a = b = c", want: { name: "a", value: "b = c" }, why: "the first = counts" },
  { in: "a = b # c", want: { name: "a", value: "b # c" }, why: "no inline comment" },
  { in: "a", want: { error: `missing '=' after attribute name: "a"` }, why: "no =" },
  { in: "a b = c", want: { error: `missing '=' after attribute name: "a b = c"` }, why: "a name has no blanks" },
  { in: "= c", want: { error: `missing attribute name: "= c"` }, why: "no name" },
  { in: "", want: { error: `missing attribute name: ""` }, why: "nothing" },
];
for (const c of cases) {
  test(`splitNameValue() ${c.why}: ${JSON.stringify(c.in)}`, () => assert.deepEqual(splitNameValue(c.in), c.want));
}

test("parseMainCf() reports all problems at once and keeps what it could read", () => {
  const { assignments, problems } = parseMainCf("a = 1\nwrong\n= x\nb =\n  2\na = 3\na = 3\n", "main.cf");
  assert.deepEqual(assignments, [
    { name: "a", value: "1", at: { file: "main.cf", line: 1 } },
    { name: "b", value: "2", at: { file: "main.cf", line: 4 } },
    { name: "a", value: "3", at: { file: "main.cf", line: 6 } },
    { name: "a", value: "3", at: { file: "main.cf", line: 7 } },
  ]);
  assert.deepEqual(
    problems.map(({ severity, at, text }) => `${at?.line} ${severity} ${text}`),
    [
      `2 error missing '=' after attribute name: "wrong"`,
      `3 error missing attribute name: "= x"`,
      "6 warning overriding earlier entry: a=1",
    ],
  );
});

test("parseMainCf() reads back what is written as name = value", () => {
  const name = fc.stringMatching(/^[a-z0-9_]{1,20}$/);
  const value = fc.stringMatching(/^([!-~]([ -~]{0,30}[!-~])?)?$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 10 }), (pairs) => {
      const text = pairs.map(([n, v]) => `${n} = ${v}\n`).join("");
      const { assignments } = parseMainCf(text, "main.cf");
      assert.deepEqual(
        assignments.map((a) => [a.name, a.value]),
        pairs,
      );
    }),
  );
});
