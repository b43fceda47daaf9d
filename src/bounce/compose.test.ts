/** bounce/compose.test.ts: reports are read back with a MIME parser of somebody else (postal-mime) and by their bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { composed, ORIGINAL, readBack } from "./testdata/setup.ts";

test("DSN-40, DSN-41, DSN-47: a report is a multipart/report that a MIME parser reads", async () => {
  const outcome = {
    text: "host mx.far.test[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO command)",
    remoteMta: "mx.far.test",
    diagnostic: "smtp; 550 5.1.1 no such user",
  };
  const back = await readBack({ recipients: [{ address: "x@far.test", outcome }] });
  const { mail, part, text } = back;
  assert.equal(back.composed.envelope.sender, "");
  assert.deepEqual(back.composed.recipients, ["a@b.test"]);
  assert.equal(back.composed.envelope.dsn, undefined);
  assert.equal(back.composed.envelope.queueId, "NEW1");
  assert.equal(mail.subject, "Undelivered Mail Returned to Sender");
  assert.equal(mail.from?.address, "MAILER-DAEMON@mail.example.org");
  assert.equal(mail.from?.name, "Mail Delivery System");
  assert.equal(mail.to?.[0]?.address, "a@b.test");
  assert.match(text, /\r\nAuto-Submitted: auto-replied\r\n/);
  assert.match(text, /boundary="NEW1\.1772600767\/mail\.example\.org"/);
  assert.match(mail.text ?? "", /mail system at host mail\.example\.org/);
  assert.match(mail.text ?? "", /<x@far\.test>: host mx\.far\.test/);
  const status = part("message/delivery-status");
  assert.match(status, /^Reporting-MTA: dns; mail\.example\.org\r?\n/);
  assert.match(status, /X-Postfix-Queue-ID: ORIG1\r?\nX-Postfix-Sender: rfc822; a@b\.test\r?\nArrival-Date: /);
  assert.match(status, /\n\r?\nFinal-Recipient: rfc822; x@far\.test\r?\nOriginal-Recipient: rfc822;x@far\.test\r?\n/);
  assert.match(status, /\nAction: failed\r?\nStatus: 5\.1\.1/);
  assert.match(status, /Remote-MTA: dns; mx\.far\.test\r?\nDiagnostic-Code: smtp; 550 5\.1\.1 no such user/);
  assert.doesNotMatch(status, /Original-Envelope-Id|Will-Retry-Until/);
  assert.match(part("message/rfc822"), /Return-Path: <a@b\.test>[\s\S]*Body line\r?\n--fake/);
});

test("a message above bounce_size_limit comes back as headers", async () => {
  const big = Buffer.from(`Subject: Big\r\nX: y\r\n\r\n${"secret line\r\n".repeat(100)}`);
  const { text } = await readBack({ content: big, settings: { bounce_size_limit: "1000" } });
  assert.match(text, /Content-Description: Undelivered Message Headers\r\nContent-Type: text\/rfc822-headers\r\n/);
  assert.match(text, /Return-Path: <a@b\.test>\r\nSubject: Big\r\nX: y\r\n\r\n--NEW1/);
  assert.doesNotMatch(text, /secret line/);
});

test("a message of exactly the limit comes back whole", async () => {
  const settings = { bounce_size_limit: String(ORIGINAL.length) };
  assert.match((await readBack({ settings })).text, /Content-Type: message\/rfc822\r\n/);
});

test("DSN-44: RET decides how much of the message a failure returns", async () => {
  const headers = await readBack({ dsn: { ret: "HDRS" } });
  assert.doesNotMatch(headers.text, /Body line/);
  assert.match(headers.text, /Content-Type: text\/rfc822-headers\r\n/);
  assert.match((await readBack({ dsn: { ret: "FULL" } })).text, /Body line/);
});

test("REQ-04: a report about REQUIRETLS mail asks for it too, and returns headers only, whatever RET says", async () => {
  const wishes = { requireTls: true };
  for (const sender of ["a@b.test", ""]) {
    const setup = { sender, wishes, dsn: { ret: "FULL" } as const, settings: { notify_classes: "2bounce" } };
    const { reports } = await composed(setup);
    assert.deepEqual(
      reports.map(({ message }) => message.envelope.requireTls),
      [true],
    );
    const { text } = await readBack(setup);
    assert.doesNotMatch(text, /Body line/);
    assert.match(text, /Content-Type: text\/rfc822-headers\r\n/);
  }
});

test("BDAT-09: a report about binary mail returns headers only: it is made of lines", async () => {
  const { text } = await readBack({ wishes: { body: "BINARYMIME" }, dsn: { ret: "FULL" } });
  assert.doesNotMatch(text, /Body line/);
});

test("REQ-05: a report about mail with TLS-Required: No is delivered as that was", async () => {
  const { reports } = await composed({ wishes: { tlsOptional: true } });
  assert.equal(reports[0]?.message.envelope.tlsOptional, true);
});

const ORIGINALS = [
  { original: "x@far.test", orcpt: undefined, want: "rfc822;x@far.test", why: "no ORCPT: the address itself" },
  { original: "alias@b.test", orcpt: undefined, want: "rfc822;alias@b.test", why: "no ORCPT: before rewriting" },
  { original: "x@far.test", orcpt: "rfc822;Bob+X@Example.ORG", want: "rfc822;Bob+X@Example.ORG", why: "ORCPT" },
  { original: "x@far.test", orcpt: "x400;/c=de/", want: "x400;/c=de/", why: "ORCPT of another type" },
  {
    original: "x@far.test",
    orcpt: "utf-8;us\u00e9r@x.test",
    want: "utf-8;us\\x{E9}r@x.test",
    why: "a UTF-8 ORCPT in an ASCII report (RFC 6533 \u00a73)",
  },
];
for (const { original, orcpt, want, why } of ORIGINALS) {
  test(`DSN-43: Original-Recipient: ${why}`, async () => {
    const dsn = orcpt === undefined ? {} : { dsn: { orcpt } };
    const { part } = await readBack({ recipients: [{ address: "x@far.test", original, ...dsn }] });
    assert.equal(/^Original-Recipient: (.*?)\r?$/m.exec(part("message/delivery-status"))?.[1], want);
  });
}

test("the text names the recipient that the sender wrote to", async () => {
  const { mail } = await readBack({ recipients: [{ address: "y@far.test", original: "alias@b.test" }] });
  assert.match((mail.text ?? "").replace(/\s+/g, " "), /<y@far\.test> \(expanded from <alias@b\.test>\): no such user/);
});

test("DSN-42: ENVID comes back decoded", async () => {
  const { part } = await readBack({ dsn: { envid: "a b=QQ" } });
  assert.match(part("message/delivery-status"), /^Original-Envelope-Id: a b=QQ\r?$/m);
});

test("hostile remote text stays inside its field", async () => {
  const evil = `550 bad\r\nBcc: all@b.test\r\n\r\n--NEW1.1772600767/mail.example.org\r\n\x00\x1b[2J \u00fc ${"w ".repeat(3000)}`;
  const outcome = { text: evil, diagnostic: `smtp; ${evil}`, dsn: "9.9", remoteMta: `mx\r\nX-Evil: 1` };
  const recipient = { address: "x@far.test\r\nX-Evil: 2", original: "o\r\n\r\nX-Evil: 3", outcome };
  const dsn = { envid: "e\r\nX-Evil: 4" };
  const { text, part, mail } = await readBack({
    dsn,
    recipients: [{ ...recipient, dsn: { orcpt: "a;b\r\nX-Evil: 5" } }],
  });
  assert.equal(text.match(/^(?:Bcc|X-Evil):/gm), null);
  assert.equal(text.match(/^--NEW1\.1772600767\/mail\.example\.org(?:--)?\r$/gm)?.length, 4);
  assert.equal(mail.attachments.length, 2);
  assert.match(part("message/delivery-status"), /Status: 5\.0\.0/);
  for (const line of text.split("\r\n")) {
    assert.ok(line.length <= 998, "RFC 5322 \u00a72.1.1");
    assert.match(line, /^[\t\x20-\x7e]*$/);
  }
});

test("a returned message with 8-bit bytes is returned as it is", async () => {
  const body = Buffer.concat([Buffer.from("Subject: x\r\n\r\n"), Buffer.from([0xe4, 0xff, 0x80, 13, 10])]);
  const { composed: message, bytes, text } = await readBack({ content: body });
  assert.ok(bytes.includes(body));
  assert.equal(message.envelope.body, "8BITMIME");
  assert.equal(text.match(/^Content-Transfer-Encoding: 8bit\r$/gm)?.length, 2);
});

test("DSN-48: a report about SMTPUTF8 mail uses the types of RFC 6533", async () => {
  const { composed: message, text } = await readBack({
    smtputf8: true,
    sender: "j\u00fcrgen@b.test",
    recipients: [{ address: "\u65e5\u672c@far.test", dsn: { orcpt: "utf-8;us\u00e9r@x.test" } }],
  });
  assert.equal(message.envelope.smtputf8, true);
  assert.match(text, /Content-Type: message\/global-delivery-status\r\n/);
  assert.match(
    text,
    /Final-Recipient: utf-8; \u65e5\u672c@far\.test\r\nOriginal-Recipient: utf-8;us\u00e9r@x\.test\r\n/,
  );
  assert.match(text, /Content-Type: text\/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n/);
  assert.match(text, /Content-Type: message\/global\r\n/);
});

test("a UTF-8 address in an ASCII report is encoded, not lost", async () => {
  const { part } = await readBack({ recipients: [{ address: "us\u00e9r@far.test" }] });
  assert.match(part("message/delivery-status"), /^Final-Recipient: utf-8; us\\x\{E9\}r@far\.test\r?$/m);
});

test("the bytes are the same however the content is cut", async () => {
  const settings = { bounce_size_limit: "10" };
  const results = [1, 2, 3, 4, 1000].map(async (chunkBytes) => (await readBack({ chunkBytes, settings })).text);
  const [first, ...rest] = await Promise.all(results);
  for (const one of rest) assert.equal(one, first);
});

test("DSN-45: a delay report says until when, and returns headers only", async () => {
  const outcome = { kind: "deferred", dsn: "4.4.1", text: "timed out" } as const;
  const { text } = await readBack({
    kind: "delayed",
    dsn: { ret: "FULL" },
    recipients: [{ address: "x@far.test", outcome }],
    settings: { maximal_queue_lifetime: "1d", delay_warning_time: "4h" },
  });
  assert.match(text, /Subject: Delayed Mail \(still being retried\)\r\n/);
  assert.match(text, /Action: delayed\r\nStatus: 4\.4\.1\r\nDiagnostic-Code: X-Postfix; timed out\r\n/);
  assert.match(text, /\r\nWill-Retry-Until: Thu, 05 Mar 2026 05:05:07 \+0000/);
  assert.match(text, /than 4 hour\(s\)\. We keep trying until it is 1 day\(s\) old/);
  assert.doesNotMatch(text, /Body line/);
});

test("FR-04: a report of a message that was held has Arrival-Date and what was asked", async () => {
  const futureRelease = { untilMs: Date.UTC(2026, 2, 4, 6), request: "until;2026-03-04T06:00:00Z" };
  const { part } = await readBack({ wishes: { futureRelease } });
  assert.match(
    part("message/delivery-status"),
    /\nArrival-Date: Wed, 04 Mar 2026 05:05:07 \+0000 .*\r?\nFuture-Release-Request: until;2026-03-04T06:00:00Z\r?\n\r?\nFinal/,
  );
});

test("FR-07: a delay report counts the lifetime from the release", async () => {
  const { text } = await readBack({
    kind: "delayed",
    wishes: { futureRelease: { untilMs: Date.UTC(2026, 2, 4, 5, 6), request: "for;53" } },
    recipients: [{ address: "x@far.test", outcome: { kind: "deferred", dsn: "4.4.1", text: "timed out" } }],
    settings: { maximal_queue_lifetime: "1d" },
  });
  assert.match(text, /\r\nWill-Retry-Until: Thu, 05 Mar 2026 05:06:00 \+0000/);
});

test("BY-03: a report says by when the message was to be delivered", async () => {
  const deliverBy = { untilMs: Date.UTC(2026, 2, 4, 5, 6), mode: "R", trace: false } as const;
  const { part } = await readBack({ wishes: { deliverBy } });
  assert.match(part("message/delivery-status"), /\nDeliver-By-Date: Wed, 04 Mar 2026 05:06:00 \+0000/);
});

test("DSN-49: a report has the priority of the message that it is about", async () => {
  const { composed } = await readBack({ wishes: { priority: 4 } });
  assert.equal(composed.envelope.priority, 4);
});

const ACTIONS = [
  { dsnAction: undefined, want: "delivered", why: "an agent that delivers for good (DSN-25)" },
  { dsnAction: "relayed", want: "relayed", why: "a hop without DSN (DSN-21)" },
  { dsnAction: "expanded", want: "expanded", why: "an alias of several (DSN-29)" },
  { dsnAction: "passedOn", want: "relayed", why: "a delay that is over" },
] as const;
for (const { dsnAction, want, why } of ACTIONS) {
  test(`a success report says ${want}: ${why}`, async () => {
    const sent = {
      kind: "sent",
      dsn: "2.0.0",
      relay: "mx.test[192.0.2.1]:25",
      text: "250 2.0.0 Ok",
      dsnAction,
    } as const;
    const outcome = { ...sent, remoteMta: "mx.test", diagnostic: "smtp; 250 2.0.0 Ok" };
    const { text, mail } = await readBack({ kind: "success", recipients: [{ address: "x@far.test", outcome }] });
    assert.equal(mail.subject, "Successful Mail Delivery Report");
    assert.match(
      text,
      new RegExp(`\\r\\nAction: ${want}\\r\\nStatus: 2\\.0\\.0\\r\\nRemote-MTA: dns; mx\\.test\\r\\n`),
    );
    const via = dsnAction === "expanded" ? "" : "delivery via mx\\.test\\[192\\.0\\.2\\.1\\]:25: ";
    assert.match((mail.text ?? "").replace(/\s+/g, " "), new RegExp(`<x@far\\.test>: ${via}250 2\\.0\\.0 Ok`));
    assert.match(text, /Content-Description: Message Headers\r\nContent-Type: text\/rfc822-headers\r\n/);
    assert.doesNotMatch(text, /Body line|Undelivered/);
  });
}

const THREADS = [
  { field: "Message-ID: <m.1@b.test>", want: "<m.1@b.test>", why: "plain" },
  { field: "message-id:\r\n <m.1@b.test> ", want: "<m.1@b.test>", why: "folded" },
  { field: "Message-ID: <a> Bcc: x", want: undefined, why: "more than an id" },
  { field: "Message-ID: <a\u00fc@b>", want: undefined, why: "not ASCII" },
  { field: "X: <m>", want: undefined, why: "none" },
];
for (const { field, want, why } of THREADS) {
  test(`enable_threaded_bounces refers to the message: ${why}`, async () => {
    const content = Buffer.from(`A: b\r\n${field}\r\nSubject: x\r\n\r\nMessage-ID: <body@b>\r\n`);
    const { text } = await readBack({ content, settings: { enable_threaded_bounces: "yes" } });
    const head = text.slice(0, text.indexOf("\r\n\r\n"));
    assert.equal(/^References: (.*)\r$/m.exec(`${head}\r`)?.[1], want);
    assert.equal(/^In-Reply-To: (.*)\r$/m.exec(`${head}\r`)?.[1], want);
    assert.doesNotMatch((await readBack({ content })).text, /^References:/m);
  });
}

test("a postmaster's copy has no text, another subject and headers only", async () => {
  const settings = { notify_classes: "bounce" };
  const { reports } = await composed({ settings });
  const text = Buffer.from(reports[1]?.message.content ?? []).toString();
  assert.match(text, /\r\nSubject: Postmaster Copy: Undelivered Mail\r\nTo: postmaster@mail\.example\.org\r\n/);
  assert.match(text, /\r\nAuto-Submitted: auto-generated\r\n/);
  assert.doesNotMatch(text, /mail system at host|Body line/);
});

test("a double bounce returns all of the message, and names the null sender", async () => {
  const { text, composed: message } = await readBack({ sender: "", settings: { notify_classes: "2bounce" } });
  assert.equal(message.envelope.sender, "double-bounce@mail.example.org");
  assert.match(text, /X-Postfix-Sender: rfc822; MAILER-DAEMON@mail\.example\.org\r\n/);
  assert.match(text, /Return-Path: <MAILER-DAEMON@mail\.example\.org>\r\n[\s\S]*Body line/);
});
