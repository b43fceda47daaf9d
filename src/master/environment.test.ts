/** master/environment.test.ts: words of import_environment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseVariables } from "./environment.ts";

const OWN = { TZ: "UTC", SECRET: "hush", EMPTY: "" };
const CASES = [
  { words: ["TZ"], want: { TZ: "UTC" }, why: "taken over" },
  { words: ["LANG=C"], want: { LANG: "C" }, why: "set" },
  { words: ["{ A = b c }"], want: { A: "b c" }, why: "set, with blanks" },
  { words: ["TZ=CET"], want: { TZ: "CET" }, why: "set before taken over" },
  { words: ["NOBODY", "EMPTY"], want: { EMPTY: "" }, why: "an unset variable is left out, an empty one not" },
  { words: ["MAIL_CONFIG"], want: { MAIL_CONFIG: "/etc/postern" }, why: "the directory in use" },
  { words: [], want: {}, why: "nothing else is seen" },
];

for (const c of CASES) {
  test(`chooseVariables() ${c.why}: ${c.words}`, () => {
    const chosen = chooseVariables(c.words, { own: OWN, configDirectory: "/etc/postern" });
    assert.deepEqual(Object.fromEntries(chosen), c.want);
  });
}
