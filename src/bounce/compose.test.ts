/** bounce/compose.test.ts: reports are read back with a MIME parser of somebody else (postal-mime) and by their bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import PostalMime from "postal-mime";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import type { MessageContent, RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { createBounceComposer } from "./compose.ts";

const NOW = Date.UTC(2026, 2, 4, 5, 6, 7);
const clock = { ...systemClock, now: () => NOW };
const ORIGINAL = "From: <a@b.test>\r\nSubject: Hello\r\nX-Long: 1\r\n\r\nBody line\r\n--fake\r\n";

function contentOf(bytes: Buffer, chunkBytes = 7): MessageContent {
  return {
    sizeBytes: bytes.length,
    *chunks() {
      for (let i = 0; i < bytes.length; i += chunkBytes) yield bytes.subarray(i, i + chunkBytes);
    },
  };
}

function envelopeOf(sender: string, smtputf8 = false): Envelope {
  const origin = { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "submission" };
  return {
    queueId: "ORIG1" as QueueId,
    sender: asAddress(sender),
    arrivalMs: NOW - 60_000,
    smtputf8,
    body: "7BIT",
    origin,
  };
}

function outcomeOf(more: Partial<RcptOutcome>): RcptOutcome {
  const plain = { dsn: "5.1.1", text: "no such user", relay: "none", connectMs: 0, transmitMs: 0 } as const;
  return { recipientId: 1, kind: "bounced", ...plain, ...more };
}

interface Setup {
  readonly sender?: string;
  readonly smtputf8?: boolean;
  readonly content?: Buffer;
  readonly recipient?: { address: string; original: string };
  readonly outcome?: Partial<RcptOutcome>;
  readonly settings?: Record<string, string>;
}

async function failure(setup: Setup) {
  const composer = createBounceComposer({ params: parametersOf(setup.settings ?? {}), clock });
  const { address, original } = setup.recipient ?? { address: "x@far.test", original: "x@far.test" };
  return composer.failure({
    message: {
      envelope: envelopeOf(setup.sender ?? "a@b.test", setup.smtputf8),
      content: contentOf(setup.content ?? Buffer.from(ORIGINAL)),
    },
    failed: [
      {
        recipient: { address: asAddress(address), original: asAddress(original) },
        outcome: outcomeOf(setup.outcome ?? {}),
      },
    ],
    queueId: "NEW1" as QueueId,
  });
}

async function textAndMail(setup: Setup) {
  const composed = await failure(setup);
  assert.ok(composed);
  const bytes = Buffer.from(composed.content);
  const mail = await PostalMime.parse(bytes, { attachmentEncoding: "utf8", forceRfc822Attachments: true });
  const part = (type: string) => mail.attachments.find((one) => one.mimeType === type);
  return { composed, bytes, text: bytes.toString("utf8"), mail, part };
}

test("failure() makes a multipart/report that a MIME parser reads", async () => {
  const outcome = {
    text: "host mx.far.test[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO command)",
    remoteMta: "mx.far.test",
    diagnostic: "smtp; 550 5.1.1 no such user",
  };
  const { composed, mail, part, text } = await textAndMail({ outcome });
  assert.equal(composed.envelope.sender, "");
  assert.deepEqual(composed.recipients, ["a@b.test"]);
  assert.equal(composed.envelope.queueId, "NEW1");
  assert.equal(mail.subject, "Undelivered Mail Returned to Sender");
  assert.equal(mail.from?.address, "MAILER-DAEMON@mail.example.org");
  assert.equal(mail.from?.name, "Mail Delivery System");
  assert.equal(mail.to?.[0]?.address, "a@b.test");
  assert.match(text, /\r\nAuto-Submitted: auto-replied\r\n/);
  assert.match(text, /boundary="NEW1\.1772600767\/mail\.example\.org"/);
  assert.match(mail.text ?? "", /mail system at host mail\.example\.org/);
  assert.match(mail.text ?? "", /<x@far\.test>: host mx\.far\.test/);
  const status = String(part("message/delivery-status")?.content);
  assert.match(status, /^Reporting-MTA: dns; mail\.example\.org\r?\n/);
  assert.match(status, /X-Postfix-Queue-ID: ORIG1\r?\nX-Postfix-Sender: rfc822; a@b\.test\r?\nArrival-Date: /);
  assert.match(status, /\n\r?\nFinal-Recipient: rfc822; x@far\.test\r?\nAction: failed\r?\nStatus: 5\.1\.1/);
  assert.match(status, /Remote-MTA: dns; mx\.far\.test\r?\nDiagnostic-Code: smtp; 550 5\.1\.1 no such user/);
  assert.doesNotMatch(status, /Original-Recipient|Will-Retry-Until/);
  assert.match(String(part("message/rfc822")?.content), /Return-Path: <a@b\.test>[\s\S]*Body line\r?\n--fake/);
});

test("failure() makes nothing of a null sender: no bounce of a bounce (RFC 5321 §4.5.5)", async () => {
  assert.equal(await failure({ sender: "" }), undefined);
});

test("failure() returns only headers above bounce_size_limit", async () => {
  const big = Buffer.from(`Subject: Big\r\nX: y\r\n\r\n${"secret line\r\n".repeat(100)}`);
  const { text } = await textAndMail({ content: big, settings: { bounce_size_limit: "1000" } });
  assert.match(text, /Content-Description: Undelivered Message Headers\r\nContent-Type: text\/rfc822-headers\r\n/);
  assert.match(text, /Return-Path: <a@b\.test>\r\nSubject: Big\r\nX: y\r\n\r\n--NEW1/);
  assert.doesNotMatch(text, /secret line/);
});

test("failure() at exactly the limit returns the message", async () => {
  const settings = { bounce_size_limit: String(ORIGINAL.length) };
  assert.match((await textAndMail({ settings })).text, /Content-Type: message\/rfc822\r\n/);
});

test("failure() names the original recipient when it was rewritten", async () => {
  const { part, mail } = await textAndMail({ recipient: { address: "y@far.test", original: "alias@b.test" } });
  assert.match(String(part("message/delivery-status")?.content), /Original-Recipient: rfc822; alias@b\.test/);
  assert.match((mail.text ?? "").replace(/\s+/g, " "), /<y@far\.test> \(expanded from <alias@b\.test>\): no such user/);
});

test("failure() keeps hostile remote text inside its field", async () => {
  const evil = `550 bad\r\nBcc: all@b.test\r\n\r\n--NEW1.1772600767/mail.example.org\r\n\x00\x1b[2J \u00fc ${"w ".repeat(3000)}`;
  const { text, part, mail } = await textAndMail({ outcome: { text: evil, diagnostic: `smtp; ${evil}`, dsn: "9.9" } });
  assert.equal(text.match(/^Bcc:/gm), null);
  assert.equal(text.match(/^--NEW1\.1772600767\/mail\.example\.org(?:--)?\r$/gm)?.length, 4);
  assert.equal(mail.attachments.length, 2);
  assert.match(String(part("message/delivery-status")?.content), /Status: 5\.0\.0/);
  for (const line of text.split("\r\n")) {
    assert.ok(line.length <= 998, "RFC 5322 §2.1.1");
    assert.match(line, /^[\t\x20-\x7e]*$/);
  }
});

test("failure() is 8-bit safe and says so", async () => {
  const body = Buffer.concat([Buffer.from("Subject: x\r\n\r\n"), Buffer.from([0xe4, 0xff, 0x80, 13, 10])]);
  const { composed, bytes, text } = await textAndMail({ content: body });
  assert.ok(bytes.includes(body));
  assert.equal(composed.envelope.body, "8BITMIME");
  assert.equal(text.match(/^Content-Transfer-Encoding: 8bit\r$/gm)?.length, 2);
});

test("failure() of SMTPUTF8 mail uses the types of RFC 6533", async () => {
  const { composed, text } = await textAndMail({
    smtputf8: true,
    sender: "j\u00fcrgen@b.test",
    recipient: { address: "\u65e5\u672c@far.test", original: "\u65e5\u672c@far.test" },
  });
  assert.equal(composed.envelope.smtputf8, true);
  assert.match(text, /Content-Type: message\/global-delivery-status\r\n/);
  assert.match(text, /Final-Recipient: utf-8; \u65e5\u672c@far\.test\r\n/);
  assert.match(text, /Content-Type: message\/global\r\n/);
});

test("failure() gives the same bytes however the content is cut", async () => {
  const composer = createBounceComposer({ params: parametersOf({ bounce_size_limit: "10" }), clock });
  const results = [1, 2, 3, 4, 1000].map(async (size) => {
    const message = { envelope: envelopeOf("a@b.test"), content: contentOf(Buffer.from(ORIGINAL), size) };
    const recipient = { address: asAddress("x@far.test"), original: asAddress("x@far.test") };
    const failed = [{ recipient, outcome: outcomeOf({}) }];
    const composed = await composer.failure({ message, failed, queueId: "NEW1" as QueueId });
    return Buffer.from(composed?.content ?? []).toString("latin1");
  });
  const [first, ...rest] = await Promise.all(results);
  for (const one of rest) assert.equal(one, first);
});

test("delayWarning() says until when, and returns headers only", async () => {
  const composer = createBounceComposer({ params: parametersOf({}), clock });
  const recipient = { address: asAddress("x@far.test"), original: asAddress("x@far.test") };
  const composed = await composer.delayWarning({
    message: { envelope: envelopeOf("a@b.test"), content: contentOf(Buffer.from(ORIGINAL)) },
    delayed: [{ recipient, outcome: outcomeOf({ kind: "deferred", dsn: "4.4.1", text: "timed out" }) }],
    queueId: "NEW1" as QueueId,
    retryUntilMs: NOW + 86_400_000,
  });
  const text = Buffer.from(composed?.content ?? []).toString();
  assert.match(text, /Subject: Delayed Mail \(still being retried\)\r\n/);
  assert.match(
    text,
    /Action: delayed\r\nStatus: 4\.4\.1\r\nDiagnostic-Code: X-Postfix; timed out\r\nWill-Retry-Until: /,
  );
  assert.doesNotMatch(text, /Body line/);
});
