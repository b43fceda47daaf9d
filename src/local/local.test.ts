/** local/local.test.ts: the delivery agents, with real directories. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { type Address, asAddress } from "../mail/address.ts";
import type { DeliveryRequest } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { TableError } from "../tables/table.ts";
import { CrlfToLf } from "./crlf-to-lf.ts";
import { createDiscardAgent } from "./discard.ts";
import { createErrorAgent } from "./error.ts";
import { createLocalAgent, type LocalAgentOptions } from "./local.ts";

const MESSAGE = "From: a@x.test\r\nDelivered-To: loop@mail.example.org\r\n\r\nline\r\n\r\n..dots\r\nlone\rcr\r\n";
const never = new AbortController().signal;

const root = await mkdtemp(join(tmpdir(), "local-agent-"));
after(() => rm(root, { recursive: true, force: true }));

function request(addresses: readonly string[], options: { nexthop?: string; message?: string } = {}): DeliveryRequest {
  const bytes = Buffer.from(options.message ?? MESSAGE);
  return {
    envelope: {
      queueId: "ABCDEF" as QueueId,
      sender: asAddress("two words@x.test"),
      arrivalMs: 0,
      smtputf8: false,
      body: "7BIT",
      origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" },
    },
    transport: "local",
    nexthop: options.nexthop ?? "",
    recipients: addresses.map((text, i) => ({ id: i + 1, address: asAddress(text), original: asAddress(text) })),
    content: {
      sizeBytes: bytes.length,
      *chunks() {
        for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
      },
    },
    activeMs: 0,
  };
}

function agent(settings: Readonly<Record<string, string>>, more: Partial<LocalAgentOptions> = {}) {
  const params = parametersOf({ recipient_delimiter: "+", ...settings });
  const passwd = () => `alice:x:1:1::${root}/home-alice:/bin/sh\n`;
  return createLocalAgent({ params, clock: systemClock, hostname: "mail.example.org", pid: 42, passwd, ...more });
}

const ALIASES: { to: string; want: string; why: string }[] = [
  { to: "Postmaster@mail.example.org", want: "deferred 4.3.5", why: "an alias waits: RCPT took it" },
  { to: "list+x@mail.example.org", want: "deferred 4.3.5", why: "with an extension that no alias names" },
  { to: "o'neil@mail.example.org", want: "deferred 4.3.5", why: "a name that could not be a maildir's" },
  { to: "alice@mail.example.org", want: "sent 2.0.0", why: "a user" },
  { to: "nobody@mail.example.org", want: "bounced 5.1.1", why: "neither" },
];
for (const c of ALIASES) {
  test(`local and alias_maps: ${c.why}`, async () => {
    const entries = new Map([
      ["postmaster", "root"],
      ["list", "a@x.test"],
      ["o'neil", "b@x.test"],
    ]);
    const aliases = [{ ref: "hash:/a", partialKeys: true, get: (key: string) => entries.get(key) }];
    const [outcome] = await agent({ home_mailbox: "aliased/" }, { aliases }).deliver(request([c.to]), never);
    assert.equal(`${outcome?.kind} ${outcome?.dsn}`, c.want);
  });
}

test("local and alias_maps: a table that cannot answer makes mail wait", async () => {
  const aliases = [{ ref: "hash:/a", partialKeys: true, get: () => assert.fail(new TableError("gone")) }];
  const [outcome] = await agent({ home_mailbox: "m/" }, { aliases }).deliver(
    request(["alice@mail.example.org"]),
    never,
  );
  assert.deepEqual([outcome?.kind, outcome?.text], ["deferred", "table lookup problem"]);
});

test("local delivers into new/, with its headers on top and LF line ends", async () => {
  const local = agent({ postern_local_maildir: `${root}/a/$user/` });
  const [outcome] = await local.deliver(request(["Alice+ext@mail.example.org"]), never);
  assert.equal(outcome?.kind, "sent");
  assert.deepEqual([outcome?.dsn, outcome?.text, outcome?.relay], ["2.0.0", "delivered to maildir", "local"]);
  assert.deepEqual((await readdir(`${root}/a/alice`)).sort(), ["cur", "new", "tmp"]);
  assert.deepEqual(await readdir(`${root}/a/alice/tmp`), []);
  const [name = ""] = await readdir(`${root}/a/alice/new`);
  assert.match(name, /^\d+\.M\d+P42Q1\.mail\.example\.org$/);
  assert.equal(
    await readFile(`${root}/a/alice/new/${name}`, "utf8"),
    'Return-Path: <"two words"@x.test>\nX-Original-To: Alice+ext@mail.example.org\nDelivered-To: Alice+ext@mail.example.org\n' +
      "From: a@x.test\nDelivered-To: loop@mail.example.org\n\nline\n\n..dots\nlone\rcr\n",
  );
});

test("local delivers to the home directory by default, and to the spool when home_mailbox is empty", async () => {
  assert.equal((await agent({}).deliver(request(["alice"]), never))[0]?.kind, "sent");
  assert.equal((await readdir(`${root}/home-alice/Maildir/new`)).length, 1);
  const spool = agent({ home_mailbox: "", mail_spool_directory: `${root}/spool/` });
  assert.equal((await spool.deliver(request(["alice"]), never))[0]?.kind, "sent");
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
    to: "loop@mail.example.org",
    set: { postern_local_maildir: `${root}/b/$user/` },
    want: ["bounced", "5.4.6", "mail forwarding loop for loop@mail.example.org"],
    why: "loop",
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
    const [outcome] = await agent(c.set).deliver(request([c.to]), never);
    assert.deepEqual([outcome?.kind, outcome?.dsn, outcome?.text], c.want);
  });
}

test("local defers when the disk refuses, and goes on with the next recipient", async () => {
  await writeFile(`${root}/file`, "");
  const local = agent({ postern_local_maildir: `${root}/$user/` });
  const outcomes = await local.deliver(request(["file", "fine"]), never);
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
  const unlistedIn = (address: Address) => {
    if (address === "broken") throw new TableError("down");
    return address === "none" ? "local recipient" : undefined;
  };
  const outcomes = await agent(settings, { resolver: { unlistedIn } }).deliver(
    request(["none", "broken", "ok"]),
    never,
  );
  assert.deepEqual(
    outcomes.map((o) => `${o.kind} ${o.dsn}`),
    ["bounced 5.1.1", "deferred 4.3.0", "sent 2.0.0"],
  );
});

test("local leaves nothing behind when it is interrupted", async () => {
  const abort = new AbortController();
  abort.abort();
  const [outcome] = await agent({ postern_local_maildir: `${root}/d/$user/` }).deliver(request(["u"]), abort.signal);
  assert.deepEqual([outcome?.kind, outcome?.text], ["deferred", "delivery was interrupted"]);
  assert.deepEqual([await readdir(`${root}/d/u/tmp`), await readdir(`${root}/d/u/new`)], [[], []]);
});

const REASONS = [
  { nexthop: "5.1.1 User unknown", soft: false, want: ["bounced", "5.1.1", "User unknown"] },
  { nexthop: "5.1.1 User unknown", soft: true, want: ["deferred", "4.1.1", "User unknown"] },
  { nexthop: "mail for x is bad", soft: false, want: ["bounced", "5.0.0", "mail for x is bad"] },
  { nexthop: "later\r\nmate", soft: true, want: ["deferred", "4.0.0", "later??mate"] },
  { nexthop: "", soft: false, want: ["bounced", "5.0.0", "no reason given"] },
];

for (const c of REASONS) {
  test(`error agent ${c.soft ? "soft" : "hard"}: ${JSON.stringify(c.nexthop)}`, async () => {
    const outcomes = await createErrorAgent(c).deliver(request(["a", "b"], { nexthop: c.nexthop }), never);
    assert.deepEqual(
      outcomes.map((o) => [o.kind, o.dsn, o.text]),
      [c.want, c.want],
    );
  });
}

test("discard agent sends everything nowhere", async () => {
  const outcomes = await createDiscardAgent().deliver(request(["a", "b"], { nexthop: "silently" }), never);
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
