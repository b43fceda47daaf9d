import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNextHops, portNumber } from "./nexthop.ts";

const CASES = [
  { in: "example.com", want: [{ kind: "domain", name: "example.com", port: undefined }], why: "MX lookup" },
  { in: "example.com:587", want: [{ kind: "domain", name: "example.com", port: "587" }], why: "MX lookup, other port" },
  { in: "[mx.test]", want: [{ kind: "host", name: "mx.test", port: undefined }], why: "no MX lookup" },
  { in: "[mx.test]:submission", want: [{ kind: "host", name: "mx.test", port: "submission" }], why: "named port" },
  { in: "[IPv6:::1]:25", want: [{ kind: "host", name: "::1", port: "25" }], why: "address literal as in mail" },
  { in: "[2001:db8::1]", want: [{ kind: "host", name: "2001:db8::1", port: undefined }], why: "bare IPv6 address" },
  { in: "unix:private/lmtp", want: [{ kind: "unix", path: "private/lmtp" }], why: "LMTP socket" },
  { in: "inet:host:24", want: [{ kind: "host", name: "host", port: "24" }], why: "LMTP over TCP" },
  {
    in: "[a.test], b.test",
    want: [
      { kind: "host", name: "a.test", port: undefined },
      { kind: "domain", name: "b.test", port: undefined },
    ],
    why: "several, in turn",
  },
];
for (const c of CASES) {
  test(`parseNextHops() ${c.why}: ${c.in}`, () => assert.deepEqual(parseNextHops(c.in, "smtp"), c.want));
}

test("parseNextHops() lmtp never looks for mail exchangers", () => {
  assert.deepEqual(parseNextHops("store.test", "lmtp"), [{ kind: "host", name: "store.test", port: undefined }]);
});

for (const [text, want] of [
  ["25", 25],
  ["smtp", 25],
  ["0", undefined],
  ["65536", undefined],
  ["x", undefined],
] as const) {
  test(`portNumber(${text})`, () => assert.equal(portNumber(text), want));
}
