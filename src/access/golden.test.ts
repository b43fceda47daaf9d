/** access/golden.test.ts: runs each testdata/*.in and compares the transcript with the .ref beside it. With
 *  POSTERN_UPDATE_GOLDEN=1 the .ref files are rewritten; read the diff before committing it. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { runScript } from "./golden-script.ts";
import { WORDS } from "./words.ts";

const directory = new URL("./testdata/", import.meta.url);
const scripts = readdirSync(directory).filter((name) => name.endsWith(".in"));

for (const name of scripts) {
  const source = readFileSync(new URL(name, directory), "utf8");
  const proves = / \((?:[A-Z0-9]+-\d\d(?:, )?)+\)$/m.exec(source.split("\n")[0] ?? "")?.[0] ?? "";
  test(`evaluate() transcript ${name}${proves}`, async () => {
    const want = new URL(name.replace(/\.in$/, ".ref"), directory);
    const got = await runScript(source);
    if (process.env.POSTERN_UPDATE_GOLDEN === "1") writeFileSync(want, got);
    assert.equal(got, readFileSync(want, "utf8"));
  });
}

test("every restriction word stands in some transcript", () => {
  const all = scripts.map((name) => readFileSync(new URL(name, directory), "utf8")).join("\n");
  for (const word of WORDS.flatMap(({ names }) => names)) assert.match(all, new RegExp(`\\b${word}\\b`), word);
});
