/** tables/pattern-list.test.ts: Postfix's list syntax. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Log } from "../log/log.ts";
import { createTableOpener } from "./open.ts";
import { compileAddressList, compileDomainList, compileNameList } from "./pattern-list.ts";
import { type LookupTable, TableError, type TableOpener } from "./table.ts";

const FILES = new Map([
  ["/etc/nets", "# ours\n10.0.0.0/8, 192.0.2.1\n!172.16.0.0/12 172.16.0.0/16\n"],
  ["/etc/loop", "/etc/loop\n"],
  ["/etc/domains", "a.test\n  b.test\n.c.test\n"],
]);
const files = {
  read(path: string) {
    const text = FILES.get(path);
    if (text === undefined) throw new TableError("No such file or directory");
    return Buffer.from(text);
  },
};
const opener = createTableOpener({
  files,
  log: new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 }),
  configDirectory: "/",
});

const ADDRESS_CASES = [
  { items: ["127.0.0.0/8", "[::1]/128"], address: "127.1.2.3", want: true, why: "network" },
  { items: ["127.0.0.0/8", "[::1]/128"], address: "::1", want: true, why: "IPv6" },
  { items: ["127.0.0.0/8"], address: "::ffff:127.0.0.1", want: true, why: "mapped" },
  { items: ["::1"], address: "::1", want: true, why: "bare IPv6 is no table" },
  { items: ["!10.0.0.1", "10.0.0.0/8"], address: "10.0.0.1", want: false, why: "first match wins" },
  { items: ["10.0.0.0/8", "!10.0.0.1"], address: "10.0.0.1", want: true, why: "first match wins, the other way" },
  { items: ["!!10.0.0.1"], address: "10.0.0.1", want: true, why: "twice not" },
  { items: [], address: "10.0.0.1", want: false, why: "empty" },
  { items: ["/etc/nets"], address: "10.9.9.9", want: true, why: "file" },
  { items: ["/etc/nets"], address: "172.16.0.1", want: false, why: "negation in a file" },
  { items: ["!/etc/nets", "0.0.0.0/0"], address: "10.9.9.9", want: false, why: "negated file" },
  { items: ["!/etc/nets"], address: "172.16.0.1", want: true, why: "negation in a negated file" },
  { items: ["cidr:{{10.0.0.0/8 OK}}"], address: "10.1.1.1", want: true, why: "table" },
  { items: ["!inline:{10.1.1.1=x}", "static:all"], address: "10.1.1.1", want: false, why: "negated table" },
  { items: ["client.test"], address: "10.1.1.1", name: "Client.TEST", want: true, why: "by name" },
  { items: ["10.0.0.1/8", "192.0.2.1"], address: "192.0.2.1", want: "error", why: "host bits" },
  { items: ["10.0.0"], address: "192.0.2.1", want: "error", why: "half an address" },
  { items: ["[10.0.0.1"], address: "192.0.2.1", want: "error", why: "half a bracket" },
  { items: ["2001:db8::1/32"], address: "192.0.2.1", want: "error", why: "IPv6 host bits" },
  { items: ["fe80::1/10"], address: "192.0.2.1", want: "error", why: "IPv6 host bits, letters first" },
  { items: ["!"], address: "192.0.2.1", want: "error", why: "nothing to negate" },
  { items: ["/etc/none"], address: "192.0.2.1", want: "error", why: "file is not there" },
  { items: ["/etc/loop"], address: "192.0.2.1", want: "error", why: "file includes itself" },
  { items: ["ldap:x"], address: "192.0.2.1", want: "error", why: "unknown table type" },
  { items: ["!ldap:x", "0.0.0.0/0"], address: "192.0.2.1", want: "error", why: "negated broken table lets nobody in" },
];

for (const c of ADDRESS_CASES) {
  test(`compileAddressList() ${c.why}: ${c.items.join(" ")}`, () => {
    const list = compileAddressList(c.items, { opener });
    assert.equal(list.problems.length > 0, c.want === "error");
    const match = () => list.matches(c.address, c.name);
    if (c.want === "error") assert.throws(match, TableError);
    else assert.equal(match(), c.want);
  });
}

const DOMAIN_CASES = [
  { items: ["Example.org"], domain: "EXAMPLE.org", exact: true, plain: true, parent: true, why: "same" },
  { items: ["example.org"], domain: "a.example.org", exact: false, plain: false, parent: true, why: "subdomain" },
  { items: ["example.org"], domain: "a.b.example.org", exact: false, plain: false, parent: true, why: "deep" },
  { items: [".example.org"], domain: "a.example.org", exact: false, plain: true, parent: false, why: "dotted" },
  { items: [".example.org"], domain: "example.org", exact: false, plain: false, parent: false, why: "dotted, itself" },
  { items: ["example.org"], domain: "badexample.org", exact: false, plain: false, parent: false, why: "no dot" },
  { items: ["!a.test", "a.test"], domain: "a.test", exact: false, plain: false, parent: false, why: "negation" },
  { items: ["/etc/domains"], domain: "b.test", exact: true, plain: true, parent: true, why: "continued line" },
  { items: ["inline:{a.test=1}"], domain: "a.test", exact: true, plain: true, parent: true, why: "table" },
  { items: ["inline:{a.test=1}"], domain: "x.a.test", exact: false, plain: false, parent: true, why: "table, parent" },
  { items: ["inline:{.a.test=1}"], domain: "x.a.test", exact: false, plain: true, parent: false, why: "table, dotted" },
  { items: ["[192.0.2.1]"], domain: "[192.0.2.1]", exact: true, plain: true, parent: true, why: "literal" },
  { items: ["*"], domain: "a.test", exact: false, plain: false, parent: false, why: "no wildcard" },
];

for (const c of DOMAIN_CASES) {
  test(`domain lists ${c.why}: ${c.items.join(" ")} ${c.domain}`, () => {
    assert.equal(compileNameList(c.items, { opener }).matches(c.domain), c.exact, "exact");
    assert.equal(compileDomainList(c.items, { opener }).matches(c.domain), c.plain, "domain");
    assert.equal(compileDomainList(c.items, { opener, parentMatches: true }).matches(c.domain), c.parent, "parent");
  });
}

test("an asynchronous table is waited for, and the items behind it still count", async () => {
  const slow: LookupTable = { ref: "slow:", partialKeys: true, get: async (key) => (key === "yes" ? "1" : undefined) };
  const slowOpener: TableOpener = { open: () => slow };
  const list = compileDomainList(["!slow:x", "yes", "other"], { opener: slowOpener });
  assert.equal(await list.matches("yes"), false);
  assert.equal(await list.matches("other"), true);
  assert.equal(await list.matches("none"), false);
  const failing: TableOpener = {
    open: () => ({ ref: "f:", partialKeys: true, get: async () => assert.fail(new TableError("down")) }),
  };
  await assert.rejects(async () => compileDomainList(["f:x", "a"], { opener: failing }).matches("a"), TableError);
});

test("the first matching item decides, for any list", () => {
  const domain = fc.constantFrom("a", "b.a", "c.b.a", "d");
  const item = fc.tuple(fc.boolean(), domain);
  fc.assert(
    fc.property(fc.array(item, { maxLength: 8 }), domain, (items, asked) => {
      const list = compileDomainList(
        items.map(([not, name]) => (not ? "!" : "") + name),
        { opener, parentMatches: true },
      );
      const first = items.find(([, name]) => asked === name || asked.endsWith(`.${name}`));
      assert.equal(list.matches(asked), first !== undefined && !first[0]);
    }),
  );
});

test("a list of any text compiles, and answers or throws TableError", () => {
  const text = fc.string({ unit: fc.constantFrom(..."!/.:[]0129afx{}-"), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(text), fc.ipV4(), (items, address) => {
      const list = compileAddressList(items, { opener });
      try {
        assert.equal(typeof list.matches(address, "a.test"), "boolean");
      } catch (error) {
        assert.ok(error instanceof TableError, String(error));
      }
    }),
  );
});
