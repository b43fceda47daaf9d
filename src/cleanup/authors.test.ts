/** Whose names mail of a login may carry: a message through cleanup, for each grade. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { createSigner } from "../dkim/create.ts";
import { generateKey } from "../dkim/key.ts";
import { Log } from "../log/log.ts";
import { asAddress } from "../mail/address.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { replyText } from "../mail/reply.ts";
import type { NewMessage, StoredBody } from "../queue/store.ts";
import { createResolver } from "../rewrite/create.ts";
import { createLoginOwners } from "../rewrite/login-owners.ts";
import { createMappings } from "../rewrite/mappings.ts";
import { createTableOpener } from "../tables/open.ts";
import { TableError } from "../tables/table.ts";
import { createAuthors } from "./authors.ts";
import type { MessageOptions } from "./cleanup.ts";
import { createCleanup } from "./create.ts";
import { turnsDuring } from "./testdata/turns.ts";

const MAPS = `inline:{
  {alice@example.org = alice}, {sales@example.org = bob, alice}, {carol@example.org = carol},
  {@alice.test = alice}, {gr\u00fc\u00dfe@example.org = alice}, {nobody@example.org = }, {dave = dave} }`;

interface Sent {
  readonly login?: string | undefined;
  readonly sender?: string;
  readonly settings?: Record<string, string>;
  readonly files?: Readonly<Record<string, string>>;
}

function optionsOf(login: string, sender: string): MessageOptions {
  const queueId = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  const client = { clientName: "unknown", clientAddress: "192.0.2.7", helo: "laptop", protocol: "ESMTP" };
  const to = asAddress("b@x.test");
  return {
    envelope: {
      ...{ queueId, sender: asAddress(sender), arrivalMs: 1_795_500_000_123, smtputf8: false, body: "7BIT" },
      origin: { ...client, service: "submission", ...(login !== "" && { saslUsername: login, saslMethod: "PLAIN" }) },
    },
    ...{ recipients: [{ address: to, original: to }], tls: undefined, prepend: [], role: "submission" },
  };
}

async function send(header: string, { login = "alice", sender = "alice@example.org", settings, files }: Sent = {}) {
  const params = parametersOf({
    ...{ myhostname: "mail.example.org", mydomain: "example.org", myorigin: "example.org" },
    ...{
      mydestination: "example.org",
      local_recipient_maps: "",
      recipient_delimiter: "+",
      smtpd_sender_login_maps: MAPS,
      ...settings,
    },
  });
  const lines: string[] = [];
  const log = new Log({ sink: (entry) => void lines.push(String(entry.text)), now: () => 0, tag: "t", id: 1 });
  const source = {
    read(path: string): Uint8Array {
      const text = files?.[path];
      if (text === undefined) throw new TableError(`open ${path}: No such file or directory`);
      return Buffer.from(text);
    },
  };
  const tables = createTableOpener({ files: source, log, configDirectory: "/etc/postern" });
  const resolver = createResolver(params, { tables, ownAddresses: [] });
  const rewrite = resolver.rewrite.bind(resolver);
  const appended: NewMessage[] = [];
  const cleanup = createCleanup({
    ...{ params, log },
    authors: createAuthors({ params, owners: createLoginOwners({ params, tables, resolver }), rewrite }),
    signer: createSigner(params, { files: source, clock: systemClock, log }),
    mapping: { mappings: createMappings(params, { tables, resolver }), rewrite },
    store: {
      beginBody: () => ({
        sizeBytes: 0,
        write: () => undefined,
        finish: async (): Promise<StoredBody> => ({ kind: "inline", bytes: Buffer.alloc(0) }),
        abort: async () => undefined,
      }),
      readBody: () => [],
      append: async (message: NewMessage) => void appended.push(message),
    },
    laneOf: () => "x:",
    arrived: () => undefined,
    poke: () => undefined,
    dueAt: () => undefined,
  });
  const message = cleanup.begin(optionsOf(login, sender));
  await message.write(Buffer.from(`${header}Subject: hi\r\n\r\nbody\r\n`));
  const result = await message.finish({ hold: false, discard: false });
  const stored = appended[0]?.header.toString() ?? "";
  const fields = stored.replaceAll(/\r\n[ \t]+/g, " ").split("\r\n");
  return {
    reply: result.kind === "refused" ? replyText(result.reply) : "queued",
    authors: fields.filter((field) => /^(?:resent-from|from|reply-to|x-original[\w-]*)\s*:/i.test(field)),
    signedBy: fields.flatMap((field) => /^DKIM-Signature:.*\bd=([\w.-]+)/.exec(field)?.[1] ?? []),
    changes: lines.find((line) => line.includes(": changes: ")) ?? "",
    log: lines.filter((line) => !/message-id=|: changes: |: check /.test(line)),
  };
}

const notOwned = (address: string, login = "alice") =>
  `550 5.7.1 <${address}>: Sender address rejected: not owned by user ${login}`;

/** `reject` and `rewrite` of the same header. undefined: it is queued as it is. */
const AUTHORS = [
  { from: ["From: alice@example.org"], why: "the login's own address" },
  { from: ["From: Al <ALICE@Example.ORG>"], why: "in other letters" },
  { from: ["From: alice+lists@example.org"], why: "its extension is stripped" },
  { from: ["From: sales@example.org"], why: "a group: several logins own it" },
  { from: ["From: anything@alice.test"], why: "a catch-all, @domain" },
  { from: ["From: dave"], login: "dave", why: "without domain, which is completed" },
  { from: ["From: Gr\u00fc\u00dfe <gr\u00fc\u00dfe@example.org>"], why: "a UTF-8 address" },
  { from: ["From: alice@example.org, sales@example.org"], why: "two, both owned" },
  { from: ["From: friends: alice@example.org;"], why: "inside a group of RFC 5322" },
  { from: ["From: ceo@example.org <alice@example.org>"], why: "an address as display name is no address" },
  { from: [], why: "no From: it is made of the sender, who is owned" },
  { from: [], sender: "", why: "no From and the null sender" },
  { from: ["From: carol@example.org"], bad: "carol@example.org", why: "another login's" },
  { from: ["From: ceo@elsewhere.test"], bad: "ceo@elsewhere.test", why: "nobody's" },
  { from: ["From: nobody@example.org"], bad: "nobody@example.org", why: "an entry without logins owns nothing" },
  { from: ["From: alice@example.org, carol@example.org"], bad: "carol@example.org", why: "every address counts" },
  { from: ["From: <alice@example.org> <carol@example.org>"], bad: "carol@example.org", why: "also in bad syntax" },
  { from: ["From: alice@example.org", "From: carol@example.org"], bad: "carol@example.org", why: "of every From" },
  { from: ["From : carol@example.org"], bad: "carol@example.org", why: "blanks in front of the colon" },
  { from: ["From:\r\n carol@example.org"], bad: "carol@example.org", why: "folded" },
  { from: ["From: (alice@example.org) carol@example.org"], bad: "carol@example.org", why: "behind a comment" },
  { from: ["From: =?utf-8?Q?ceo=40example=2Eorg?="], bad: "", why: "no address that can be read" },
  { from: ["From:"], bad: "", why: "empty" },
  { from: [], sender: "carol@example.org", bad: "carol@example.org", why: "no From, and a sender not owned" },
  { from: ["From: carol@example.org"], sender: "", bad: "carol@example.org", why: "the null sender frees nobody" },
  {
    from: ["From: alice@example.org"],
    login: "ALICE",
    bad: "alice@example.org",
    why: "logins are compared as they are",
  },
  {
    from: ["From: alice@example.org", "Resent-From: carol@example.org"],
    bad: "carol@example.org",
    why: "Resent-From too",
  },
  {
    from: ["From: carol@example.org", "Resent-From: alice@example.org"],
    bad: "carol@example.org",
    why: "a Resent-From that is owned does not free From",
  },
];

