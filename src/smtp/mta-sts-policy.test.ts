/** Tests of the texts of MTA-STS, RFC 8461 §3 and §4.1. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allowsHost, parseStsPolicy, policyId } from "./mta-sts-policy.ts";

const IDS = [
  { in: ["v=STSv1; id=20160831085700Z;"], want: "20160831085700Z", why: "the RFC's example" },
  { in: ["v=STSv1;id=a"], want: "a", why: "no blanks, no semicolon at the end" },
  { in: ["other", "v=STSv1; id=a; later=x"], want: "a", why: "other records, later fields" },
  { in: ["v=STSv1; id=a", "v=STSv1; id=b"], want: undefined, why: "two records are none" },
  { in: ["v=STSv1; id=a b"], want: undefined, why: "an id that is none" },
  { in: [`v=STSv1; id=${"a".repeat(33)}`], want: undefined, why: "an id that is too long" },
  { in: ["v=STSv1"], want: undefined, why: "no id" },
  { in: ["v=STSv2; id=a"], want: undefined, why: "another version" },
  { in: [], want: undefined, why: "nothing" },
];
for (const c of IDS) test(`policyId() STS-01: ${c.why}`, () => assert.equal(policyId(c.in), c.want));

const GOOD = { mode: "enforce", maxAgeS: 604800, mx: ["mail.example.com", "*.example.net"] };
const TEXT = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";
const POLICIES = [
  { in: TEXT, want: GOOD, why: "the RFC's example" },
  { in: TEXT.replaceAll("\r\n", "\n"), want: GOOD, why: "bare line feeds" },
  { in: TEXT.trimEnd(), want: GOOD, why: "no end of the last line" },
  { in: `${TEXT}mode: none\r\nfuture: x\r\nnonsense\r\n`, want: GOOD, why: "repeated and unknown fields" },
  {
    in: TEXT.replaceAll(": ", ":").replace("mail.example.com", "Mail.Example.COM."),
    want: GOOD,
    why: "case and blanks",
  },
  { in: "version: STSv1\nmode: none\nmax_age: 1", want: { mode: "none", maxAgeS: 1, mx: [] }, why: "none needs no mx" },
  { in: TEXT.replace("604800", "99999999"), want: { ...GOOD, maxAgeS: 31_557_600 }, why: "at most a year" },
  { in: TEXT.replace("STSv1", "STSv2"), want: { problem: "no version STSv1" }, why: "another version" },
  { in: TEXT.replace("enforce", "Enforce"), want: { problem: "no mode" }, why: "another mode" },
  { in: TEXT.replace("604800", "1d"), want: { problem: "no max_age" }, why: "another age" },
  { in: TEXT.replace(/mx:.*\r\n/g, ""), want: { problem: "no mx" }, why: "no exchanger" },
  { in: TEXT.replace("*.example.net", "mail.*.net"), want: { problem: "bad mx" }, why: "a wildcard in the middle" },
  { in: TEXT + "mx: a.test\n".repeat(200), want: { problem: "bad mx" }, why: "too many exchangers" },
  { in: "<html>not found</html>", want: { problem: "no version STSv1" }, why: "a page" },
];
for (const c of POLICIES) test(`parseStsPolicy() ${c.why}`, () => assert.deepEqual(parseStsPolicy(c.in), c.want));

test("parseStsPolicy() takes any text", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseStsPolicy(text)));
});

const HOSTS = [
  { host: "mail.example.com", want: true },
  { host: "MAIL.example.com.", want: true },
  { host: "a.example.net", want: true },
  { host: "a.b.example.net", want: false },
  { host: "example.net", want: false },
  { host: ".example.net", want: false },
  { host: "a.example.com", want: false },
];
for (const c of HOSTS) {
  test(`allowsHost() ${c.host}`, () => assert.equal(allowsHost(GOOD, c.host), c.want));
}
