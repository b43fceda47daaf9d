/** Aliases and .forward files: what becomes of the recipient, who is forwarded to, and what is written on top. */
import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RecipientDsn } from "../mail/dsn.ts";
import { type RequestOptions, Site, type SiteOptions, told } from "./testdata/site.ts";

const ALIASES = `
  {single = alice}, {twice = one, two}, {one = x@far.test}, {two = y@far.test, X@far.test}, {mixed = alice, x@far.test},
  {locals = alice, bob}, {alice2 = \\alice}, {both = \\alice, \\bob}, {self = self, x@far.test}, {owned = x@far.test, y@far.test},
  {owner-owned = boss@far.test}, {around = owned, z@far.test}, {solo = bob}, {owner-solo = boss@far.test},
  {loopa = loopb}, {loopb = loopa}, {half = loopa, x@far.test}, {command = "|/bin/true -x"}, {file = /tmp/file},
  {null = /dev/null}, {nullmore = /dev/null, x@far.test}, {broken = @far.test}, {some = x@far.test, "|/bin/true"},
  {nobody = ghost}, {ext = x@far.test}, {ext+full = y@far.test}, {o'neil = x@far.test}, {virtual = list@virtual.test}`;

interface Case {
  readonly to: string;
  readonly want: readonly string[];
  readonly set?: Readonly<Record<string, string>>;
  readonly why: string;
}

