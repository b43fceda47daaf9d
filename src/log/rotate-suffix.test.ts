import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRotateSuffix } from "./rotate-suffix.ts";

const at = new Date(2026, 0, 4, 9, 5, 3);
const cases = [
  { format: "%Y%m%d-%H%M%S", want: { suffix: "20260104-090503" }, why: "the default" },
  { format: "%F_%T.%y%%", want: { suffix: "2026-01-04_09:05:03.26%" }, why: "shorthands and a literal percent" },
  { format: "old", want: { suffix: "old" }, why: "a fixed word" },
  { format: "%%s", want: { suffix: "%s" }, why: "a literal percent is not a conversion" },
  { format: "%Q", want: /"%Q" is none of/, why: "an unknown conversion" },
  { format: "%", want: /"%" is none of/, why: "a percent at the end" },
  { format: "", want: /cannot end a file name/, why: "nothing: the log would be renamed to itself" },
  { format: "../%Y", want: /cannot end a file name/, why: "another directory" },
] as const;
for (const c of cases) {
  test(`formatRotateSuffix() ${c.why}: ${c.format}`, () => {
    const got = formatRotateSuffix(c.format, at);
    if (c.want instanceof RegExp) assert.match("problem" in got ? got.problem : "", c.want);
    else assert.deepEqual(got, c.want);
  });
}
