/** A real Postfix on either side: Postern relays to it over opportunistic TLS, and what it refuses comes back as an RFC 3464
 *  notification; and it relays through Postern's submission service, logged in, over mandatory TLS. */
import assert from "node:assert/strict";
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import PostalMime, { type Email } from "postal-mime";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { Conversation } from "../testbed/conversation.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort } from "../testbed/server.ts";
import { LOGIN, PASSWORD, type Site, startSite } from "../testbed/submission-site.ts";

const NOBODY = 65_534;
const OPTIONS = { concurrency: false, timeout: 120_000, skip: !hasPostfix() && "not installed, or not root" };
const EIGHT_BIT = Buffer.from("Größe 試験\r\n.dot\r\n..dots\r\n.\t\r\n\r\n", "utf8").toString("latin1");

function head(subject: string, to: string): string {
  return `From: ${LOGIN}\r\nTo: ${to}\r\nSubject: ${subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r
Message-ID: <${subject}@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r\n\r\n`;
}

/** The files of a maildir's new/, oldest first; none if there is no maildir. */
function mailsIn(maildir: string): readonly string[] {
  const directory = join(maildir, "new");
  const names = existsSync(directory) ? readdirSync(directory).sort() : [];
  return names.map((name) => readFileSync(join(directory, name), "latin1"));
}

/** Waits until `find` finds; `told` says what there is instead. */
async function soon<T>(find: () => T | undefined, told: () => string): Promise<T> {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(30)) {
    const found = find();
    if (found !== undefined) return found;
  }
  throw new Error(`Never came:\n${told()}`);
}

