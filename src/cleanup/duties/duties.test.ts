/** cleanup/duties/duties.test.ts: each fault of a submitted message under each grade. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../../mail/address.ts";
import { TableError } from "../../tables/table.ts";
import { type Submission, submit } from "../testdata/submit.ts";

const COMPLETE = "Message-Id: <1@x.test>\r\nDate: Tue, 24 Nov 2026 07:00:00 +0100\r\n";
const FROM = "From: a@x.test\r\n";
const TIME = "Tue, 24 Nov 2026 06:00:00 +0000 (UTC)";
const ID = "<20261124060000.1E2406B0527E000@mail.example.org>";

interface Row extends Submission {
  readonly check: string;
  /** Beside what a message must have; `whole`: nothing beside. */
  readonly header: string;
  readonly whole?: boolean;
  readonly body?: string;
  /** Fields that repair makes or leaves, `-` in front of those that must be gone; undefined: there is no repair. */
  readonly want: readonly string[] | undefined;
  readonly why: string;
  /** What is not of the form `554 5.6.0`. */
  readonly code?: string;
}

process.env["TZ"] = "UTC";

const ROWS: readonly Row[] = [
  // Date
  { check: "date", header: FROM, whole: true, want: [`Date: ${TIME}`], why: "MOD-05: missing" },
  {
    check: "date",
    header: `${FROM}Date: 2026-11-24\r\n`,
    want: ["Date: Tue, 24 Nov 2026 00:00:00 +0000 (UTC)", "-2026-11-24"],
    why: "MOD-05: the day alone, as ISO 8601",
  },
  {
    check: "date",
    header: `${FROM}Date: 2026-11-24T07:05:09+01:00\r\n`,
    want: ["Date: Tue, 24 Nov 2026 06:05:09 +0000 (UTC)"],
    why: "MOD-05: ISO 8601 with a zone",
  },
  { check: "date", header: `${FROM}Date: now\r\n`, want: [`Date: ${TIME}`], why: "MOD-05: no date at all" },
  { check: "date", header: `${FROM}Date: Tue, 24 Nov 2026 07:05:09\r\n`, want: [`Date: ${TIME}`], why: "no zone" },
  { check: "date", header: `${FROM}Date: 31 Feb 2026 07:05 GMT\r\n`, want: [`Date: ${TIME}`], why: "no such day" },
  { check: "date", header: `${FROM}Date: 1 Jan 2026 24:00 GMT\r\n`, want: [`Date: ${TIME}`], why: "no such hour" },
  // Message-ID
  { check: "message_id", header: FROM, whole: true, want: [`Message-Id: ${ID}`], why: "MOD-06: missing" },
  {
    check: "message_id",
    header: `${FROM}Message-ID: foo\r\n`,
    want: [`Message-ID: ${ID}`, "-foo"],
    why: "MOD-06: a word",
  },
  { check: "message_id", header: `${FROM}Message-ID: <foo>\r\n`, want: [`Message-ID: ${ID}`], why: "no right side" },
  { check: "message_id", header: `${FROM}Message-ID: <a b@c>\r\n`, want: [`Message-ID: ${ID}`], why: "a blank inside" },
  { check: "message_id", header: `${FROM}Message-ID: <a@b> <c@d>\r\n`, want: [`Message-ID: ${ID}`], why: "two" },
  // From
  { check: "from", header: COMPLETE, whole: true, want: ["From: alice@example.org"], why: "SUB-02: missing" },
  {
    check: "from",
    header: "From: alice@@example.org\r\n",
    want: ["From: alice@example.org", "X-Original-From: alice@@example.org"],
    why: "SUB-19: two @",
  },
  {
    check: "from",
    header: "From: Team:;\r\n",
    want: ["From: alice@example.org", "X-Original-From: Team:;"],
    why: "MSG-06: a group without members",
  },
  { check: "from", header: "From:\r\n", want: ["From: alice@example.org", "-X-Original"], why: "empty" },
  {
    check: "from",
    header: "From : <>\r\n",
    want: ["From: alice@example.org"],
    why: "MSG-03: a blank before the colon, and the null address",
  },
  {
    check: "from",
    header: "From: scan ner@x..test\r\n",
    sender: "",
    login: "bob",
    settings: { myorigin: "o.test" },
    want: ["From: bob@o.test"],
    why: "MOD-04: of a null sender, the login's mailbox",
  },
  { check: "from", header: "From: scan ner@x..test\r\n", sender: "", want: undefined, why: "nobody to name" },
  {
    check: "from_twice",
    header: "From: a@x.test\r\nFrom: b@x.test\r\n",
    want: ["From: a@x.test", "-b@x.test"],
    why: "MSG-04: two that differ",
  },
  // Sender
  {
    check: "sender",
    header: "From: a@x.test, b@x.test\r\n",
    want: ["From: a@x.test, b@x.test", "Sender: alice@example.org"],
    why: "MSG-05: two authors",
  },
  {
    check: "login_sender",
    header: "From: sales@example.org\r\n",
    login: "alice@example.org",
    want: ["From: sales@example.org", "Sender: alice@example.org"],
    code: "550 5.7.1",
    why: "MOD-03: another address",
  },
  {
    check: "login_sender",
    header: "From: sales@example.org\r\nSender: boss@example.org\r\n",
    login: "alice",
    want: ["From: sales@example.org", "Sender: alice@example.org", "-boss"],
    code: "550 5.7.1",
    settings: { myorigin: "example.org" },
    why: "MOD-04: a login that is no address, and a Sender that is not his",
  },
  {
    check: "login_sender",
    header: "From: sales@example.org\r\n",
    login: "al",
    sender: "alice.smith@example.org",
    deps: { owners: { known: true, of: async (address) => (address.startsWith("alice.") ? ["bob", "al"] : []) } },
    want: ["From: sales@example.org", "Sender: alice.smith@example.org"],
    code: "550 5.7.1",
    why: "MOD-04: a login whose mailbox smtpd_sender_login_maps names",
  },
  {
    check: "login_sender",
    header: "",
    login: "bob@example.org",
    want: ["From: alice@example.org", "Sender: bob@example.org"],
    code: "550 5.7.1",
    why: "MOD-03: a From that is made of another sender",
  },
  {
    check: "login_sender",
    header: "From: sales@example.org\r\n",
    login: "al",
    sender: "bob@example.org",
    deps: { owners: { known: true, of: async () => ["bob"] } },
    settings: { myorigin: "example.org" },
    want: ["From: sales@example.org", "Sender: al@example.org", "-bob"],
    code: "550 5.7.1",
    why: "MOD-04: never the address of somebody else",
  },
  // MIME
  {
    check: "mime_version",
    header: `${FROM}Content-Type: text/html\r\n`,
    want: ["MIME-Version: 1.0", "Content-Type: text/html"],
    why: "Content-Type alone",
  },
  {
    check: "transfer_encoding",
    header: `${FROM}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n`,
    body: "\xc3\xa9\r\n",
    want: ["Content-Transfer-Encoding: 8bit", "-7bit"],
    why: "8-bit content called 7bit",
  },
  {
    check: "transfer_encoding",
    header: FROM,
    body: "gr\xc3\xbc\xc3\x9fe\r\n",
    want: ["Content-Transfer-Encoding: 8bit", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"],
    why: "MSG-14: UTF-8 without MIME fields",
  },
  {
    check: "transfer_encoding",
    header: FROM,
    body: "gr\xfc\xdfe\r\n",
    want: ["Content-Type: text/plain; charset=unknown-8bit"],
    why: "MSG-14: other bytes",
  },
  {
    check: "transfer_encoding",
    header: `${FROM}MIME-Version: 1.0\r\nContent-Transfer-Encoding: UTF-8\r\n`,
    want: ["Content-Transfer-Encoding: 7bit"],
    why: "a character set for an encoding",
  },
  {
    check: "transfer_encoding",
    header: `${FROM}MIME-Version: 1.0\r\nContent-Transfer-Encoding: x-gzip\r\n`,
    want: undefined,
    why: "an encoding that nobody knows",
  },
  {
    check: "transfer_encoding",
    header: `${FROM}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n`,
    want: undefined,
    why: "a composite type in base64",
  },
  // 8-bit headers
  {
    check: "eight_bit_header",
    header: `${FROM}Subject: Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln am Rhein\r\n`,
    want: ["Subject: =?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?= am Rhein", "-\xc3"],
    why: "MSG-13: UTF-8",
  },
  {
    check: "eight_bit_header",
    header: `${FROM}Subject: \xe9\r\n`,
    want: ["Subject: =?iso-8859-1?B?6Q==?="],
    why: "MSG-13: Latin-1",
  },
  {
    check: "eight_bit_header",
    header: `${FROM}Subject: 5 \x80\r\n`,
    want: ["Subject: 5 =?windows-1252?B?gA==?="],
    why: "MSG-13: a Euro sign of Windows",
  },
  {
    check: "eight_bit_header",
    header: 'From: J\xc3\xb6rg "der" M\xc3\xbcller <j@x.test> (B\xc3\xbcro)\r\n',
    want: ["From: =?utf-8?B?SsO2cmcgZGVyIE3DvGxsZXI=?= <j@x.test> (=?utf-8?B?QsO8cm8=?=)"],
    why: "MSG-13: names and comments of addresses",
  },
  {
    check: "eight_bit_header",
    header: `${FROM}MIME-Version: 1.0\r\nContent-Type: application/pdf; name="\xc3\x9cbersicht.pdf"\r\n`,
    want: ["Content-Type: application/pdf; name*=utf-8''%C3%9Cbersicht.pdf"],
    why: "MSG-13: a file name",
  },
  { check: "eight_bit_header", header: `${FROM}To: j\xc3\xb6rg@x.test\r\n`, want: undefined, why: "an address" },
  { check: "eight_bit_header", header: `${FROM}References: <\xff@x>\r\n`, want: undefined, why: "no text field" },
  // Repeated and empty fields
  {
    check: "duplicate",
    header: `${FROM}To: b@x.test\r\nTo: c@x.test,\r\n d@x.test\r\nto: b@x.test\r\n`,
    want: ["To: b@x.test,\r\n\tc@x.test,\r\n d@x.test", "-to:"],
    why: "MSG-04: lists become one",
  },
  {
    check: "duplicate",
    header: `${FROM}Subject: one\r\nSubject: two\r\n`,
    want: ["Subject: one", "-two"],
    why: "MSG-04: of others the first stays",
  },
  {
    check: "duplicate",
    header: "From: a@x.test\r\nFrom:  a@x.test\r\n",
    want: ["From: a@x.test", "-From:  a"],
    why: "MSG-04: From twice the same",
  },
  {
    check: "empty",
    header: `${FROM}To:\r\nCc: \r\nReferences: \r\n \r\nSubject:\r\n`,
    want: ["-To", "-Cc", "-References", "Subject:"],
    why: "MSG-07: nothing but blanks; an empty Subject is one",
  },
  { check: "empty", header: `${FROM}Date:\r\n`, want: [`Date: ${TIME}`], why: "MOD-05: completed then" },
  // Addresses
  {
    check: "unqualified",
    header: "From: alice@ws1\r\nTo: Bob <bob@sales>, c@x.test\r\n",
    settings: { append_dot_mydomain: "no" },
    want: ["From: alice@ws1.example.org", "To: Bob <bob@sales.example.org>, c@x.test"],
    why: "SUB-11, SUB-12: one label",
  },
  {
    check: "unqualified",
    header: "From: alice\r\n",
    settings: { append_at_myorigin: "no", myorigin: "o.test" },
    want: ["From: alice@o.test"],
    why: "SUB-11: no domain",
  },
  {
    check: "unqualified",
    header: "From: alice@ws1\r\n",
    settings: { append_dot_mydomain: "no", mydomain: "localdomain" },
    want: ["From: alice@ws1.localdomain"],
    why: "SUB-11: as main.cf says",
  },
  { check: "address_syntax", header: `${FROM}To: b@x..test\r\n`, want: undefined, why: "SUB-19: an empty label" },
  { check: "address_syntax", header: `${FROM}Cc: b@@x.test\r\n`, want: undefined, why: "SUB-19: two @" },
  { check: "address_syntax", header: `${FROM}To: just some words\r\n`, want: undefined, why: "SUB-19: no address" },
  { check: "address_syntax", header: `${FROM}To: a@[1.2.3]\r\n`, want: undefined, why: "SUB-19: a bad literal" },
  // Resent
  {
    check: "resent",
    header: `${FROM}Resent-To: c@x.test\r\nSubject: x\r\n`,
    want: ["Resent-To: c@x.test", "Resent-From: alice@example.org", `Resent-Date: ${TIME}`],
    why: "DAT-13: a block of one field",
  },
  {
    check: "resent",
    header: `Resent-From: a@x.test\r\nResent-Date: ${TIME}\r\nX: y\r\nResent-To: c@x.test\r\n${FROM}`,
    want: undefined,
    why: "an older block",
  },
  // Long lines
  {
    check: "long_header",
    header: `${FROM}Subject: ${"word ".repeat(300)}end\r\n`,
    want: ["Subject: word word"],
    why: "DAT-08: folded at blanks",
  },
  {
    check: "long_header",
    header: `${FROM}To: ${Array.from({ length: 100 }, (_, i) => `user${String(i).padStart(2, "0")}@x.test`).join(",")}\r\n`,
    want: ["To: user00@x.test,"],
    why: "MSG-01: folded behind a comma",
  },
  { check: "long_header", header: `${FROM}X-Y: ${"x".repeat(1000)}\r\n`, want: undefined, why: "no place to fold" },
];

function messageOf({ header, whole, body = "text\r\n" }: Row): string {
  const given = new Set([...header.matchAll(/^([\w-]+)[ \t]*:/gm)].map(([, name = ""]) => name.toLowerCase()));
  const rest = COMPLETE.split(/(?<=\r\n)/).filter((line) => !given.has(line.slice(0, line.indexOf(":")).toLowerCase()));
  return `${header}${whole ? "" : rest.join("")}\r\n${body}`;
}

const graded = (row: Row, grade: string): Submission => ({
  ...row,
  settings: { ...row.settings, postern_submission_checks: `all:off, ${row.check}:${grade}` },
});

for (const row of ROWS) {
  test(`check ${row.check}, fix: ${row.why}`, async () => {
    const { result, fields, log, envelope } = await submit(messageOf(row), graded(row, "fix"));
    assert.equal(result, "queued");
    const text = fields.join("\r\n");
    for (const want of row.want ?? []) {
      const found = want.startsWith("-") ? !text.includes(want.slice(1)) : `\r\n${text}`.includes(`\r\n${want}`);
      assert.ok(found, `${want}: ${text}`);
    }
    const lines = text.split("\r\n");
    assert.ok(row.want === undefined || lines.every((line) => line.trim() !== "" && line.length <= 998), text);
    if (row.want === undefined)
      assert.match(log.join("\n"), new RegExp(`warning: \\w+: check ${row.check}: .* \\(cannot`));
    else assert.ok(envelope?.changes !== undefined, "no entry in the ledger");
  });
  test(`check ${row.check}, warn: ${row.why}`, async () => {
    const { result, fields, log } = await submit(messageOf(row), graded(row, "warn"));
    const off = await submit(messageOf(row), graded(row, "off"));
    assert.equal(result, "queued");
    assert.deepEqual(fields, off.fields);
    assert.match(log.join("\n"), new RegExp(`warning: \\w+: check ${row.check}: `));
    assert.doesNotMatch(off.log.join("\n"), /check/);
  });
  test(`check ${row.check}, reject: ${row.why} (SUB-24)`, async () => {
    const { result, log } = await submit(messageOf(row), graded(row, "reject"));
    const start = `${row.code ?? "554 5.6.0"} Error: message refused by check ${row.check}: `;
    assert.ok(result.startsWith(start), result);
    assert.ok(/^[\x20-\x7e]*$/.test(result), "not printable");
    assert.match(
      log.join("\n"),
      /reject: END-OF-MESSAGE from unknown\[192\.0\.2\.7\]: 55[04] .*; from=<.*> to=<b@x\.test> proto=ESMTP/,
    );
    assert.match(
      log.join("\n"),
      new RegExp(`explain: rule=main\\.cf:1 parameter=postern_submission_checks check=${row.check}`),
    );
  });
}

const GOOD: readonly (Partial<Submission> & {
  readonly header: string;
  readonly body?: string;
  readonly why: string;
})[] = [
  { header: `${FROM}${COMPLETE}`, why: "the least a message has" },
  {
    header: `${FROM}Message-ID: <1@x>\r\nDate: Fri, 21 Nov 97 09(comment):   55  :  06 -0600\r\n`,
    why: "MSG-08: obsolete date",
  },
  {
    header: `${FROM}Message-ID: <1@x>\r\nDate: 21 Nov 97 09:55:06 GMT\r\n`,
    why: "MSG-08: obsolete zone, year of two digits",
  },
  { header: `${FROM}${COMPLETE}To: undisclosed-recipients:;\r\n`, why: "an empty group" },
  { header: `${FROM}${COMPLETE}To: Undisclosed recipients\r\n`, why: "what Outlook writes" },
  { header: `From: "a b" <"a b"@[192.0.2.1]>\r\n${COMPLETE}`, why: "quoted local part, address literal" },
  { header: `From: a@[IPv6:2001:db8::1]\r\n${COMPLETE}`, why: "a literal of IPv6" },
  { header: `From: A: a@x.test, b@x.test;\r\nSender: c@x.test\r\n${COMPLETE}`, why: "MSG-06: a group with members" },
  { header: `${FROM}${COMPLETE}Subject: x\r\n \r\n y\r\n`, why: "MSG-07: a folded line of blanks" },
  {
    header: `${FROM}${COMPLETE}Resent-From: b@x.test\r\nResent-Date: ${TIME}\r\nResent-To: c@x.test\r\nResent-Message-ID: <2@x>\r\n`,
    why: "DAT-13: a whole block",
  },
  {
    header: `${FROM}${COMPLETE}Keywords: a\r\nKeywords: b\r\nComments: a\r\nComments: b\r\n`,
    why: "fields without a limit",
  },
  {
    header: `${FROM}${COMPLETE}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n`,
    body: "\xc3\xa9\r\n",
    why: "8-bit content that says so",
  },
];
for (const { header, body = "text\r\n", why, ...given } of GOOD) {
  test(`nothing is said of a message with ${why}`, async () => {
    const strict = { postern_submission_checks: "all:reject, login_sender:off" };
    const { result, fields, envelope } = await submit(`${header}\r\n${body}`, { ...given, settings: strict });
    assert.equal(result, "queued");
    assert.equal(`${fields.join("\r\n")}\r\n`, header);
    assert.equal(envelope?.changes, undefined);
  });
}

test("MOD-14: mail that passes through is under no check", async () => {
  const options = { role: "mx" as const };
  const settings = { postern_submission_checks: "all:reject" };
  const { result, fields, envelope } = await submit("Date: x\r\nFrom: a@@b\r\nTo:\r\n\r\n\xff", { options, settings });
  assert.equal(result, "queued");
  assert.deepEqual(fields, ["Date: x", "From: a@@b", "To:"]);
  assert.equal(envelope?.changes, undefined);
});

const SIGNED = [
  { header: "DKIM-Signature: v=1\r\nSubject: \xe9\r\n", keeps: "Subject: \xe9", why: "a DKIM signature: its fields" },
  {
    header: "Content-Type: multipart/signed; boundary=b\r\n",
    keeps: "Content-Type",
    gone: "MIME-Version",
    why: "S/MIME",
  },
];
for (const { header, keeps, gone, why } of SIGNED) {
  test(`MOD-02: nothing is repaired that is covered by ${why}, unless forced`, async () => {
    const message = `${FROM}${COMPLETE}${header}\r\nx\r\n`;
    const kept = await submit(message);
    assert.ok(
      kept.fields.some((field) => field.startsWith(keeps)) && !kept.fields.some((f) => gone && f.startsWith(gone)),
    );
    assert.match(kept.log.join("\n"), /\(left as it is: the message is signed\)/);
    assert.equal(kept.envelope?.changes, undefined);
    const forced = await submit(message, { settings: { postern_repair_signed: "yes" } });
    assert.notDeepEqual(forced.fields, kept.fields);
  });
}

test("MOD-02: OpenPGP armour in the text", async () => {
  const message = `${FROM}${COMPLETE}\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\n\xe9\r\n`;
  for (const step of [1, 7, 1000]) assert.equal((await submit(message, { step })).envelope?.changes, undefined);
});

test("MOD-04: a table that fails names nobody: there is no Sender, and a line in the log", async () => {
  const of = async () => {
    throw new TableError("no answer");
  };
  const settings = { postern_submission_checks: "login_sender:fix" };
  const { fields, log } = await submit(`${FROM}${COMPLETE}\r\n`, {
    login: "al",
    settings,
    deps: { owners: { known: true, of } },
  });
  assert.ok(!fields.some((field) => field.startsWith("Sender")));
  assert.match(log.join("\n"), /warning: \w+: the mailbox of a login cannot be known: no answer/);
});

test("SMTPUTF8 messages keep UTF-8 in their header, other bytes do not pass", async () => {
  const envelope = { smtputf8: true } as const;
  const base = (await submit(`${FROM}${COMPLETE}\r\n`)).envelope;
  assert.ok(base);
  const options = { envelope: { ...base, ...envelope, sender: asAddress("alice@example.org") } };
  const utf8 = await submit(`From: j\xc3\xb6@x.test\r\n${COMPLETE}\r\n`, { options });
  assert.equal(utf8.envelope?.changes, undefined);
  assert.match((await submit(`${FROM}${COMPLETE}Subject: \xe9\r\n\r\n`, { options })).fields.join(), /iso-8859-1/);
});

const DEFAULT_GRADES = [
  { header: "", want: "queued", why: "no field at all" },
  {
    header: "From: scanner\r\nTo:\r\nSubject: \xe4\r\nDate: 1.1.70\r\nMessage-ID: 1\r\n",
    want: "queued",
    why: "all that a scanner does",
  },
  { header: "From: a@x.test\r\nFrom: b@x.test\r\n", want: "554", why: "MSG-04: two different From fields" },
];
for (const { header, want, why } of DEFAULT_GRADES) {
  test(`the grades that are set by default, on ${why}: ${want}`, async () => {
    const { result } = await submit(`${header}\r\nx\r\n`);
    assert.ok(result.startsWith(want), result);
  });
}