const EXPLAINED = "explain: rule=main.cf:1 parameter=postern_header_from_login_mismatch grade=reject";

for (const { from, why, bad, login = "alice", ...rest } of AUTHORS) {
  const header = from.map((line) => `${line}\r\n`).join("");
  test(`SUB-24: postern_header_from_login_mismatch = reject: ${why}`, async () => {
    const settings = { postern_header_from_login_mismatch: "reject" };
    const { reply, log } = await send(header, { ...rest, login, settings });
    assert.equal(reply, bad === undefined ? "queued" : notOwned(bad, login));
    const { sender = "alice@example.org" } = rest as { sender?: string };
    const line = `reject: header From from unknown[192.0.2.7]: ${reply}; from=<${sender}> to=<b@x.test> proto=ESMTP helo=<laptop>`;
    assert.deepEqual(
      log.map((text) => text.replace(/^\w+: /, "")),
      bad === undefined ? [] : [line, EXPLAINED],
    );
  });
}

const REWRITTEN = [
  {
    from: "From: Boss <carol@example.org>\r\n",
    want: ["From: alice@example.org", "Reply-To: Boss <carol@example.org>"],
    why: "Reply-To keeps what was there",
  },
  {
    from: "From: carol@example.org\r\nReply-To: x@y.test\r\n",
    want: ["From: alice@example.org", "X-Original-From: carol@example.org", "Reply-To: x@y.test"],
    why: "unless there is one",
  },
  {
    from: "From: carol@example.org\r\nFrom: alice@example.org\r\n",
    want: ["From: alice@example.org", "Reply-To: carol@example.org"],
    why: "one From remains",
  },
  {
    from: "From: =?utf-8?Q?x?=\r\n",
    want: ["From: alice@example.org", "X-Original-From: =?utf-8?Q?x?="],
    why: "nobody can reply to what is no address",
  },
  {
    from: "From: sales@example.org\r\nResent-From: carol@example.org\r\n",
    want: ["From: sales@example.org", "Resent-From: alice@example.org", "X-Original-Resent-From: carol@example.org"],
    why: "Resent-From alone",
  },
  { from: "", sender: "carol@example.org", want: ["From: alice@example.org"], why: "none was there" },
  {
    from: "From: x@elsewhere.test\r\n",
    sender: "sales@example.org",
    want: ["From: sales@example.org", "Reply-To: x@elsewhere.test"],
    why: "the sender, if he is owned",
  },
  {
    from: "From: x@elsewhere.test\r\n",
    login: "scanner",
    sender: "",
    want: ["From: scanner@example.org", "Reply-To: x@elsewhere.test"],
    why: "a login that no table names has its own mailbox",
  },
  { from: "From: x@elsewhere.test\r\n", login: "carol\r\nX: y", sender: "", bad: true, why: "no line from a login" },
  { from: "From: x@elsewhere.test\r\n", login: "sales", sender: "", bad: true, why: "no mailbox of somebody else" },
];