describe("Postern relays to Postfix", OPTIONS, () => {
  let site: Site;
  let postfix: TestPostfix;
  let mail: string;

  before(async () => {
    const port = await freePort();
    postfix = new TestPostfix(port, { mainCf: "" });
    const { keyPem, certificatePem } = makeSelfSigned(["peer.example.net"], Date.now());
    const chain = join(postfix.directory, "chain.pem");
    writeFileSync(chain, keyPem + certificatePem);
    mkdirSync(join(postfix.directory, "mail"));
    chownSync(join(postfix.directory, "mail"), NOBODY, NOBODY);
    appendMainCf(
      postfix,
      `smtpd_tls_security_level = may
smtpd_tls_chain_files = ${chain}
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
message_size_limit = 3000000
mailbox_size_limit = 0
mail_spool_directory = ${postfix.directory}/mail/
smtpd_recipient_restrictions =
  check_recipient_access inline:{
    { refused@peer.example.net = 550 5.1.1 No such user here },
    { full@peer.example.net = 552 5.2.2 Mailbox is full },
    { later@peer.example.net = 450 4.2.0 Greylisted } }
  permit`,
    );
    await postfix.start();
    site = await startSite({ relayhost: `[127.0.0.1]:${port}`, mainCf: "smtp_tls_security_level = may" });
    const maildirs = join(site.server.directory, "mail");
    mkdirSync(maildirs);
    chownSync(maildirs, NOBODY, NOBODY);
    site.server.append("main.cf", `postern_local_maildir = ${maildirs}/$user/\n`);
    site.server.kill("SIGHUP");
    await site.server.logged(/reload -- version/);
    mail = maildirs;
  });
  after(async () => {
    await site?.stop();
    postfix?.stop();
  });

  /** Submits on 587; resolves to the queue id. */
  const submit = async (to: readonly string[], content: string, from = LOGIN) => {
    const client = await Conversation.open(site.submission);
    await client.say("EHLO client.example");
    await client.startTls();
    await client.say("EHLO client.example");
    assert.match(await client.authPlain(LOGIN, PASSWORD), /^235 /);
    const commands = [`MAIL FROM:<${from}> BODY=8BITMIME`, ...to.map((recipient) => `RCPT TO:<${recipient}>`)];
    for (const command of commands) assert.match(await client.say(command), /^250 /, command);
    assert.match(await client.say("DATA"), /^354 /);
    client.write(Buffer.from(`${content.replace(/^\./gm, "..")}.\r\n`, "latin1"));
    const reply = await client.reply();
    client.close();
    const id = /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1];
    assert.ok(id, reply);
    return id;
  };
  const delivered = (text: string) =>
    soon(
      () => mailsIn(join(postfix.directory, "mail/nobody")).find((content) => content.includes(text)),
      () => site.server.log() + postfix.log(),
    );
  const bounce = (text: string): Promise<string> =>
    soon(
      () => mailsIn(join(mail, "alice")).find((content) => content.includes(text)),
      () => site.server.log() + postfix.log(),
    );

  const bodies = [
    { name: "ascii", body: "plain\r\n" },
    { name: "eight-bit-and-dots", body: EIGHT_BIT },
    { name: "large", body: `${"x".repeat(76)}\r\n`.repeat(20_000) },
    { name: "long-lines", body: `${"y".repeat(998)}\r\n`.repeat(3) },
  ];
  for (const { name, body } of bodies) {
    test(`a message is delivered over TLS, not a byte changed: ${name}`, async () => {
      const sent = `${head(name, "nobody@peer.example.net")}${body}`;
      const id = await submit(["nobody@peer.example.net"], sent);
      const got = await delivered(`Subject: ${name}\n`);
      assert.equal(got.slice(got.indexOf("From: ")), sent.replaceAll("\r\n", "\n"));
      assert.match(got, /Received: from mail\.example\.org \([\s\S]*?\)\n\t\(using TLSv1\.3 with cipher/);
      assert.match(got, /^Return-Path: <alice@example\.org>\n/);
      const line = await site.server.logged(new RegExp(`${id}: to=<nobody@peer.*status=sent.*`));
      const theirs = /dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as (\w+)\)/.exec(line)?.[1];
      assert.ok(theirs, line);
      assert.match(postfix.log(), new RegExp(`${theirs}: to=<nobody@peer.example.net>.*status=sent`));
      assert.match(postfix.log(), /Anonymous TLS connection established from .*127\.0\.0\.1/);
    });
  }

  test("recipients have their own outcomes; the refused ones come back to the sender as one RFC 3464 report", async () => {
    const [good, ...refused] = ["nobody", "refused", "full"].map((name) => `${name}@peer.example.net`) as [
      string,
      ...string[],
    ];
    const sent = `${head("partly", good)}${EIGHT_BIT}`;
    const id = await submit([good, ...refused], sent);
    await delivered("Subject: partly\n");
    const raw = await bounce("<partly@example.org>");
    assert.match(raw, /^Return-Path: <>$/m);
    assert.match(raw, /^Auto-Submitted: auto-replied$/m);
    const report = await parse(raw);
    assert.match(raw, /^Content-Type: multipart\/report; report-type=delivery-status;/m);
    assert.equal(report.from?.address, "MAILER-DAEMON@mail.example.org");
    assert.deepEqual(
      report.to?.map(({ address }) => address),
      [LOGIN],
    );
    const [whole, ...recipients] = deliveryStatus(report);
    assert.equal(whole?.get("reporting-mta"), "dns; mail.example.org");
    assert.deepEqual(recipients.map((fields) => fields.get("final-recipient")).sort(), [
      "rfc822; full@peer.example.net",
      "rfc822; refused@peer.example.net",
    ]);
    for (const fields of recipients) {
      const full = fields.get("final-recipient")?.includes("full");
      assert.equal(fields.get("action"), "failed");
      assert.equal(fields.get("status"), full ? "5.2.2" : "5.1.1");
      assert.match(fields.get("remote-mta") ?? "", /^dns; (?:127\.0\.0\.1|peer\.example\.net|\[127\.0\.0\.1\])$/);
      const said = full ? "552 5.2.2 <full@peer.example.net>" : "550 5.1.1 <refused@peer.example.net>";
      assert.ok(fields.get("diagnostic-code")?.startsWith(`smtp; ${said}: Recipient address rejected`));
    }
    const original = raw.slice(raw.lastIndexOf("Message-ID: <partly"));
    assert.ok(original.includes(EIGHT_BIT.trimEnd().replaceAll("\r\n", "\n")), "with the original");
    assert.match(site.server.log(), new RegExp(`${id}: sender non-delivery notification: \\w+`));
    assert.equal(mailsIn(join(mail, "alice")).filter((content) => content.includes("<partly@")).length, 1);
  });

  test("a message too large for the next hop comes back at once, without its body", async () => {
    const sent = `${head("huge", "nobody@peer.example.net")}${`${"z".repeat(76)}\r\n`.repeat(45_000)}`;
    const id = await submit(["nobody@peer.example.net"], sent);
    const raw = await bounce("<huge@example.org>");
    assert.ok(raw.length < 60_000, `bounce_size_limit: ${raw.length}`);
    const [, fields] = deliveryStatus(await parse(raw));
    assert.match(fields?.get("status") ?? "", /^5\.3\.4$/);
    await site.server.logged(new RegExp(`${id}: .*status=bounced`));
  });

  test("a null sender gets no report", async () => {
    const id = await submit(["refused@peer.example.net"], `${head("null", "x@y.test")}x\r\n`, "");
    await site.server.logged(new RegExp(`${id}: to=<refused@peer.*status=bounced`));
    await site.server.logged(new RegExp(`${id}: removed`));
    assert.ok(!site.server.log().includes(`${id}: sender non-delivery notification`));
  });

  test("a temporary refusal is deferred, not returned", async () => {
    const id = await submit(["later@peer.example.net"], `${head("later", "x@y.test")}x\r\n`);
    await site.server.logged(
      new RegExp(`${id}: to=<later@peer.*dsn=4\\.2\\.0, status=deferred \\(host .* said: 450 4\\.2\\.0 `),
    );
    assert.ok(!mailsIn(join(mail, "alice")).some((content) => content.includes("<later@example.org>")));
  });
});

