/** local/local.test.ts: the delivery agents, with real directories. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { CrlfToLf } from "./crlf-to-lf.ts";
import { createDiscardAgent } from "./discard.ts";
import { createErrorAgent } from "./error.ts";
import { MESSAGE, never, requestFor, Site, type SiteOptions } from "./testdata/site.ts";

const root = await mkdtemp(join(tmpdir(), "local-agent-"));
after(() => rm(root, { recursive: true, force: true }));

const sites: Site[] = [];
after(() => {
  for (const site of sites) site.remove();
});

function agent(settings: Readonly<Record<string, string>>, more: Omit<SiteOptions, "settings"> = {}) {
  const site = new Site({ settings, ...more });
  sites.push(site);
  return site.agent;
}

test("local delivers into new/, with its headers on top and LF line ends (TRC-07)", async () => {
  const local = agent({ postern_local_maildir: `${root}/a/$user/` });
  const [outcome] = await local.deliver(requestFor(["Alice+ext@here.test"]), never);
  assert.equal(outcome?.kind, "sent");
  assert.deepEqual([outcome?.dsn, outcome?.text, outcome?.relay], ["2.0.0", "delivered to maildir", "local"]);
  assert.deepEqual((await readdir(`${root}/a/alice`)).sort(), ["cur", "new", "tmp"]);
  assert.deepEqual(await readdir(`${root}/a/alice/tmp`), []);
  const [name = ""] = await readdir(`${root}/a/alice/new`);
  assert.match(name, /^\d+\.M\d+P42Q1\.mail\.example\.org$/);
  assert.equal(
    await readFile(`${root}/a/alice/new/${name}`, "utf8"),
    'Return-Path: <"two words"@x.test>\nX-Original-To: Alice+ext@here.test\nDelivered-To: Alice+ext@here.test\n' +
      MESSAGE.replaceAll("\r\n", "\n"),
  );
});

test("local delivers to the home directory by default, and to the spool when home_mailbox is empty", async () => {
  const site = new Site();
  sites.push(site);
  assert.equal((await site.deliver("alice")).kind, "sent");
  assert.equal((await readdir(`${site.home("alice")}/Maildir/new`)).length, 1);
  const spool = agent({ home_mailbox: "", mail_spool_directory: `${root}/spool/` });
  assert.equal((await spool.deliver(requestFor(["alice"]), never))[0]?.kind, "sent");
  assert.equal((await readdir(`${root}/spool/alice/new`)).length, 1);
});

const FAILURES = [
  { to: "bob", set: {}, want: ["bounced", "5.1.1", 'unknown user: "bob"'], why: "not in passwd" },
  {
    to: "../alice",
    set: { postern_local_maildir: `${root}/b/$user/` },
    want: ["bounced", "5.1.1", 'unknown user: "../alice"'],
    why: "path in a name",
  },
  {
    to: "..",
    set: { postern_local_maildir: `${root}/b/$user/` },
    want: ["bounced", "5.1.1", 'unknown user: ".."'],
    why: "parent directory",
  },
  {
    to: "a\nb",
    set: { postern_local_maildir: `${root}/b/$user/` },
    want: ["bounced", "5.1.1", 'unknown user: "a?b"'],
    why: "line end",
  },
  {
    to: "x@../..",
    set: { postern_local_maildir: `${root}/b/$domain/$user/` },
    want: ["bounced", "5.1.1", 'unknown user: "x"'],
    why: "path in a domain",
  },
  {
    to: "loop@here.test",
    set: { postern_local_maildir: `${root}/b/$user/` },
    want: ["bounced", "5.4.6", "mail forwarding loop for loop@here.test"],
    why: "loop (TRC-11)",
  },
  {
    to: "alice",
    set: { home_mailbox: "mbox" },
    want: ["deferred", "4.3.5", "mailbox format is not supported; the name of a maildir ends in /"],
    why: "mbox",
  },
  {
    to: "alice",
    set: { postern_local_maildir: "relative/" },
    want: ["deferred", "4.3.5", "mailbox path is not absolute"],
    why: "relative",
  },
];

for (const c of FAILURES) {
  test(`local refuses: ${c.why}`, async () => {
    const [outcome] = await agent(c.set).deliver(requestFor([c.to]), never);
    assert.deepEqual([outcome?.kind, outcome?.dsn, outcome?.text], c.want);
  });
}

test("local defers when the disk refuses, and goes on with the next recipient", async () => {
  await writeFile(`${root}/file`, "");
  const local = agent({ postern_local_maildir: `${root}/$user/` });
  const outcomes = await local.deliver(requestFor(["file", "fine"]), never);
  assert.deepEqual(
    outcomes.map((o) => [o.recipientId, o.kind, o.dsn]),
    [
      [1, "deferred", "4.3.0"],
      [2, "sent", "2.0.0"],
    ],
  );
  assert.match(outcomes[0]?.text ?? "", /^maildir delivery failed: \w+: ENOTDIR: not a directory$/);
});

test("local asks the recipient tables if it has them", async () => {
  const settings = { postern_local_maildir: `${root}/c/$user/` };
  const lists = { local_recipient_maps: "inline:{ok=1}" };
  const outcomes = await agent({ ...settings, ...lists }).deliver(requestFor(["none", "ok"]), never);
  const broken = await agent({ ...settings, local_recipient_maps: "fail:down" }).deliver(requestFor(["ok"]), never);
  assert.deepEqual(
    [...outcomes, ...broken].map((o) => `${o.kind} ${o.dsn}`),
    ["bounced 5.1.1", "sent 2.0.0", "deferred 4.3.0"],
  );
});

test("local leaves nothing behind when it is interrupted", async () => {
  const abort = new AbortController();
  abort.abort(new Error("Stopping")); // as the scheduler says it
  const [outcome] = await agent({ postern_local_maildir: `${root}/d/$user/` }).deliver(requestFor(["u"]), abort.signal);
  assert.deepEqual([outcome?.kind, outcome?.text], ["deferred", "delivery was interrupted"]);
  assert.deepEqual([await readdir(`${root}/d/u/tmp`), await readdir(`${root}/d/u/new`)], [[], []]);
});

const REASONS = [
  { nexthop: "5.1.1 User unknown", soft: false, want: ["bounced", "5.1.1", "User unknown"] },
  { nexthop: "5.1.1 User unknown", soft: true, want: ["deferred", "4.0.0", "User unknown"] },
  { nexthop: "4.2.0 later", soft: true, want: ["deferred", "4.2.0", "later"] },
  { nexthop: "4.2.0 soft", soft: false, want: ["bounced", "5.0.0", "soft"] },
  { nexthop: "2.1.1 x", soft: false, want: ["bounced", "5.0.0", "x"] },
  { nexthop: "5.1.1  two  blanks", soft: false, want: ["bounced", "5.1.1", "two  blanks"] },
  { nexthop: "5.1.1text", soft: false, want: ["bounced", "5.0.0", "5.1.1text"] },
  { nexthop: "[5.1.1] x", soft: false, want: ["bounced", "5.0.0", "[5.1.1] x"] },
  { nexthop: "mail for x is bad", soft: false, want: ["bounced", "5.0.0", "mail for x is bad"] },
  { nexthop: "later\r\nmate", soft: true, want: ["deferred", "4.0.0", "later??mate"] },
  { nexthop: "", soft: false, want: ["bounced", "5.0.0", "no reason given"] },
];

for (const c of REASONS) {
  test(`error agent ${c.soft ? "soft" : "hard"}: ${JSON.stringify(c.nexthop)}`, async () => {
    const outcomes = await createErrorAgent(c).deliver(requestFor(["a", "b"], { nexthop: c.nexthop }), never);
    assert.deepEqual(
      outcomes.map((o) => [o.kind, o.dsn, o.text]),
      [c.want, c.want],
    );
  });
}

const DISCARDED = [
  { nexthop: "some words", want: ["2.0.0", "some words"] },
  { nexthop: "2.1.1 dropped", want: ["2.1.1", "dropped"] },
  { nexthop: "5.1.1 dropped", want: ["2.0.0", "dropped"] },
  { nexthop: "i.test", want: ["2.0.0", "i.test"] },
  { nexthop: "", want: ["2.0.0", "discarded"] },
];
for (const { nexthop, want } of DISCARDED) {
  test(`discard agent: ${JSON.stringify(nexthop)}`, async () => {
    const [outcome] = await createDiscardAgent().deliver(requestFor(["a"], { nexthop }), never);
    assert.deepEqual([outcome?.dsn, outcome?.text], want);
  });
}

test("discard agent sends everything nowhere", async () => {
  const outcomes = await createDiscardAgent().deliver(requestFor(["a", "b"], { nexthop: "silently" }), never);
  assert.deepEqual(
    outcomes.map((o) => [o.recipientId, o.kind, o.dsn, o.text, o.relay]),
    [
      [1, "sent", "2.0.0", "silently", "none"],
      [2, "sent", "2.0.0", "silently", "none"],
    ],
  );
});

test("CrlfToLf gives the same bytes for every chunking", () => {
  const text = fc.string({ unit: fc.constantFrom("\r", "\n", "a", "\r\n"), maxLength: 30 });
  fc.assert(
    fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (message, sizes) => {
      const converter = new CrlfToLf();
      const bytes = Buffer.from(message);
      const out: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes.next().value ?? 1;
        out.push(converter.convert(bytes.subarray(at, at + size)));
        at += size;
      }
      out.push(converter.end());
      assert.equal(Buffer.concat(out).toString(), message.replaceAll("\r\n", "\n"));
    }),
  );
});
