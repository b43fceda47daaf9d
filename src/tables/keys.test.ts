/** tables/keys.test.ts: key orders of postfix.md §5.8. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import * as keys from "./keys.ts";
import { type LookupTable, TableError } from "./table.ts";

const plus = { delimiter: "+" };
const address = asAddress("u+x@a.b.c");

/** From the manual pages of Postfix 3.7. Those of access(5) are in access/lookup-keys.test.ts. */
const ORDERS = [
  { why: "host, parents with dot", got: keys.hostKeys("a.b.c", {}), want: ["a.b.c", ".b.c", ".c"] },
  { why: "host, parents", got: keys.hostKeys("a.b.c", { parentMatches: true }), want: ["a.b.c", "b.c", "c"] },
  { why: "a literal has no parents", got: keys.hostKeys("[192.0.2.1]", {}), want: ["[192.0.2.1]"] },
  {
    why: "virtual(5): user@domain, then @domain; a bare user only where the domain is ours",
    got: keys.mailAddrFindKeys(address, plus),
    want: ["u+x@a.b.c", "u@a.b.c", "@a.b.c"],
  },
  {
    why: "canonical(5): user where the domain is $myorigin or in $mydestination",
    got: keys.mailAddrFindKeys(address, { ...plus, localDomain: true }),
    want: ["u+x@a.b.c", "u@a.b.c", "u+x", "u", "@a.b.c"],
  },
  {
    why: "relocated(5): no extension, no delimiter",
    got: keys.mailAddrFindKeys(asAddress("u@a.b.c"), { delimiter: "" }),
    want: ["u@a.b.c", "@a.b.c"],
  },
  { why: "no domain at all", got: keys.mailAddrFindKeys(asAddress("u+x"), plus), want: ["u+x", "u"] },
  { why: "recipient tables", got: keys.mailboxKeys(address, { delimiter: "" }), want: ["u+x@a.b.c", "u+x", "@a.b.c"] },
  {
    why: "transport(5): addresses, domain, .parents, *",
    got: keys.transportKeys(address, plus),
    want: ["u+x@a.b.c", "u@a.b.c", "a.b.c", ".b.c", ".c", "*"],
  },
  {
    why: "transport(5): a domain matches its subdomains if transport_maps is a parent list",
    got: keys.transportKeys(asAddress("u@a.b"), { ...plus, parentMatches: true }),
    want: ["u@a.b", "a.b", "b", "*"],
  },
  {
    why: "sender_dependent_relayhost_maps",
    got: keys.senderKeys(address, plus),
    want: ["u+x@a.b.c", "u@a.b.c", "@a.b.c"],
  },
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

/** virtual(5): "Each query pattern is sent to each specified lookup table before trying the next query pattern." */
const SEVERAL = [
  { first: { "@b.c": "wild" }, second: { "u@b.c": "exact" }, want: "exact", why: "a better key in a later table" },
  { first: { "u@b.c": "one" }, second: { "u@b.c": "two" }, want: "one", why: "the first table with the best key" },
  { first: {}, second: { "@b.c": "wild" }, want: "wild", why: "only the last has one" },
  { first: {}, second: {}, want: undefined, why: "none" },
  { first: { "@b.c": "wild" }, second: {}, whole: true, want: undefined, why: "regexp has no partial keys" },
];

for (const c of SEVERAL) {
  test(`lookupTables() ${c.why}`, async () => {
    const table = (values: Readonly<Record<string, string>>, async: boolean): LookupTable => ({
      ref: "t:",
      partialKeys: c.whole !== true,
      get: (key) => (async ? Promise.resolve(values[key]) : values[key]),
    });
    for (const async of [false, true]) {
      const found = keys.lookupTables(
        [table(c.first, async), table(c.second, !async)],
        keys.mailAddrFindKeys(asAddress("u@b.c"), plus),
      );
      assert.equal((await found)?.value, c.want);
    }
  });
}

test("lookupTables() stops at a table that cannot answer", async () => {
  const broken: LookupTable = {
    ref: "t:",
    partialKeys: true,
    get: () => Promise.reject(new TableError("down")),
  };
  const good: LookupTable = { ref: "g:", partialKeys: true, get: () => "found" };
  await assert.rejects(async () => keys.lookupTables([broken, good], ["a"]), TableError);
  assert.equal((await keys.lookupTables([good, broken], ["a"]))?.value, "found");
});