describe("Postfix relays through Postern's submission", OPTIONS, () => {
  let site: Site;
  let postfix: TestPostfix;
  let preamble: string;

  before(async () => {
    site = await startSite();
    postfix = new TestPostfix(await freePort(), { mainCf: "" });
    writePasswords(PASSWORD);
    preamble = readFileSync(mainCf(), "utf8");
    configure({});
    await postfix.start();
  });
  after(async () => {
    postfix?.stop();
    await site?.stop();
  });

  const writePasswords = (password: string) => {
    const line = `[127.0.0.1]:${site.submission} ${LOGIN}:${password}\n`;
    writeFileSync(join(postfix.directory, "passwords"), line);
  };
  /** Through Postfix's own port, from its mynetworks. */
  const inject = async (content: string) => {
    const client = await Conversation.open(postfix.port);
    await client.say("EHLO client.example");
    assert.match(await client.say(`MAIL FROM:<${LOGIN}> BODY=8BITMIME`), /^250 /);
    assert.match(await client.say("RCPT TO:<friend@elsewhere.test>"), /^250 /);
    assert.match(await client.say("DATA"), /^354 /);
    client.write(Buffer.from(`${content.replace(/^\./gm, "..")}.\r\n`, "latin1"));
    const reply = await client.reply();
    client.close();
    const id = /queued as (\w+)/.exec(reply)?.[1];
    assert.ok(id, reply);
    return id;
  };
  const logged = (pattern: RegExp) =>
    soon(
      () => pattern.exec(postfix.log())?.[0],
      () => postfix.log() + site.server.log(),
    );
  const mainCf = () => join(postfix.directory, "main.cf");
  /** Without `postfix reload`, which does not always come back where the log is maillog_file: max_use = 1 makes each
   *  process of smtp a new one, which reads the file. */
  const configure = (settings: Readonly<Record<string, string>>) => {
    const lines = Object.entries({ ...relaySettings(site, postfix), ...settings });
    writeFileSync(mainCf(), `${preamble}${lines.map(([name, value]) => `${name} = ${value}\n`).join("")}`);
  };

  for (const mechanism of ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]) {
    test(`logs in with ${mechanism} and relays over TLS, not a byte changed`, async () => {
      configure({ smtp_sasl_mechanism_filter: mechanism.toLowerCase() });
      for (const [name, body] of [
        ["small", EIGHT_BIT],
        ["big", `${"x".repeat(76)}\r\n`.repeat(3000)],
      ] as const) {
        const subject = `${mechanism}-${name}`;
        const sent = `${head(subject, "friend@elsewhere.test")}${body}`;
        const id = await inject(sent);
        const got = await site.arrived(`Subject: ${subject}\r\n`);
        assert.equal(
          `${got.slice(got.indexOf("From: "))}\r\n`.replace(/\r\n\r\n$/, "\r\n"),
          sent.replace(/\r\n\r\n$/, "\r\n"),
        );
        assert.match(got, /^Received: from peer\.example\.net [\s\S]*?\r\n\t\(using TLSv1\.3 [\s\S]*?with ESMTPSA id/);
        await logged(
          new RegExp(`${id}: to=<friend@elsewhere\\.test>.*status=sent \\(250 2\\.0\\.0 Ok: queued as \\w+\\)`),
        );
      }
      await site.server.logged(new RegExp(`sasl_method=${mechanism}, sasl_username=alice@example\\.org`));
    });
  }

  test("a wrong password: Postfix keeps the mail and says why", async () => {
    writePasswords("wrong");
    configure({ smtp_sasl_mechanism_filter: "plain" });
    const id = await inject(`${head("wrong", "friend@elsewhere.test")}x\r\n`);
    const line = await logged(new RegExp(`${id}: to=.*status=deferred.*`));
    assert.match(line, /SASL authentication failed; server .* said: 535 5\.7\.8 Error: authentication failed/);
  });

  test("without a login: Postern refuses, and Postfix returns the mail", async () => {
    configure({ smtp_sasl_auth_enable: "no" });
    const id = await inject(`${head("none", "friend@elsewhere.test")}x\r\n`);
    assert.match(await logged(new RegExp(`${id}: to=<friend.*status=bounced.*`)), /said: 55\d 5\.7\.\d .*/);
  });

  test("several messages over one connection", async () => {
    writePasswords(PASSWORD);
    configure({ max_use: "100" }); // The last test: such processes do not read main.cf again.
    const ids = await Promise.all(
      Array.from({ length: 20 }, (_, i) => inject(`${head(`many-${i}`, "friend@elsewhere.test")}x\r\n`)),
    );
    for (const id of ids) await logged(new RegExp(`${id}: .*status=sent`));
    for (let i = 0; i < ids.length; i++) await site.arrived(`Subject: many-${i}\r\n`);
  });
});

