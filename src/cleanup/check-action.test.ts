import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCheckAction } from "./check-action.ts";

const HEADER = { map: "header_checks", what: "header" } as const;
const BODY = { map: "body_checks", what: "body" } as const;

const cases = [
  { value: "DUNNO", want: { kind: "keep" }, why: "no match" },
  { value: "ok whatever", want: { kind: "keep" }, why: "OK is DUNNO; text is ignored" },
  { value: "IGNORE because", want: { kind: "ignore" }, why: "text is ignored" },
  { value: "STRIP x", want: { kind: "strip", text: "x" }, why: "IGNORE that is logged" },
  { value: "warn\t a  b", want: { kind: "warn", text: "a  b" }, why: "any case, a tab, blanks within" },
  { value: "REJECT", want: { kind: "reject", dsn: "5.7.1", text: "message content rejected" }, why: "no text" },
  { value: "REJECT go away", want: { kind: "reject", dsn: "5.7.1", text: "go away" }, why: "text" },
  { value: "REJECT 4.2.1 later", want: { kind: "reject", dsn: "4.2.1", text: "later" }, why: "for now" },
  {
    value: "REJECT 5.2.1",
    want: { kind: "reject", dsn: "5.2.1", text: "message content rejected" },
    why: "status alone",
  },
  { value: "REJECT 5.2.1x", want: { kind: "reject", dsn: "5.7.1", text: "5.2.1x" }, why: "no status" },
  {
    value: "REJECT 2.0.0 fine",
    want: {
      kind: "reject",
      dsn: "4.0.0",
      text: "fine",
      warning: "bad DSN action in 2.0.0 fine -- need 4.x.x or 5.x.x",
    },
    why: "a refusal never succeeds",
  },
  { value: "FILTER smtp:[h]:1", want: { kind: "filter", text: "smtp:[h]:1" }, why: "next hop" },
  { value: "REDIRECT a@b.test", want: { kind: "redirect", text: "a@b.test" }, why: "address" },
  { value: "BCC a@b.test", want: { kind: "bcc", text: "a@b.test" }, why: "address" },
  { value: "PREPEND X-A: b", want: { kind: "prepend", text: "X-A: b" }, why: "a field" },
  { value: "REPLACE X-A : b", want: { kind: "replace", text: "X-A : b" }, why: "a field with a blank" },
] as const;
for (const c of cases) {
  test(`parseCheckAction() ${c.why}: ${c.value}`, () =>
    assert.deepEqual(clean(parseCheckAction(c.value, HEADER)), c.want));
}

/** Without members that are undefined. */
function clean(action: object): object {
  return Object.fromEntries(Object.entries(action).filter(([, value]) => value !== undefined));
}

const bad = [
  { value: "BOGUS x", want: "unknown command in header_checks map: BOGUS x" },
  { value: "REJECTED", want: "unknown command in header_checks map: REJECTED" },
  { value: "550 no", want: "unknown command in header_checks map: 550 no" },
  { value: "FILTER", want: "missing FILTER command argument in header_checks map" },
  { value: "FILTER x", want: "bad FILTER command x in header_checks -- need transport:destination" },
  { value: "REDIRECT", want: 'bad REDIRECT target "" in header_checks map -- need user@domain' },
  { value: "REDIRECT a@", want: 'bad REDIRECT target "a@" in header_checks map -- need user@domain' },
  { value: "BCC a b@c", want: 'bad BCC address "a b@c" in header_checks map -- need user@domain' },
  { value: "PREPEND", want: "PREPEND action without text in header_checks map" },
  { value: "PREPEND x", want: 'bad PREPEND header text "x" in header_checks map -- need "headername: headervalue"' },
  {
    value: "REPLACE : x",
    want: 'bad REPLACE header text ": x" in header_checks map -- need "headername: headervalue"',
  },
  {
    value: "REPLACE $map",
    want: 'bad REPLACE header text "$map" in header_checks map -- need "headername: headervalue"',
  },
];
for (const { value, want } of bad) {
  test(`parseCheckAction() keeps the line and warns: ${value}`, () =>
    assert.deepEqual(parseCheckAction(value, HEADER), { kind: "keep", warning: want }));
}

test("parseCheckAction() takes any text for a body line", () => {
  assert.deepEqual(parseCheckAction("REPLACE x", BODY), { kind: "replace", text: "x" });
  assert.equal(parseCheckAction("PREPEND ", BODY).kind, "keep");
});

test("parseCheckAction() never fails, and lets nothing but a field into a header", () => {
  const word = fc.constantFrom("REJECT", "PREPEND", "REPLACE", "FILTER", "BCC", "WARN", "x");
  fc.assert(
    fc.property(word, fc.string(), (keyword, text) => {
      const action = parseCheckAction(`${keyword} ${text}`, HEADER);
      if (action.kind === "prepend" || action.kind === "replace") assert.match(action.text, /^[!-9;-~]+[ \t]*:/);
    }),
  );
});
