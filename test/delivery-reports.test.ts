/** test/delivery-reports.test.ts: a running server between a client that asks for reports and next hops that know DSN, do
 *  not know it, refuse and defer: what the hops are asked, what the sender and the postmaster get, what the log says. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import PostalMime, { type Email } from "postal-mime";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const WAIT_MS = 15_000;

const TEMPLATES = `failure_template = <<EOF
Charset: utf-8
From: Post Office <MAILER-DAEMON>
Subject: It came back
Postmaster-Subject: Copy: it came back

Grüße von $myhostname.
EOF
`;

describe("delivery reports", { concurrency: false, timeout: 60_000 }, () => {
  const asked: string[] = [];
  const hops: NextHop[] = [];
  let server: TestServer;
  let port: number;
  let maildirs: string;
  const read = new Set<string>();

  before(async () => {
    const hop = async (options: { refusal?: string; keywords?: readonly string[] }) => {
      const next = await startNextHop({ port: 0, asked: (command) => asked.push(command), ...options });
      hops.push(next);
      return `smtp:[127.0.0.1]:${next.port}`;
    };
    const modern = await hop({ keywords: ["DSN", "8BITMIME", "SMTPUTF8"] });
    const old = await hop({});
    const refusing = await hop({ refusal: "550-5.1.1 No such user\r\n550 5.1.1 here" });
    const slow = await hop({ refusal: "450 4.2.0 Try later" });
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
transport_maps = inline:{ { modern.test = ${modern} } { old.test = ${old} } { refused.test = ${refusing} } { slow.test = ${slow} } }
mydestination = example.org, $myhostname
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
bounce_template_file = bounce.cf
notify_classes = 2bounce
postern_undeclared_binary = return
delay_warning_time = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
transport_retry_time = 1s`,
      masterCf: `${port} inet n - n - - smtpd\n`,
      files: { "bounce.cf": TEMPLATES },
    });
    maildirs = join(server.directory, "mail");
    mkdirSync(maildirs);
    chmodSync(maildirs, 0o777);
    server.append("main.cf", `postern_local_maildir = ${maildirs}/$user/\npostern_workers = 1\n`);
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await Promise.all(hops.map((hop) => hop.close()));
  });

  /** Sends one message; resolves to its queue id. */
  const send = async (mail: string, rcpts: readonly string[], fields = ""): Promise<string> => {
    const client = await Conversation.open(port);
    assert.match(await client.say("EHLO client.example"), /^250[- ]DSN\r?$/m);
    for (const command of [`MAIL FROM:${mail}`, ...rcpts.map((rcpt) => `RCPT TO:${rcpt}`)]) {
      assert.match(await client.say(command), /^250 /, command);
    }
    assert.match(await client.say("DATA"), /^354 /);
    const reply = await client.say(`Subject: test\r\nMessage-ID: <m@example.org>\r\n${fields}\r\nsecret body\r\n.`);
    client.close();
    return /queued as (\w+)/.exec(reply)?.[1] ?? assert.fail(reply);
  };

  /** The next mail for this user, as a MIME parser reads it. */
  const received = async (user = "alice"): Promise<{ mail: Email; raw: string; status: string }> => {
    const inbox = join(maildirs, user, "new");
    for (const end = Date.now() + WAIT_MS; Date.now() < end; await sleep(20)) {
      const name = (existsSync(inbox) ? readdirSync(inbox) : []).find((one) => !read.has(one));
      if (name === undefined) continue;
      read.add(name);
      const bytes = readFileSync(join(inbox, name));
      const mail = await PostalMime.parse(bytes, { attachmentEncoding: "utf8", forceRfc822Attachments: true });
      const status = mail.attachments.find(({ mimeType }) => mimeType === "message/delivery-status")?.content;
      return { mail, raw: bytes.toString("utf8"), status: String(status) };
    }
    throw new Error(`no mail for ${user}:\n${server.log()}`);
  };

  test("DSN-20: a hop that knows DSN gets all that was asked, and reports by itself", async () => {
    const id = await send("<alice@example.org> RET=HDRS ENVID=QQ+2B1", [
      "<a@modern.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2BX@Example.ORG",
      "<o+x@modern.test>",
    ]);
    await server.logged(new RegExp(`${id}: removed`));
    assert.deepEqual(asked.splice(0), [
      "MAIL FROM:<alice@example.org> BODY=7BIT ENVID=QQ+2B1 RET=HDRS",
      "RCPT TO:<a@modern.test> ORCPT=rfc822;Bob+2BX@Example.ORG NOTIFY=SUCCESS,FAILURE",
      "RCPT TO:<o+x@modern.test> ORCPT=rfc822;o+2Bx@modern.test",
    ]);
    assert.doesNotMatch(server.log(), new RegExp(`${id}: sender`));
  });

  test("DSN-21: a hop without DSN gets nothing of it; the sender hears that mail was relayed", async () => {
    const id = await send("<alice@example.org> RET=FULL ENVID=E1", [
      "<a@old.test> NOTIFY=SUCCESS ORCPT=rfc822;orig@x.test",
      "<b@old.test>",
    ]);
    await server.logged(new RegExp(`${id}: sender delivery status notification: [0-9A-F]+`));
    assert.deepEqual(asked.splice(0), [
      "MAIL FROM:<alice@example.org>",
      "RCPT TO:<a@old.test>",
      "RCPT TO:<b@old.test>",
    ]);
    const { mail, raw, status } = await received();
    assert.equal(mail.subject, "Successful Mail Delivery Report");
    assert.match(status, /^Original-Envelope-Id: E1\r?$/m);
    assert.match(status, /\nFinal-Recipient: rfc822; a@old\.test\r?\nOriginal-Recipient: rfc822;orig@x\.test\r?\n/);
    assert.match(status, /\nAction: relayed\r?\nStatus: 2\.0\.0\r?\nRemote-MTA: dns; 127\.0\.0\.1\r?\n/);
    assert.match(status, /\nDiagnostic-Code: smtp; 250 2\.0\.0 Ok: kept/);
    assert.doesNotMatch(raw, /b@old\.test|secret body/);
  });

  test("DSN-25: delivery into a maildir is reported as delivered", async () => {
    await send("<alice@example.org>", ["<carol@example.org> NOTIFY=SUCCESS"]);
    const { status } = await received();
    assert.match(status, /\nFinal-Recipient: rfc822; carol@example\.org\r?\n[\s\S]*\nAction: delivered\r?\n/);
  });

  test("BDAT-10: binary content that was not declared is accepted, and comes back", async () => {
    const id = await send(
      "<alice@example.org> BODY=8BITMIME",
      ["<a@modern.test>", "<n@modern.test> NOTIFY=NEVER"],
      "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n",
    );
    const why = "Binary content was not declared \\(BODY=BINARYMIME\\)";
    await server.logged(
      new RegExp(`${id}: to=<a@modern\\.test>, relay=none, .*dsn=5\\.6\\.3, status=bounced \\(${why}\\)`),
    );
    await server.logged(new RegExp(`${id}: removed`));
    const { raw, status } = await received();
    assert.match(
      status,
      /\nFinal-Recipient: rfc822; a@modern\.test\r?\n[\s\S]*\nAction: failed\r?\nStatus: 5\.6\.3\r?\n/,
    );
    assert.doesNotMatch(raw, /n@modern\.test|secret body/);
    assert.deepEqual(asked, []);
  });

  test("DSN-22, DSN-44: a refusal comes back, with the site's own text and the headers only", async () => {
    const id = await send("<alice@example.org> RET=HDRS", [
      "<a@refused.test> NOTIFY=FAILURE",
      "<n@refused.test> NOTIFY=NEVER",
    ]);
    await server.logged(new RegExp(`${id}: sender non-delivery notification: [0-9A-F]+`));
    await server.logged(new RegExp(`${id}: undeliverable mail to <n@refused\\.test> dropped, NOTIFY=NEVER`));
    const { mail, raw, status } = await received();
    assert.equal(mail.subject, "It came back");
    assert.equal(mail.from?.name, "Post Office");
    assert.match(mail.text ?? "", /^Grüße von mail\.example\.org\.[\s\S]*<a@refused\.test>: host/);
    assert.match(
      status,
      /\nStatus: 5\.1\.1\r?\n[\s\S]*Diagnostic-Code: smtp; 550-5\.1\.1 No such user 550 5\.1\.1 here/,
    );
    assert.doesNotMatch(raw, /n@refused\.test|secret body/);
  });

  test("DSN-31: mail with the null sender goes to the postmaster, whole, where notify_classes says so", async () => {
    const id = await send("<>", ["<a@refused.test>"]);
    await server.logged(new RegExp(`${id}: postmaster non-delivery notification: [0-9A-F]+`));
    const { mail, raw } = await received("postmaster");
    assert.equal(mail.subject, "Copy: it came back");
    assert.match(raw, /^Return-Path: <double-bounce@mail\.example\.org>/m);
    assert.match(raw, /\nX-Postfix-Sender: rfc822; MAILER-DAEMON@[\s\S]*secret body/);
    assert.doesNotMatch(raw, /Grüße/);
  });

  test("mail to the double-bounce address is discarded", async () => {
    const id = await send("<alice@example.org>", ["<double-bounce@mail.example.org>"]);
    await server.logged(new RegExp(`${id}: .*status=sent \\(undeliverable postmaster notification discarded\\)`));
  });

  test("DSN-26: a delay is told of once, to those who want to know", async () => {
    const id = await send("<alice@example.org>", ["<a@slow.test> NOTIFY=DELAY", "<b@slow.test> NOTIFY=FAILURE"]);
    await server.logged(new RegExp(`${id}: sender delay notification: [0-9A-F]+`));
    const { mail, status } = await received();
    assert.equal(mail.subject, "Delayed Mail (still being retried)");
    assert.match(
      status,
      /\nFinal-Recipient: rfc822; a@slow\.test\r?\n[\s\S]*\nAction: delayed\r?\nStatus: 4\.2\.0\r?\n/,
    );
    assert.match(status, /\nWill-Retry-Until: /);
    assert.doesNotMatch(status, /b@slow\.test/);
    const told = server.log().indexOf(`${id}: sender delay`);
    await server.logged(
      new RegExp(`^[\\s\\S]{${told}}[\\s\\S]*?(?:${id}: to=<a@slow\\.test>.*status=deferred[\\s\\S]*?){2}`),
    );
    assert.equal(server.log().split(`${id}: sender delay`).length, 2);
  });

  test("promise 2: the report is named before the message is gone", () => {
    const lines = server.log().split("\n");
    const reports = lines.flatMap((line, i) => {
      const id = /: (\w+): sender (?:non-delivery|delivery status) notification: /.exec(line)?.[1];
      return id === undefined ? [] : [{ id, i }];
    });
    assert.equal(reports.length, 4);
    for (const { id, i } of reports) {
      assert.ok(lines.findIndex((line) => line.includes(`${id}: removed`)) > i, `${id}\n${server.log()}`);
    }
  });
});