function relaySettings(site: Site, postfix: TestPostfix): Readonly<Record<string, string>> {
  return {
    max_use: "1",
    relayhost: `[127.0.0.1]:${site.submission}`,
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_security_options: "noanonymous",
    smtp_sasl_password_maps: `texthash:${postfix.directory}/passwords`,
    smtp_tls_security_level: "encrypt",
    smtp_tls_loglevel: "1",
  };
}

/** To be called before it starts. */
function appendMainCf(postfix: TestPostfix, lines: string): void {
  writeFileSync(join(postfix.directory, "main.cf"), `${lines}\n`, { flag: "a" });
}

function parse(raw: string): Promise<Email> {
  return PostalMime.parse(Buffer.from(raw, "latin1"), { attachmentEncoding: "utf8", forceRfc822Attachments: true });
}

/** The groups of fields of message/delivery-status: first of the message, then of each recipient. Names in lower case. */
function deliveryStatus(report: Email): readonly ReadonlyMap<string, string>[] {
  const part = report.attachments.find(({ mimeType }) => /^message\/(?:global-)?delivery-status$/.test(mimeType));
  assert.ok(part, `no delivery status among ${report.attachments.map(({ mimeType }) => mimeType).join()}`);
  const groups = String(part.content).replaceAll("\r\n", "\n").trim().split(/\n\n+/);
  return groups.map((group) => {
    const lines = group.replace(/\n[ \t]+/g, " ").split("\n");
    return new Map(
      lines
        .map((line) => /^([^:]+): *(.*)$/.exec(line)?.slice(1, 3) ?? ["", ""])
        .map(([n = "", v = ""]) => [n.toLowerCase(), v]),
    );
  });
}
