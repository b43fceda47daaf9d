/** The page of requirements believes only names that a test file registers, and only ids that exist. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { findProofs, formatRfcPage, parseMatrix } from "./rfc-page.ts";
import { ROOT } from "./source-tree.ts";

const MATRIX = parseMatrix(
  [
    "# a comment",
    "SUB-01\tP0\tRFC 1 §2\tListen",
    "SUB-02\tP1\tRFC 1 §3\tHear\tnot yet: no ears",
    "AR-01\tP2\town\tLook",
    "",
  ].join("\n"),
);

const MALFORMED = [
  { line: "SUB-1\tP0\tRFC 1\tx", why: "an id has two digits" },
  { line: "SUB-01\tP3\tRFC 1\tx", why: "there is no P3" },
  { line: "SUB-01\tP0\tRFC 1", why: "no requirement" },
  { line: "SUB-01\tP0\tRFC 1\tx\ty\tz", why: "a field too many" },
  { line: "SUB-01\tP0\tRFC 1\tx\nSUB-01\tP0\tRFC 1\tx", why: "an id twice" },
];
for (const { line, why } of MALFORMED) {
  test(`parseMatrix() refuses a malformed row: ${why}`, () => {
    assert.throws(() => parseMatrix(line), /^Error: test\/rfc-matrix\.tsv:[12]: error: /);
  });
}

const CITED = [
  { name: "XY: SUB-01 works", ids: ["SUB-01"], why: "in the middle" },
  { name: "SUB-01, AR-01: both", ids: ["SUB-01", "AR-01"], why: "two" },
  { name: "SUB-01 and SUB-01", ids: ["SUB-01"], why: "twice is once" },
  { name: "NOSUB-01 SUB-012 SUB-1 sub-01 UTF-16 X-SUB-01", ids: [], why: "only whole ids" },
];
for (const { name, ids, why } of CITED) {
  test(`findProofs() finds cited ids: ${why}`, () => {
    const { proofs, findings } = findProofs(MATRIX, [{ file: "a.test.ts", name }]);
    const proven = [...proofs].filter(([, tests]) => tests.length > 0).map(([id]) => id);
    assert.deepEqual(proven, ids);
    assert.deepEqual(findings, []);
  });
}

test("findProofs() complains of an id that the matrix does not have", () => {
  const { findings } = findProofs(MATRIX, [{ file: "a.test.ts", name: "SUB-99: x" }]);
  assert.deepEqual(findings, [
    'a.test.ts:1: error: the test "SUB-99: x" cites SUB-99, which test/rfc-matrix.tsv has not',
  ]);
});

test("formatRfcPage() counts what is proven, what has a reason, and what is open", () => {
  const nothing = formatRfcPage(MATRIX, new Map());
  assert.match(nothing, /\| P0 \| 0 \| 1 \| 0 \| 1 \|\n\| P1 \| 0 \| 1 \| 1 \| 0 \|\n\| all \| 0 \| 2 \| 1 \| 1 \|/);
  assert.match(nothing, /\| SUB-02 \| P1 \| RFC 1 §3 \| Hear \| not yet: no ears \|/);
  assert.match(nothing, /\| AR-01 \| P2 \| own \| Look \| later \|/);
  const tests = [1, 2, 3, 4].map((n) => ({ file: "a.test.ts", name: `SUB-01: <${n}> | x` }));
  const page = formatRfcPage(MATRIX, new Map([["SUB-01", tests]]));
  const both = formatRfcPage(MATRIX, new Map([["SUB-02", [{ file: "a.test.ts", name: "SUB-02: y" }]]]));
  assert.match(both, /\| P1 \| 1 \| 1 \| 0 \| 0 \|[\s\S]*SUB-02: y<br>\(not yet: no ears\) \|/);
  assert.match(page, /\| P0 \| 1 \| 1 \| 0 \| 0 \|/);
  assert.match(page, /\| `a\.test\.ts`: SUB-01: &lt;1&gt; \\\| x<br>.*<br>1 more \|/);
});

test("list-tests.ts names what is registered: no comment, no skipped test, rows of tables", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "list-tests-"));
  try {
    const file = path.join(directory, "x.test.ts");
    writeFileSync(
      file,
      `import { describe, it, test } from "node:test";
// test("SUB-01: in a comment", () => {});
console.log("a file may say something");
const why = "SUB-02: in no name";
for (const n of [1, 2]) test(\`row \${n}\`, () => { throw new Error(why); });
test("skipped", { skip: true }, () => {});
test.skip("skipped too", () => {});
test.todo("to do");
test("without a body");
describe("suite", () => void it("inner", () => {}));
test("last", { timeout: 1 }, async () => {});
`,
    );
    const { status, stdout } = list(file);
    assert.equal(status, 0);
    const names = stdout
      .trim()
      .split("\n")
      .filter((line) => line.startsWith('{"file":'))
      .map((line) => JSON.parse(line).name);
    assert.deepEqual(names, ["row 1", "row 2", "suite > inner", "last"]);
    writeFileSync(file, "throw new Error('no');");
    assert.equal(list(file).status, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function list(file: string) {
  return spawnSync(process.execPath, [path.join(ROOT, "scripts/list-tests.ts"), file], { encoding: "utf8" });
}
