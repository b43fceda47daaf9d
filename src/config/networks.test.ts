/** Tests of config/networks.ts and config/builtins.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { computeBuiltins, type Machine } from "./builtins.ts";
import { parseMainCf } from "./main-cf.ts";
import { defaultMynetworks } from "./networks.ts";

const INTERFACES = ["127.0.0.1/8", "192.0.2.77/20", "172.16.5.1/24", "::1/128", "2001:db8::5/64", "fe80::1%eth0/64"];

const cases = [
  {
    style: "host",
    want: "127.0.0.1/32 192.0.2.77/32 172.16.5.1/32 [::1]/128 [2001:db8::5]/128 [fe80::1]/128",
    why: "own addresses",
  },
  {
    style: "subnet",
    want: "127.0.0.0/8 192.0.0.0/20 172.16.5.0/24 [::1]/128 [2001:db8::]/64 [fe80::]/64",
    why: "their networks, host bits zero",
  },
  {
    style: "class",
    want: "127.0.0.0/8 192.0.2.0/24 172.16.0.0/16 [::1]/128 [2001:db8::]/64 [fe80::]/64",
    why: "classes of 1981",
  },
] as const;
for (const c of cases) {
  test(`defaultMynetworks() ${c.style}: ${c.why}`, () => assert.equal(defaultMynetworks(c.style, INTERFACES), c.want));
}

test("defaultMynetworks() leaves out what is no address and names each network once", () => {
  assert.equal(defaultMynetworks("subnet", ["x", "10.0.0.1", "10.0.0.1/8", "10.9.9.9/8"]), "10.0.0.0/8");
  assert.equal(defaultMynetworks("subnet", ["10.1.2.3/0"]), "0.0.0.0/0");
});

const machine: Machine = { hostname: "mail", mailVersion: "1.2", configDirectory: "/c", interfaces: INTERFACES };
const builtin = (mainCf: string, name: string, on: Machine = machine) =>
  computeBuiltins(on, parseMainCf(mainCf, "main.cf").assignments).get(name);

const values = [
  { cf: "", name: "myhostname", want: "mail.localdomain", why: "a name without a dot is completed" },
  { cf: "mydomain = example.org", name: "myhostname", want: "mail.example.org", why: "with mydomain" },
  { cf: "mydomain = x$myhostname", name: "myhostname", want: "mail.localdomain", why: "not with itself" },
  { cf: "myhostname = a.b.example", name: "mydomain", want: "b.example", why: "without the first label" },
  { cf: "myhostname = single", name: "mydomain", want: "localdomain", why: "no label left" },
  { cf: "h = a.b.c\nmyhostname = $h", name: "mydomain", want: "b.c", why: "expanded" },
  { cf: "myhostname = ${", name: "mydomain", want: "localdomain", why: "a bad value is check's to report" },
  { cf: "", name: "mail_version", want: "1.2", why: "given" },
  { cf: "", name: "config_directory", want: "/c", why: "given" },
  {
    cf: "compatibility_level = 3.6\ninet_protocols = ipv4",
    name: "mynetworks",
    want: "127.0.0.1/32 192.0.2.77/32 172.16.5.1/32",
    why: "host",
  },
  {
    cf: "inet_interfaces = loopback-only",
    name: "mynetworks",
    want: "127.0.0.0/8 [::1]/128",
    why: "subnet before level 2",
  },
  {
    cf: "inet_interfaces = 192.0.2.77, [::1]",
    name: "mynetworks",
    want: "192.0.0.0/20 [::1]/128",
    why: "only listed ones",
  },
  { cf: "inet_interfaces = mail.example.org", name: "mynetworks", want: "", why: "a name trusts nobody" },
  {
    cf: "mynetworks_style = wrong",
    name: "mynetworks",
    want: "127.0.0.1/32 [::1]/128",
    why: "a bad value trusts least",
  },
];
for (const c of values) {
  test(`computeBuiltins() ${c.name} ${c.why}: ${c.cf}`, () => assert.equal(builtin(c.cf, c.name), c.want));
}

test("computeBuiltins() keeps a qualified host name and trusts loopback where nothing is known", () => {
  const plain: Machine = { hostname: "mx.example.org", mailVersion: "1", configDirectory: "/c" };
  assert.equal(builtin("", "myhostname", plain), "mx.example.org");
  assert.equal(builtin("", "mynetworks", plain), "127.0.0.0/8 [::1]/128");
});