for (const { from, why, want, bad, ...rest } of REWRITTEN) {
  test(`SUB-24: postern_header_from_login_mismatch = rewrite: ${why}`, async () => {
    const settings = { postern_header_from_login_mismatch: "rewrite" };
    const { reply, authors, log, changes } = await send(from, { ...rest, settings });
    if (!bad) assert.match(changes, /\(not owned by the login; postern_header_from_login_mismatch\)/);
    if (bad) assert.match(reply, /^550 5\.7\.1 <x@elsewhere\.test>: Sender address rejected/);
    else assert.equal(reply, "queued");
    assert.deepEqual(authors, want ?? []);
    assert.match(log[0] ?? "", bad ? /: reject: header From/ : /: replace: header From .* -- From becomes \S+; from=</);
  });
}

const GRADES = [
  { grade: "ignore", want: "queued", log: 0, why: "looks at nothing, as Postfix" },
  { grade: "warn", want: "queued", log: 1, why: "logs" },
  { grade: "reject", login: "", want: "queued", log: 0, why: "says nothing of clients without a login" },
  { grade: "warn", maps: "fail:down", want: "queued", log: 1, why: "lets mail go also when a table fails" },
  { grade: "reject", maps: "fail:down", want: "451", log: 1, why: "a failing table defers" },
  { grade: "rewrite", maps: "fail:down", want: "451", log: 1, why: "a failing table defers" },
  { grade: "reject", maps: "", want: "451", log: 1, why: "no table at all defers" },
  { grade: "reject", maps: "texthash:/empty", want: "451", log: 1, why: "an empty table defers" },
  { grade: "reject", maps: "static:alice", want: "queued", log: 0, why: "static: gives all to one" },
  { grade: "reject", maps: "regexp:/patterns", want: "queued", log: 0, why: "a regular expression" },
  { grade: "reject", maps: "regexp:/patterns", login: "bob", want: "550", log: 2, why: "that names somebody else" },
];