const CASES: readonly Case[] = [
  { to: "alice", want: ["sent 2.0.0 delivered to maildir"], why: "a user" },
  { to: "ghost", want: ['bounced 5.1.1 unknown user: "ghost"'], why: "neither" },
  {
    to: "Single",
    want: ["sent 2.0.0 <alice@here.test> delivered to maildir"],
    why: "one user gets it at once; case does not count",
  },
  { to: "ext", want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"], why: "one address" },
  {
    to: "twice",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test y@far.test"],
    why: "aliases of aliases, each address once",
  },
  {
    to: "mixed",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to alice@here.test x@far.test"],
    why: "a user beside an address has a status of his own",
  },
  {
    to: "locals",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to alice@here.test bob@here.test"],
    why: "two users, too",
  },
  { to: "alice2", want: ["sent 2.0.0 <alice@here.test> delivered to maildir"], why: "a backslash" },
  {
    to: "both",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to \\alice@here.test \\bob@here.test"],
    why: "two of them stay what they are",
  },
  { to: "\\alice", want: ["sent 2.0.0 delivered to maildir"], why: "which means the mailbox when they come round" },
  {
    to: "self",
    want: ['bounced 5.1.1 unknown user: "self"', "sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"],
    why: "an alias that names itself means the user",
  },
  {
    to: "owned",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from owner-owned@here.test to x@far.test y@far.test"],
    why: "the owner gets what comes back",
  },
  {
    to: "owned",
    set: { expand_owner_alias: "yes" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from boss@far.test to x@far.test y@far.test"],
    why: "expand_owner_alias",
  },
  {
    to: "owned",
    set: { owner_request_special: "no" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test y@far.test"],
    why: "owner_request_special = no",
  },
  {
    to: "around",
    want: [
      "sent 2.0.0 forwarded as Q1",
      "sent 2.0.0 forwarded as Q2",
      "Q1 from owner-owned@here.test to x@far.test y@far.test",
      "Q2 from s@from.test to z@far.test",
    ],
    why: "a list inside an alias keeps its owner",
  },
  {
    to: "solo",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from owner-solo@here.test to bob@here.test"],
    why: "a list of one user has an owner, too",
  },
  { to: "loopa", want: ["bounced 5.4.6 alias database loop for loopa"], why: "a circle" },
  {
    to: "half",
    want: [
      "bounced 5.4.6 <loopa@here.test> alias database loop for loopa",
      "sent 2.0.0 forwarded as Q1",
      "Q1 from s@from.test to x@far.test",
    ],
    why: "beside an address that is none",
  },
  {
    to: "half",
    set: { soft_bounce: "yes" },
    want: ["bounced 5.4.6 <loopa@here.test> alias database loop for loopa"],
    why: "with soft_bounce nothing is sent while something fails",
  },
  { to: "command", want: ["bounced 5.7.1 mail to command is restricted"], why: "a command" },
  { to: "file", want: ["bounced 5.7.1 mail to file is restricted"], why: "a file" },
  { to: "null", want: ["sent 2.0.0 delivered to file: /dev/null"], why: "a file that is none" },
  {
    to: "nullmore",
    want: [
      "sent 2.0.0 forwarded as Q1",
      "sent 2.0.0 delivered to file: /dev/null",
      "Q1 from s@from.test to x@far.test",
    ],
    why: "beside an address",
  },
  { to: "broken", want: ["bounced 5.1.3 bad recipient address syntax: @far.test"], why: "half an address" },
  {
    to: "some",
    want: [
      "bounced 5.7.1 mail to command is restricted",
      "sent 2.0.0 forwarded as Q1",
      "Q1 from s@from.test to x@far.test",
    ],
    why: "one bad part does not stop the others",
  },
  { to: "nobody", want: ['bounced 5.1.1 <ghost@here.test> unknown user: "ghost"'], why: "an alias to no user" },
  { to: "ext+full", want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to y@far.test"], why: "an extension" },
  {
    to: "ext+more",
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"],
    why: "an extension that no alias names",
  },
  {
    to: "ext+more",
    set: { propagate_unmatched_extensions: "alias" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x+more@far.test"],
    why: "goes along where it is to",
  },
  { to: "o'neil", want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test"], why: "any name" },
  {
    to: "virtual",
    set: { virtual_alias_maps: "inline:{ {list@virtual.test = v@far.test w@far.test} }" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to v@far.test w@far.test"],
    why: "virtual aliases behind",
  },
  {
    to: "virtual",
    set: { virtual_alias_maps: "fail:down", virtual_alias_domains: "" },
    want: ["deferred 4.3.0 table lookup problem"],
    why: "virtual aliases that cannot be asked",
  },
  { to: "alice", set: { alias_maps: "fail:down" }, want: ["deferred 4.3.0 table lookup problem"], why: "aliases, too" },
];

function siteOf(t: { after(run: () => void): void }, options: SiteOptions): Site {
  const site = new Site({ users: ["alice", "bob"], ...options });
  t.after(() => site.remove());
  return site;
}

const FROM = { sender: "s@from.test" };

for (const c of CASES) {
  test(`alias ${c.why}: ${c.to}`, async (t) => {
    const site = siteOf(t, { settings: { alias_maps: `inline:{${ALIASES} }`, ...c.set } });
    assert.deepEqual(told(await site.deliver(`${c.to}@here.test`, FROM)), c.want);
  });
}

test("forwarded mail has a Received header and the address that it was for", async (t) => {
  const site = siteOf(t, { settings: { alias_maps: `inline:{${ALIASES} }`, mail_name: "Postern" } });
  const { forwards } = await site.deliver("Twice+x@here.test", { ...FROM, original: "old@here.test" });
  const [message] = forwards ?? [];
  const [received, id, delivered, end] = Buffer.from(message?.head ?? [])
    .toString()
    .split("\r\n");
  assert.deepEqual(
    [received, delivered, end],
    ["Received: by mail.example.org (Postern)", "Delivered-To: twice+x@here.test", ""],
  );
  assert.match(id ?? "", /^\tid Q1; \w{3}, \d+ \w{3} \d{4} /);
  assert.equal(message?.messageId, "<m@x.test>");
  assert.deepEqual([...new Set(message?.recipients.map(({ original }) => original))], ["old@here.test"]);
  assert.equal(message?.envelope.origin.clientAddress, "192.0.2.1", "it still comes from there");
});

test("REQ-06: what aliases forward keeps REQUIRETLS and TLS-Required: No, behind a list's owner, too", async (t) => {
  const site = siteOf(t, { settings: { alias_maps: `inline:{${ALIASES} }` } });
  const wishes: readonly RequestOptions["asks"][] = [{ requireTls: true }, { tlsOptional: true }];
  for (const asks of wishes) {
    for (const [to, count] of [
      ["twice", 1],
      ["around", 2],
    ] as const) {
      const { forwards = [] } = await site.deliver(`${to}@here.test`, { ...FROM, asks });
      assert.equal(forwards.length, count);
      for (const { envelope } of forwards) {
        assert.deepEqual([envelope.requireTls, envelope.tlsOptional], [asks?.requireTls, asks?.tlsOptional]);
      }
    }
  }
});

test("a recipient whom the mail was delivered to before gets it no more", async (t) => {
  const site = siteOf(t, { settings: { alias_maps: "inline:{ {loop = x@far.test} }" } });
  assert.deepEqual(told(await site.deliver("Loop@here.test")), [
    "bounced 5.4.6 mail forwarding loop for Loop@here.test",
  ]);
});

test("mail that has been forwarded without end comes back", async (t) => {
  const site = siteOf(t, {
    settings: { alias_maps: `inline:{${ALIASES} }`, hopcount_limit: "3", luser_relay: "ghost2" },
  });
  const through = (hops: number) => ({ ...FROM, message: `${"Received: by x\r\n".repeat(hops)}\r\nx\r\n` });
  const want = ["bounced 5.4.6 too many hops: mail forwarding loop"];
  assert.deepEqual(told(await site.deliver("ext@here.test", through(3))), want);
  assert.deepEqual(told(await site.deliver("ghost@here.test", through(3))), want, "luser_relay, too");
  assert.equal((await site.deliver("ext@here.test", through(2))).forwards?.length, 1);
  assert.equal((await site.deliver("single@here.test", through(3))).text, "delivered to maildir", "here it ends");
});

const REPORTS: readonly { to: string; notify: RecipientDsn["notify"]; want: readonly unknown[]; why: string }[] = [
  { to: "ext", notify: ["SUCCESS"], want: ["passedOn", ["SUCCESS"], "e"], why: "DSN-28: one address, all goes along" },
  { to: "twice", notify: ["SUCCESS", "FAILURE"], want: ["expanded", ["FAILURE"], "e"], why: "DSN-29: several" },
  { to: "twice", notify: ["SUCCESS"], want: ["expanded", ["NEVER"], "e"], why: "nothing is left to tell" },
  { to: "twice", notify: ["FAILURE"], want: ["expanded", ["FAILURE"], "e"], why: "success was not asked" },
  {
    to: "owned",
    notify: ["SUCCESS"],
    want: [undefined, undefined, undefined],
    why: "DSN-30: a list reports delivery itself, RFC 3461 §5.2.7.1",
  },
];
for (const c of REPORTS) {
  test(`alias and delivery reports: ${c.why}`, async (t) => {
    const site = siteOf(t, { settings: { alias_maps: `inline:{${ALIASES} }` } });
    const outcome = await site.deliver(`${c.to}@here.test`, { ...FROM, dsn: { notify: c.notify } });
    const [message] = outcome.forwards ?? [];
    const [first] = message?.recipients ?? [];
    assert.deepEqual([outcome.dsnAction, first?.dsn?.notify, message?.envelope.dsn?.envid], c.want);
  });
}

const LISTS: readonly {
  name: string;
  text?: string;
  mode?: number;
  want: readonly string[];
  log?: RegExp;
  why: string;
}[] = [
  {
    ...{ name: "list", text: "x@far.test\n# no@far.test\ny@far.test, alice\n" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to x@far.test y@far.test alice@here.test"],
    why: "addresses and comments",
  },
  {
    ...{ name: "one", text: "alice\n" },
    want: ["sent 2.0.0 forwarded as Q1", "Q1 from s@from.test to alice@here.test"],
    why: "a single user is forwarded to all the same",
  },
  { name: "empty", text: "", want: ['sent 2.0.0 "list" leads to nobody'], why: "an empty list is said to be one" },
  {
    ...{ name: "cmd", text: "|/bin/true\n/tmp/x\n" },
    want: ["bounced 5.7.1 mail to command is restricted", "bounced 5.7.1 mail to file is restricted"],
    why: "commands and files",
  },
  {
    ...{ name: "none", want: ["deferred 4.3.5 mail system configuration error"] },
    log: /^ABCDEF: unable to lookup :include: file \S+: No such file or directory$/,
    why: "no file",
  },
  {
    ...{ name: "open", text: "x@far.test\n", mode: 0o666, want: ["deferred 4.3.5 mail system configuration error"] },
    log: /^ABCDEF: :include: file \S+ is world writable$/,
    why: "a file that everybody can write",
  },
];
for (const c of LISTS) {
  test(`:include: ${c.why}`, async (t) => {
    const directory = siteOf(t, {}).root;
    const path = join(directory, c.name);
    if (c.text !== undefined) {
      writeFileSync(path, c.text);
      chmodSync(path, c.mode ?? 0o644);
    }
    const site = siteOf(t, { settings: { alias_maps: `inline:{ {list = :include:${path}} }` } });
    assert.deepEqual(told(await site.deliver("list@here.test", FROM)), c.want);
    assert.match(site.warnings.join("\n"), c.log ?? /^$/);
  });
}

const BAD_INCLUDES = [
  { value: ":include:list", log: "ABCDEF: :include:list uses a relative path", why: "a relative name" },
  { value: ":include:/", log: "ABCDEF: :include: file / is not a regular file", why: "a directory" },
];
for (const { value, log, why } of BAD_INCLUDES) {
  test(`:include: ${why}`, async (t) => {
    const site = siteOf(t, { settings: { alias_maps: `inline:{ {list = ${value}} }` } });
    assert.deepEqual(told(await site.deliver("list@here.test")), ["deferred 4.3.5 mail system configuration error"]);
    assert.deepEqual(site.warnings, [log]);
  });
}

test(":include: of a file that includes itself ends", async (t) => {
  const path = join(siteOf(t, {}).root, "round");
  writeFileSync(path, `x@far.test\n:include:${path}\n`);
  const site = siteOf(t, { settings: { alias_maps: `inline:{ {list = :include:${path}} }` } });
  assert.deepEqual(told(await site.deliver("list@here.test", FROM)), [
    `bounced 5.4.6 mail forwarding loop for ${path}`,
    "sent 2.0.0 forwarded as Q1",
    "Q1 from s@from.test to x@far.test",
  ]);
});

test("an alias that branches at each of many levels is followed once", async (t) => {
  const levels = Array.from({ length: 60 }, (_, i) => `{a${i} = a${i + 1}, b${i}}, {b${i} = a${i + 1}}`).join(", ");
  const site = siteOf(t, { settings: { alias_maps: `inline:{ ${levels}, {a60 = x@far.test} }` } });
  assert.deepEqual(told(await site.deliver("a0@here.test", FROM)), [
    "sent 2.0.0 forwarded as Q1",
    "Q1 from s@from.test to x@far.test",
  ]);
});

test("the maildir of a user behind an alias says for whom the mail was", async (t) => {
  const site = siteOf(t, { settings: { alias_maps: "inline:{ {boss = alice} }" } });
  await site.deliver("boss@here.test", { ...FROM, original: "chief@here.test" });
  const directory = join(site.home("alice"), "Maildir/new");
  const [name = ""] = readdirSync(directory);
  const lines = readFileSync(join(directory, name), "utf8").split("\n").slice(0, 3);
  assert.deepEqual(lines, [
    "Return-Path: <s@from.test>",
    "X-Original-To: chief@here.test",
    "Delivered-To: boss@here.test",
  ]);
});
