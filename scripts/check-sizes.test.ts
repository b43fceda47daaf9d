/** check-sizes must fail on what is too long, and must not be led astray by braces in strings, templates, comments. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkSizes } from "./check-sizes.ts";
import { findFunctions } from "./functions.ts";
import { tokenize } from "./tokens.ts";

const lines = (count: number, text = "  call();"): string => `${text}\n`.repeat(count);
const check = (source: string): string[] =>
  checkSizes(new Map([["src/a.ts", source]])).map((f) => `${f.line} ${f.level}: ${f.message}`);

const CASES: { why: string; source: string; want: RegExp[] }[] = [
  { why: "short file", source: "export const a = 1;\n", want: [] },
  { why: "file of 500 lines", source: lines(500, "a();"), want: [/^1 warning: file has 500 lines/] },
  { why: "file of 501 lines", source: lines(501, "a();"), want: [/^1 error: file has 501 lines, more than 500/] },
  { why: "function of 40 lines", source: `function f() {\n${lines(38)}}\n`, want: [] },
  { why: "function of 41 lines", source: `function f() {\n${lines(39)}}\n`, want: [/^1 warning: f has 41 lines/] },
  { why: "function of 61 lines", source: `\nfunction f() {\n${lines(59)}}\n`, want: [/^2 error: f has 61 lines/] },
  {
    why: "method",
    source: `class A {\n  async #run(a: string): Promise<void> {\n${lines(60)}  }\n}\n`,
    want: [/error: #run/],
  },
  { why: "object return type", source: `function f(): { a: string } {\n${lines(60)}}\n`, want: [/^1 error: f has 62/] },
  {
    why: "arrow",
    source: `const f = async (a: number): Promise<number> => {\n${lines(60)}};\n`,
    want: [/error: f has 62/],
  },
  { why: "computed name", source: `class A {\n  [Symbol.dispose](): void {\n${lines(60)}}\n}\n`, want: [/^2 error/] },
  {
    why: "parameters over lines",
    source: `function f(\n  a: A,\n): B {\n${lines(56)}}\n`,
    want: [/^1 warning: f has 60/],
  },
  { why: "a class is no function", source: `class A extends B(c) {\n${lines(80, "  a = 1;")}}\n`, want: [] },
  {
    why: "a class after a function is no function",
    source: `function f(): A[] {}\nclass B {\n${lines(80, "  a = 1;")}}\n`,
    want: [],
  },
  {
    why: "type predicate",
    source: `function f(a: unknown): a is Map<string, number[]> {\n${lines(60)}}\n`,
    want: [/^1 error: f has 62/],
  },
  { why: "a loop is no function", source: `for (const a of b) {\n${lines(80)}}\nif (a) {\n${lines(80)}}\n`, want: [] },
  { why: "an object is no function", source: `const a = {\n${lines(80, "  a: 1,")}};\n`, want: [] },
  {
    why: "so is describe with options",
    source: `describe("a", { skip: !f() && "b" }, () => {\n${lines(80)}});\n`,
    want: [],
  },
  { why: "describe is a heading", source: `describe("a", () => {\n${lines(80)}});\n`, want: [] },
  { why: "a test is a function", source: `test("a", () => {\n${lines(80)}});\n`, want: [/error/] },
  {
    why: "dispatch switch with a reason",
    source: `// size: one line per verb\nfunction f(a) {\n  switch (a) {\n${lines(90)}  }\n}\n`,
    want: [],
  },
  {
    why: "dispatch switch without a reason",
    source: `// size:\nfunction f(a) {\n  switch (a) {\n${lines(90)}  }\n}\n`,
    want: [/^2 error: f has 94/],
  },
  {
    why: "a reason without a switch",
    source: `// size: it is long\nfunction f(a) {\n${lines(90)}}\n`,
    want: [/^2 error/],
  },
  {
    why: "dispatch switch over 100",
    source: `// size: one line per verb\nfunction f(a) {\n  switch (a) {\n${lines(98)}  }\n}\n`,
    want: [/^2 error: f has 102 lines, more than 100/],
  },
  {
    why: "braces that are text do not end a function early",
    source: `function f() {\n  a("}"); b('}'); c(\`}\${d({})}}\`); /* } */ e(/[}/]}/); // }\n${lines(60)}}\n`,
    want: [/^1 error: f has 63/],
  },
];

for (const c of CASES) {
  test(`checkSizes() ${c.why}`, () => {
    const got = check(c.source);
    assert.equal(got.length, c.want.length, got.join("\n"));
    for (const [i, want] of c.want.entries()) assert.match(got[i] ?? "", want);
  });
}

test("tokenize() loses no character", () => {
  const source = "#!x\nconst a = `b$" + "{`c$" + "{1}`}d` / 2; // e\nif (/[/]\\//u.test('\\'')) return a?.b ?? 1_0;\n";
  const text = tokenize(source).map((token) => token.text);
  assert.equal(text.join("").replace(/\s/g, ""), source.replace(/\s/g, ""));
  assert.ok(text.includes("/[/]\\//u"), "the regular expression is one token");
});

test("findFunctions() names each function once", () => {
  const source = "class A { get b(): number { return 1; } c = () => { if (d) { e(); } }; async *f() {} }";
  assert.deepEqual(
    findFunctions(tokenize(source)).map((found) => found.name),
    ["b", "c", "f"],
  );
});
