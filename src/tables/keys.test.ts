/** tables/keys.test.ts: key orders of postfix.md §5.8. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import * as keys from "./keys.ts";
import type { LookupTable } from "./table.ts";

const plus = { delimiter: "+" };
const address = asAddress("u+x@a.b.c");

const ORDERS = [
  {
    why: "access, e-mail",
    got: keys.accessEmailKeys(address, plus),
    want: ["u+x@a.b.c", "u@a.b.c", "a.b.c", ".b.c", ".c", "u+x@", "u@"],
  },
  {
    why: "access, e-mail, parents without dot",
    got: keys.accessEmailKeys(asAddress("u@a.b.c"), { ...plus, parentMatches: true }),
    want: ["u@a.b.c", "a.b.c", "b.c", "c", "u@"],
  },
  { why: "access, null sender", got: keys.accessEmailKeys(asAddress(""), plus), want: ["<>"] },
  { why: "access, literal has no parents", got: keys.hostKeys("[192.0.2.1]", {}), want: ["[192.0.2.1]"] },
  { why: "host", got: keys.hostKeys("a.b.c", { parentMatches: true }), want: ["a.b.c", "b.c", "c"] },
  { why: "IPv4", got: keys.addressKeys("1.2.3.4"), want: ["1.2.3.4", "1.2.3", "1.2", "1"] },
  { why: "IPv6", got: keys.addressKeys("2001:db8::1"), want: ["2001:db8::1", "2001:db8", "2001"] },
  { why: "IPv6 loopback", got: keys.addressKeys("::1"), want: ["::1"] },
  { why: "virtual", got: keys.mailAddrFindKeys(address, plus), want: ["u+x@a.b.c", "u@a.b.c", "@a.b.c"] },
  {
    why: "virtual, local domain",
    got: keys.mailAddrFindKeys(address, { ...plus, localDomain: true }),
    want: ["u+x@a.b.c", "u@a.b.c", "u+x", "u", "@a.b.c"],
  },
  { why: "mailbox", got: keys.mailboxKeys(address, { delimiter: "" }), want: ["u+x@a.b.c", "u+x", "@a.b.c"] },
  {
    why: "transport",
    got: keys.transportKeys(address, plus),
    want: ["u+x@a.b.c", "u@a.b.c", "a.b.c", ".b.c", ".c", "*"],
  },
  { why: "sender", got: keys.senderKeys(address, plus), want: ["u+x@a.b.c", "u@a.b.c", "@a.b.c"] },
  { why: "null sender", got: keys.senderKeys(asAddress(""), plus), want: ["<>"] },
];

for (const c of ORDERS) test(`keys: ${c.why}`, () => assert.deepEqual([...c.got], c.want));

const EXTENSIONS = [
  { local: "user+ext", delimiter: "+", want: "user", why: "plain" },
  { local: "user+a+b", delimiter: "+", want: "user", why: "first delimiter" },
  { local: "user-a+b", delimiter: "+-", want: "user", why: "any of several" },
  { local: "+ext", delimiter: "+", want: undefined, why: "nothing before it" },
  { local: "user", delimiter: "+", want: undefined, why: "none" },
  { local: "user+ext", delimiter: "", want: undefined, why: "switched off" },
  { local: "owner-list", delimiter: "-", want: undefined, why: "owner-" },
  { local: "list-request", delimiter: "-", want: undefined, why: "-request" },
  { local: "MAILER-DAEMON", delimiter: "-", want: undefined, why: "special name" },
];

for (const c of EXTENSIONS) {
  test(`splitExtension() ${c.why}: ${c.local}`, () =>
    assert.equal(keys.splitExtension(c.local, c.delimiter)?.base, c.want));
}

test("lookupFirst() asks tables without partial keys once", async () => {
  const asked: string[] = [];
  const table = (partialKeys: boolean, async: boolean): LookupTable => ({
    ref: "t:",
    partialKeys,
    get(key) {
      asked.push(key);
      const answer = key === "c" ? "found" : undefined;
      return async ? Promise.resolve(answer) : answer;
    },
  });
  assert.equal(keys.lookupFirst(table(false, false), ["a", "c"]), undefined);
  assert.equal(await keys.lookupFirst(table(false, true), ["a", "c"]), undefined);
  assert.deepEqual(asked, ["a", "a"]);
  assert.deepEqual(keys.lookupFirst(table(true, false), ["a", "c"]), { key: "c", value: "found" });
  assert.deepEqual(await keys.lookupFirst(table(true, true), ["a", "c"]), { key: "c", value: "found" });
});
