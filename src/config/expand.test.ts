/** Tests of config/expand.ts: the forms of postconf(5), and bounds for everything else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ParameterError } from "./declare.ts";
import { expand } from "./expand.ts";

const NAMES: Readonly<Record<string, string>> = {
  one: "1",
  two: "$one$one",
  empty: "",
  level: "3.6",
  ten: "10",
  nine: "9",
  zero9: "009",
  word: "b",
  braces: "${one?{yes}:{no}}",
};
const lookup = (name: string) => (Object.hasOwn(NAMES, name) ? NAMES[name] : undefined);

const cases = [
  { in: "plain", want: "plain", why: "no macro" },
  { in: "a$$b", want: "a$b", why: "$$ is $" },
  { in: "$$one", want: "$one", why: "and ends there" },
  { in: "$one ${one} $(one)", want: "1 1 1", why: "three spellings" },
  { in: "$one.x", want: "1.x", why: "a name is letters, digits, _" },
  { in: "${ one }", want: "1", why: "blanks inside braces" },
  { in: "$two", want: "11", why: "values are expanded in turn" },
  { in: "[$none]", want: "[]", why: "undefined is empty" },
  { in: "${one?yes}${empty?yes}", want: "yes", why: "? if not empty" },
  { in: "${one:no}${empty:no}${none:no}", want: "nono", why: ": if empty or undefined" },
  { in: "${one?{ a }:{ b }}${empty?{a}:{ b }}", want: "ab", why: "both choices, trimmed" },
  { in: "${one?{a}}${empty?{a}}", want: "a", why: "one choice in braces" },
  { in: "${empty?{a}:b c}", want: "b c", why: "the last choice without braces" },
  { in: "${one?a:b}", want: "a:b", why: "unbraced text goes to the end" },
  { in: "${one?$two}", want: "11", why: "a choice is expanded" },
  { in: "${one?{${empty:{x}}}}", want: "x", why: "nested" },
  { in: "$(one?{a}:{b})", want: "a", why: "in parentheses too" },
  { in: "$braces", want: "yes", why: "a conditional as a value" },
  { in: "${{$one} == {1} ? {y} : {n}}", want: "y", why: "equal" },
  { in: "${{$one}!={1}?{y}:{n}}", want: "n", why: "no blanks needed" },
  { in: "${{$ten} > {$nine} ? {y} : {n}}", want: "y", why: "digits compare as numbers" },
  { in: "${{$zero9} == {9} ? {y} : {n}}", want: "y", why: "leading zeros" },
  { in: "${{$ten} < {$word} ? {y} : {n}}", want: "y", why: "else as text" },
  { in: "${{a} <= {a} ? {y} : {n}}${{b} >= {c} ? {y} : {n}}", want: "yn", why: "<= and >=" },
  { in: "[${{a} == {a}}][${{a} == {b}}]", want: "[true][]", why: "no choice: true or nothing" },
  { in: "${{a} == {b} ? {y}}", want: "", why: "one choice only" },
  { in: "${{a} == {b} : {n}}", want: "n", why: "the other choice only" },
  { in: "${{$level} <level {3.6} ? {y} : {n}}", want: "n", why: "levels" },
  { in: "${{$level} <level {3.10} ? {y} : {n}}", want: "y", why: "levels are no decimals" },
  { in: "${{$level} >=level {3.5.9} ? {y} : {n}}", want: "y", why: "three parts" },
  { in: "${{1} ==level {1.0.0} ? {y} : {n}}", want: "y", why: "missing parts are 0" },
  { in: "${{1} !=level {2} ? {y} : {n}}", want: "y", why: "!=level" },
  { in: "${{$level} <=level {3} ? {y} : {n}}", want: "n", why: "<=level" },
  { in: "${{$level} >level {3} ? {y} : {n}}", want: "y", why: ">level" },
  { in: "${{$none} == {} ? {y} : {n}}", want: "y", why: "empty sides" },
];
for (const c of cases) test(`expand() ${c.why}: ${c.in}`, () => assert.equal(expand(c.in, lookup), c.want));

const errors = [
  { in: "${one", why: /truncated macro reference/ },
  { in: "$(one", why: /truncated macro reference/ },
  { in: "a $ b", why: /empty macro name/ },
  { in: "end$", why: /empty macro name/ },
  { in: "${}", why: /empty macro name/ },
  { in: "${one-x}", why: /bad macro syntax/ },
  { in: "${one?{a} x}", why: /bad macro syntax/ },
  { in: "${one?{a}:{b}x}", why: /bad macro syntax/ },
  { in: "${{a} = {b}}", why: /bad macro syntax/ },
  { in: "${{a} == b}", why: /bad macro syntax/ },
  { in: "${{x} <level {1}}", why: /bad compatibility level/ },
  { in: "${{1} <level {1.2.3.4}}", why: /bad compatibility level/ },
];
for (const c of errors) {
  test(`expand() refuses ${c.in}`, () => {
    assert.throws(
      () => expand(c.in, lookup),
      (error) => error instanceof ParameterError && c.why.test(error.message),
    );
  });
}

test("expand() refuses a name that is made of itself", () => {
  assert.throws(() => expand("$a", () => "x$a"), /unreasonable macro call nesting/);
});

test("expand() allows a hundred levels and no more", () => {
  const chain = (depth: number) => (name: string) => {
    const n = Number(name.slice(1));
    return n >= depth ? "end" : `$n${n + 1}`;
  };
  assert.equal(expand("$n1", chain(100)), "end");
  assert.throws(() => expand("$n1", chain(101)), ParameterError);
});

test("expand() refuses values that double at every level", () => {
  const doubling = (name: string) => (name === "n60" ? "x" : `$n${Number(name.slice(1)) + 1} `.repeat(2));
  assert.throws(() => expand("$n1", doubling), /too long/);
});

test("expand() of arbitrary text gives text or a ParameterError", () => {
  const piece = fc.constantFrom(
    "$",
    "{",
    "}",
    "(",
    ")",
    "?",
    ":",
    " ",
    "a",
    "b",
    "==",
    "<level",
    "1",
    "${",
    "{a}",
    "$a",
    "$$",
  );
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(fc.oneof(text, fc.string()), text, text, (input, a, b) => {
      const values = new Map([
        ["a", a],
        ["b", b],
      ]);
      try {
        assert.equal(typeof expand(input, (name) => values.get(name)), "string");
      } catch (error) {
        if (!(error instanceof ParameterError)) throw error;
      }
    }),
    { numRuns: 1000 },
  );
});

test("expand() leaves text without $ as it is", () => {
  fc.assert(
    fc.property(
      fc.string().filter((s) => !s.includes("$")),
      (text) => expand(text, lookup) === text,
    ),
  );
});