for (const { grade, maps, login = "alice", want, log: lines, why } of GRADES) {
  test(`SUB-24: ${grade} ${why} (${login || "nobody"}, ${maps ?? "maps"})`, async () => {
    const settings = {
      postern_header_from_login_mismatch: grade,
      ...(maps !== undefined && { smtpd_sender_login_maps: maps }),
    };
    const files = { "/empty": "# nobody yet\n", "/patterns": "/^carol@example\\.org$/ alice\n" };
    const { reply, log } = await send("From: carol@example.org\r\n", { login, settings, files });
    assert.ok(reply.startsWith(want), reply);
    assert.equal(log.length, lines, log.join("\n"));
  });
}

test("SUB-24: a From with ever more addresses asks the tables about a hundred of them", async () => {
  const many = Array.from({ length: 101 }, (_, i) => `u${i}@alice.test`).join(",\r\n ");
  const settings = { postern_header_from_login_mismatch: "reject" };
  assert.equal((await send(`From: ${many}\r\n`, { settings })).reply, notOwned("u100@alice.test"));
});

const KEYS = {
  "/etc/dkim/keys": "example.org s1 one.pem\nprovider.test s2 one.pem\nsub.example.org s3 one.pem\n",
  "/etc/dkim/one.pem": generateKey("ed25519-sha256"),
};

const SIGNERS = [
  { from: "alice@example.org", want: ["example.org"], why: "the domain of an owned From" },
  { from: "carol@example.org", want: [], why: "not for who does not own it" },
  { from: "alice@example.org, carol@example.org", want: [], why: "nor where one of two is not owned" },
  {
    from: "carol@example.org",
    login: "",
    want: ["example.org"],
    why: "who has not logged in is one of the site's programs",
  },
  { from: "carol@example.org", fallback: "provider.test", want: ["provider.test"], why: "the provider signs instead" },
  { from: "x@alice.test", fallback: "provider.test", want: ["provider.test"], why: "also where the domain has no key" },
  { from: "carol@example.org", fallback: "example.org", want: [], why: "a provider does not vouch for its own domain" },
  { from: "carol@sub.example.org", fallback: "example.org", want: [], why: "nor for one that DMARC aligns with it" },
  { from: "carol@example.org", require: "no", want: ["example.org"], why: "unless owners are not asked for" },
  { from: "carol@example.org", maps: "", want: ["example.org"], why: "which is the default without tables" },
  { from: "al@intern.test", want: ["example.org"], why: "an owned address that canonical_maps makes public" },
  { from: "alice@example.org", maps: "fail:down", reply: /^451 4\.7\.5 /, want: [], why: "a failing table defers" },
];

for (const { from, login, fallback, require, maps, reply = /^queued$/, want, why } of SIGNERS) {
  test(`DKIM-06: ${why} (From: ${from})`, async () => {
    const settings = {
      postern_dkim_signing_file: "/etc/dkim/keys",
      canonical_maps: "inline:{al@intern.test=unlisted@example.org}",
      smtpd_sender_login_maps: maps ?? MAPS.replace("{@alice.test", "{al@intern.test = alice}, {@alice.test"),
      ...(fallback !== undefined && { postern_dkim_fallback_domain: fallback }),
      ...(require !== undefined && { postern_dkim_require_owner: require }),
    };
    const sent = await send(`From: ${from}\r\n`, { ...(login !== undefined && { login }), settings, files: KEYS });
    assert.match(sent.reply, reply);
    assert.deepEqual(sent.signedBy, want);
  });
}

test("many From fields do not hold the event loop (LIM-12)", async () => {
  const send10k = (grade: string) =>
    send("From: carol@example.org\r\n".repeat(10_000), { settings: { postern_header_from_login_mismatch: grade } });
  const without = await turnsDuring(() => send10k("ignore"));
  const turns = await turnsDuring(() => send10k("warn"));
  // 10,000 of 39 units are six slices.
  assert.ok(turns >= without + 5, `${turns} turns, ${without} without looking at them`);
});
