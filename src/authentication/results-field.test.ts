/** authentication/results-field.test.ts: whose an Authentication-Results field says it is, and how ours is written. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claimsToBeOurs, formatResults } from "./results-field.ts";

const CLAIMS = [
  { value: " mail.example.org; dkim=pass", ours: true, why: "as everybody writes it" },
  { value: "mail.example.org;dkim=pass", ours: true, why: "without white space" },
  { value: " MAIL.example.ORG ; none", ours: true, why: "whatever the case" },
  { value: " mail.example.org 1; dkim=pass", ours: true, why: "with a version" },
  {
    value: "\r\n\t(a (nested) comment \\)) mail.example.org (x); dkim=pass",
    ours: true,
    why: "behind comments and folding",
  },
  { value: ' "mail.example.org"; dkim=pass', ours: true, why: "as quoted-string" },
  { value: ' "mail.\\example.org"; dkim=pass', ours: true, why: "with a quoted pair" },
  { value: " mail.example.org", ours: true, why: "with nothing behind it" },
  { value: " mail.example.org/1; dkim=pass", ours: true, why: "where what follows is no version" },
  { value: "", ours: true, why: "that says nothing: who knows what a reader makes of it" },
  { value: " (open comment mail.example.org; dkim=pass", ours: true, why: "that cannot be read" },
  { value: " ; dkim=pass", ours: true, why: "without a name" },
  { value: " other.example.org; dkim=pass", ours: false, why: "of another host" },
  { value: " mail.example.org.evil.test; dkim=pass", ours: false, why: "of a longer name" },
  { value: " (mail.example.org) other.test; x=pass", ours: false, why: "with our name in a comment" },
];

describe("AR-01: a field", () => {
  for (const { value, ours, why } of CLAIMS) {
    test(`AR-01: ${ours ? "ours" : "not ours"}: ${why}`, () => {
      const field = { name: "authentication-results", text: `Authentication-Results:${value}` };
      assert.equal(claimsToBeOurs(field, "mail.example.org"), ours);
    });
  }

  test("AR-01: of another name is never ours", () => {
    assert.equal(claimsToBeOurs({ name: "x-results", text: "X-Results: mail.example.org" }, "mail.example.org"), false);
  });
});

describe("our field", () => {
  const rows = [
    {
      id: "mail.test",
      results: [],
      want: "Authentication-Results: mail.test;\r\n\tnone",
      why: "RFC 8601 §2.2 no-result",
    },
    {
      id: "a b",
      results: ["spf=none"],
      want: 'Authentication-Results: "a b";\r\n\tspf=none',
      why: "an id that is no token is quoted",
    },
    {
      id: "m.test",
      results: [`dkim=pass ${"x".repeat(60)} ${"y".repeat(60)}`, "spf=pass"],
      want: `Authentication-Results: m.test;\r\n\tdkim=pass\r\n\t ${"x".repeat(60)}\r\n\t ${"y".repeat(60)};\r\n\tspf=pass`,
      why: "is folded between words",
    },
  ];
  for (const { id, results, want, why } of rows) test(why, () => assert.equal(formatResults(id, results), want));
});
