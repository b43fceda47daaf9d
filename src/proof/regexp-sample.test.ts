/** Tests of proof/regexp-sample.ts: what it guesses matches, or it does not guess. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleOf } from "./regexp-sample.ts";

const cases = [
  { in: "/^.*@example\\.com$/", want: "x@example.com", why: "a domain" },
  { in: "/@example\\.(com|org)$/i", want: "@example.com", why: "the first of several" },
  { in: "/^[a-z]+@[^@]+\\.test$/", want: "a@x.test", why: "sets" },
  { in: "/^user\\d+@/", want: "user1@", why: "digits" },
  { in: "|^pc-.+|", want: "pc-x", why: "another delimiter" },
  { in: "!/^x/", want: undefined, why: "what it must not be" },
  { in: "/^(?!x)y/", want: undefined, why: "looks ahead" },
  { in: "no pattern", want: undefined, why: "no delimiters" },
];
for (const c of cases) {
  test(`sampleOf() ${c.why}: ${c.in}`, () => {
    const sample = sampleOf(c.in);
    assert.equal(sample, c.want);
    const pattern = /^(.)(.*)\1(\w*)$/.exec(c.in);
    if (c.want !== undefined && pattern) assert.match(sample ?? "", new RegExp(pattern[2] ?? "", pattern[3]));
  });
}
