/** tables/compare-text.test.ts: which edits of a table file are a difference, and where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compareTexts, type TextForm } from "./compare-text.ts";

const CASES: readonly { form: TextForm; before: string; after: string; want: string; why: string }[] = [
  { form: "table", before: "a x\nb y\n", after: "# c\nb   y\n\nA x\n", want: "", why: "comments, blanks, order, case" },
  { form: "table", before: "a x\n", after: "a x\nb y\n", want: "+2 b y", why: "one more" },
  { form: "table", before: "a x\nb y\n", after: "a x\n", want: "-2 b y", why: "one less" },
  { form: "table", before: "a x\n", after: "\na z\n", want: "~2 a x z", why: "another value" },
  { form: "table", before: "a x\n", after: "a x\na z\n", want: "", why: "of duplicates the first counts" },
  { form: "table", before: "a x\n", after: "a x\nb\n", want: "", why: "a line without value is ignored" },
  { form: "rules", before: "/a b/ x\n", after: "/a b/ y\n", want: "~1 /a b/ x y", why: "blanks in a pattern" },
  { form: "rules", before: "/a/i x\n!/b/ y\n", after: "!/b/ y\n/a/i x\n", want: "order", why: "order of rules" },
  {
    form: "rules",
    before: "10.0.0.0/8 x\n",
    after: "10.0.0.0/9 x\n",
    want: "-1 10.0.0.0/8 x +1 10.0.0.0/9 x",
    why: "cidr",
  },
  { form: "rules", before: "/a/ x\n", after: "/a/ x\n/a/ y\n", want: "+2 /a/ y", why: "the same pattern twice" },
  {
    form: "rules",
    before: "if /a/\n/b/ x\nendif\n",
    after: "/b/ x\n",
    want: "-1 if /a/  -3 endif ",
    why: "conditions",
  },
  {
    form: "words",
    before: "10.0.0.0/8, a\n",
    after: "a\n10.0.0.0/8\n",
    want: "",
    why: "words of a list, in any order",
  },
  { form: "words", before: "!a .a\n", after: ".a !a\n", want: "order", why: "an exclusion must come first" },
];

function show(before: string, after: string, form: TextForm): string {
  const { added, removed, changed, reordered } = compareTexts(Buffer.from(before), Buffer.from(after), form);
  return [
    ...changed.map((c) => `~${c.after.line} ${c.after.key} ${c.before.value} ${c.after.value}`),
    ...removed.map(({ line, key, value }) => `-${line} ${key} ${value}`),
    ...added.map(({ line, key, value }) => `+${line} ${key} ${value}`),
    ...(reordered ? ["order"] : []),
  ].join(" ");
}

for (const { form, before, after, want, why } of CASES) {
  test(`compareTexts() ${form}: ${why}`, () => assert.equal(show(before, after, form), want));
}

test("property: what is added one way is removed the other way; equal texts do not differ", () => {
  const text = fc.array(fc.constantFrom("a x", "a y", "b x", "/c/ z", "# n", "", "if /q/", " cont"), { maxLength: 8 });
  fc.assert(
    fc.property(text, text, fc.constantFrom<TextForm>("table", "rules", "words"), (one, two, form) => {
      const [a, b] = [Buffer.from(one.join("\n")), Buffer.from(two.join("\n"))];
      assert.deepEqual(compareTexts(a, b, form).added, compareTexts(b, a, form).removed);
      const { added, removed, changed, reordered } = compareTexts(a, a, form);
      assert.deepEqual([added, removed, changed, reordered], [[], [], [], false]);
    }),
  );
});
