/** rewrite/create.test.ts: address classes, routes and recipient tables, from settings in main.cf's own words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp, parseAddress } from "../base/cidr.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createResolver } from "./create.ts";

const BASE = {
  mydomain: "example.org",
  mydestination: "$myhostname, localhost.$mydomain, localhost",
  relay_domains: "relay.test",
  virtual_alias_domains: "alias.test",
  virtual_alias_maps: "inline:{known@alias.test=x, al@mail.example.org=y, @all.test=z}",
  virtual_mailbox_domains: "box.test",
  virtual_mailbox_maps: "inline:{user@box.test=1}",
  recipient_delimiter: "+",
};

function resolverOf(settings: Readonly<Record<string, string>> = {}, passwd = "alice:x:1:1::/home/alice:\n") {
  const files = {
    read(path: string) {
      if (path === "/etc/passwd" && passwd !== "") return Buffer.from(passwd);
      throw new TableError(`open ${path}: No such file or directory`);
    },
  };
  const log = new Log({ sink: () => undefined, now: () => 0, tag: "t", id: 1 });
  const tables = createTableOpener({ files, log, configDirectory: "/etc/postern" });
  return createResolver(parametersOf({ ...BASE, ...settings }), { tables, ownAddresses: ["192.0.2.1", "2001:DB8::1"] });
}

const REWRITES = [
  { in: "", want: "", why: "null address" },
  { in: "user", want: "user@mail.example.org", why: "append_at_myorigin" },
  { in: "user@", want: "user@mail.example.org", why: "empty domain" },
  { in: "user@host.test.", want: "user@host.test", why: "final dot" },
  { in: "user@host", want: "user@host", why: "append_dot_mydomain is off" },
  { in: "user@host", want: "user@host.example.org", set: { append_dot_mydomain: "yes" }, why: "append_dot_mydomain" },
  { in: "user@[192.0.2.1]", want: "user@[192.0.2.1]", set: { append_dot_mydomain: "yes" }, why: "literal stays" },
  { in: "site!user", want: "user@site", why: "bang path" },
  { in: "a!b!user", want: "b!user@a", why: "first hop only" },
  { in: "site!user", want: "site!user@mail.example.org", set: { swap_bangpath: "no" }, why: "bang path off" },
  { in: "user%dom", want: "user@dom", why: "percent hack" },
  { in: "user%dom", want: "user%dom@mail.example.org", set: { allow_percent_hack: "no" }, why: "percent hack off" },
  { in: "user%dom@host.test", want: "user%dom@host.test", why: "not with a domain" },
  { in: "@a.test,@b.test:user@c.test", want: "user@c.test", why: "source route" },
];

for (const c of REWRITES) {
  test(`rewrite() ${c.why}: ${c.in}`, () => {
    const settings = { append_dot_mydomain: "no", ...c.set };
    assert.equal(resolverOf(settings).rewrite(asAddress(c.in)), c.want);
  });
}

const ROUTES = [
  { in: "u@mail.example.org", cls: "local", transport: "local", nexthop: "mail.example.org", why: "mydestination" },
  { in: "U@MAIL.Example.Org.", cls: "local", transport: "local", nexthop: "mail.example.org", why: "case and dot" },
  { in: "u", cls: "local", transport: "local", nexthop: "mail.example.org", why: "no domain" },
  { in: "u@x.mail.example.org", cls: "default", transport: "smtp", nexthop: "x.mail.example.org", why: "exact only" },
  { in: "u@[192.0.2.1]", cls: "local", transport: "local", nexthop: "mail.example.org", why: "own literal" },
  { in: "u@[IPv6:2001:db8:0::1]", cls: "local", transport: "local", nexthop: "mail.example.org", why: "own IPv6" },
  {
    in: "u@[IPv6:2001:db8::1]",
    cls: "default",
    transport: "smtp",
    nexthop: "[IPv6:2001:db8::1]",
    set: { inet_protocols: "ipv4" },
    why: "own IPv6, but it is off",
  },
  { in: "u@[192.0.2.9]", cls: "default", transport: "smtp", nexthop: "[192.0.2.9]", why: "foreign literal" },
  { in: "u@[nonsense]", cls: "default", transport: "error", nexthop: "5.1.3 bad address syntax", why: "bad literal" },
  {
    in: "u@[IPv6:192.0.2.1]",
    cls: "default",
    transport: "error",
    nexthop: "5.1.3 bad address syntax",
    why: "wrong tag",
  },
  { in: "u@192.0.2.1", cls: "default", transport: "error", nexthop: "5.1.3 bad address syntax", why: "no brackets" },
  {
    in: "u@alias.test",
    cls: "virtualAlias",
    transport: "error",
    nexthop: "5.1.1 User unknown in virtual alias table",
    why: "alias",
  },
  { in: "u@box.test", cls: "virtualMailbox", transport: "virtual", nexthop: "box.test", why: "mailbox" },
  { in: "u@a.relay.test", cls: "relay", transport: "relay", nexthop: "a.relay.test", why: "relay by parent" },
  { in: "u@far.test", cls: "default", transport: "smtp", nexthop: "far.test", why: "default" },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[gw]:587",
    set: { relayhost: "[gw]:587" },
    why: "relayhost",
  },
  {
    in: "u@relay.test",
    cls: "relay",
    transport: "relay",
    nexthop: "[gw]",
    set: { relayhost: "[gw]" },
    why: "relayhost, relay",
  },
  {
    in: "u@box.test",
    cls: "virtualMailbox",
    transport: "virtual",
    nexthop: "box.test",
    set: { relayhost: "[gw]" },
    why: "relayhost is for others",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "slow",
    nexthop: "[hub]",
    set: { default_transport: "slow:[hub]", relayhost: "[gw]" },
    why: "explicit next hop beats relayhost",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[byuser]",
    set: { sender_dependent_relayhost_maps: "inline:{s@x.test=[byuser]}", relayhost: "[gw]" },
    why: "sender's relayhost",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[gw]",
    set: { sender_dependent_relayhost_maps: "inline:{s@x.test=DUNNO}", relayhost: "[gw]" },
    why: "DUNNO",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "own",
    nexthop: "far.test",
    set: { sender_dependent_default_transport_maps: "inline:{@x.test=own:}" },
    why: "sender's transport",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[hub]:25",
    set: { transport_maps: "inline:{far.test=smtp:[hub]:25}" },
    why: "transport by domain",
  },
  {
    in: "u@a.far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[p]",
    set: { transport_maps: "inline:{.far.test=:[p]}" },
    why: "transport by parent, next hop only",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "far.test",
    set: { transport_maps: "inline:{far.test=smtp:}", relayhost: "[gw]" },
    why: "transport alone resets the next hop",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "smtp",
    nexthop: "[gw]",
    set: { transport_maps: "inline:{far.test=:, *=drop:}", relayhost: "[gw]" },
    why: "colon alone changes nothing",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "drop",
    nexthop: "far.test",
    set: { transport_maps: "inline:{*=drop:}" },
    why: "wildcard",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "error",
    nexthop: "Address is undeliverable",
    set: { transport_maps: "inline:{*=error:}" },
    why: "error without a reason, where a domain would be none",
  },
  {
    in: "u@far.test",
    cls: "default",
    transport: "retry",
    nexthop: "Address is undeliverable",
    set: { transport_maps: "inline:{*=retry}" },
    why: "retry without a reason, where a domain would be none",
  },
  {
    in: "u+x@far.test",
    cls: "default",
    transport: "mine",
    nexthop: "far.test",
    set: { transport_maps: "inline:{u@far.test=mine:}" },
    why: "user without extension",
  },
  {
    in: "u%far.test@mail.example.org",
    cls: "default",
    transport: "smtp",
    nexthop: "far.test",
    to: "u@far.test",
    why: "percent routing through us",
  },
  {
    in: "far.test!u@localhost",
    cls: "default",
    transport: "smtp",
    nexthop: "far.test",
    to: "u@far.test",
    why: "bang routing through us",
  },
  {
    in: "u@far.test@localhost",
    cls: "default",
    transport: "smtp",
    nexthop: "far.test",
    to: "u@far.test",
    why: "at routing through us",
  },
  {
    in: "u%localhost@localhost",
    cls: "local",
    transport: "local",
    nexthop: "mail.example.org",
    to: "u@localhost.example.org",
    why: "to us through us",
  },
];

for (const c of ROUTES) {
  test(`route() ${c.why}: ${c.in}`, async () => {
    const resolver = resolverOf(c.set);
    assert.equal(await resolver.classOf(asAddress(c.in)), c.cls);
    const route = await resolver.route(asAddress(c.in), asAddress("s@x.test"));
    assert.deepEqual([route.transport, route.nexthop], [c.transport, c.nexthop]);
    if (c.to !== undefined) assert.equal(route.recipient, c.to);
  });
}

const UNLISTED = [
  { in: "alice@mail.example.org", want: undefined, why: "in passwd" },
  { in: "ALICE+x@localhost", want: undefined, why: "extension, case" },
  { in: "bob@mail.example.org", want: "local recipient", why: "nowhere" },
  { in: "postmaster@mail.example.org", want: undefined, why: "postmaster always" },
  { in: "Postmaster", want: undefined, why: "postmaster without domain" },
  { in: "double-bounce@mail.example.org", want: undefined, why: "double bounce always" },
  { in: "al@mail.example.org", want: undefined, why: "virtual alias in a local domain" },
  { in: "bob@localhost", want: undefined, set: { local_recipient_maps: "" }, why: "check is off" },
  { in: "bob@localhost", want: undefined, set: { alias_maps: "inline:{bob=x}" }, why: "alias" },
  { in: "known@alias.test", want: undefined, why: "virtual alias" },
  { in: "x@alias.test", want: "virtual alias", why: "no virtual alias" },
  { in: "user+a@box.test", want: undefined, why: "mailbox" },
  { in: "x@box.test", want: "virtual mailbox", why: "no mailbox" },
  { in: "postmaster@box.test", want: "virtual mailbox", why: "postmaster is special in local domains" },
  { in: "x@relay.test", want: undefined, why: "relay without table" },
  {
    in: "x@relay.test",
    want: "relay recipient",
    set: { relay_recipient_maps: "inline:{y@relay.test=1}" },
    why: "relay table",
  },
  { in: "x@far.test", want: undefined, why: "others are not checked" },
];

for (const c of UNLISTED) {
  test(`unlistedIn() ${c.why}: ${c.in}`, async () => {
    assert.equal(await resolverOf(c.set).unlistedIn(asAddress(c.in)), c.want);
  });
}

const BROKEN = [
  { set: { alias_maps: "hash:/etc/aliases" }, in: "bob@localhost", why: "alias_maps written and not there" },
  { set: { local_recipient_maps: "ldap:x" }, in: "bob@localhost", why: "unsupported type written" },
  { set: { mydestination: "ldap:x" }, in: "u@far.test", why: "broken list" },
  { set: { relay_domains: "/nowhere" }, in: "u@far.test", why: "file that is not there" },
  { set: {}, passwd: "", in: "bob@localhost", why: "passwd is not there" },
];

for (const c of BROKEN) {
  test(`a broken table is an error, not "unknown": ${c.why}`, async () => {
    await assert.rejects(async () => resolverOf(c.set, c.passwd).unlistedIn(asAddress(c.in)), TableError);
  });
}

const ROUTING = [
  { in: "u@far.test", want: false, why: "plain" },
  { in: "u%x@far.test", want: true, why: "percent" },
  { in: "x!u@far.test", want: true, why: "bang" },
  { in: "u@x@far.test", want: true, why: "two ats" },
  { in: "u", want: false, why: "no domain" },
];

for (const c of ROUTING) {
  test(`hasSenderRouting() ${c.why}: ${c.in}`, () =>
    assert.equal(resolverOf().hasSenderRouting(asAddress(c.in)), c.want));
}

test("rewrite() is idempotent for every address of one local part and one domain", () => {
  const resolver = resolverOf({ append_dot_mydomain: "yes" });
  const local = fc.string({ unit: fc.constantFrom(..."ab.!%"), minLength: 1, maxLength: 6 });
  const domain = fc.oneof(fc.domain(), fc.constantFrom("", "host", "host.", "[192.0.2.1]"));
  fc.assert(
    fc.property(local, domain, fc.boolean(), (user, host, bare) => {
      const once = resolver.rewrite(asAddress(bare ? user : `${user}@${host}`));
      assert.ok(!once.endsWith("@"), once);
      if (!once.endsWith(".")) assert.equal(resolver.rewrite(once), once);
    }),
  );
});

test("classOf() and route() settle for every address", async () => {
  const resolver = resolverOf();
  const text = fc.string({
    unit: fc.constantFrom("u", "@", "!", "%", ".", "localhost", "far.test", "[", "]"),
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(text, async (address) => {
      const route = await resolver.route(asAddress(address), asAddress(""));
      assert.notEqual(route.transport, "");
      assert.notEqual(route.nexthop, "");
    }),
  );
});

test("an address literal is local exactly if the address is ours", async () => {
  const resolver = resolverOf();
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.ipV4(), fc.constantFrom("192.0.2.1", "2001:db8::1"), fc.ipV6()), async (ip) => {
      const tag = ip.includes(":") ? "IPv6:" : "";
      const canonical = formatIp(parseAddress(ip) ?? assert.fail(ip));
      const own = canonical === "192.0.2.1" || canonical === "2001:db8::1";
      assert.equal(await resolver.classOf(asAddress(`u@[${tag}${ip}]`)), own ? "local" : "default");
    }),
  );
});
