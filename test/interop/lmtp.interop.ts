/** Delivery by LMTP to a real Dovecot: over a UNIX socket and over TCP; recipients of one message with different fates; many at a
 *  time; from a virtual mailbox domain and from the local agent's mailbox_transport. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { hasDovecotLmtp, TestDovecotLmtp } from "../testbed/dovecot-lmtp.ts";
import { eventually } from "../testbed/eventually.ts";
import { freePort, TestServer } from "../testbed/server.ts";

describe("LMTP to a real Dovecot", {
  concurrency: false,
  timeout: 120_000,
  skip: !hasDovecotLmtp() && "not installed",
}, () => {
  let server: TestServer;
  let dovecot: TestDovecotLmtp;
  let port: number;

  before(async () => {
    const lmtpPort = await freePort();
    dovecot = new TestDovecotLmtp({ port: lmtpPort, users: { alice: 0, bob: 0, carol: 0, full: 2000, local: 0 } });
    await dovecot.start();
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
mydestination = example.org
local_recipient_maps =
virtual_mailbox_domains = socket.test, inet.test
transport_maps = inline:{ {socket.test = lmtp:unix:${dovecot.socket}} {inet.test = lmtp:inet:127.0.0.1:${lmtpPort}} }
mailbox_transport = lmtp:unix:${dovecot.socket}
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await dovecot?.remove();
  });

  /** Sends one message to all; resolves to its queue id. */
  const send = async (to: readonly string[], subject: string, body = "body"): Promise<string> => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    await client.say("MAIL FROM:<sender@from.test>");
    for (const rcpt of to) assert.match(await client.say(`RCPT TO:<${rcpt}>`), /^250 /);
    await client.say("DATA");
    const reply = await client.say(`Subject: ${subject}\r\n\r\n${body}\r\n.`);
    client.close();
    const [, id] = /queued as (\w+)/.exec(reply) ?? [];
    assert.ok(id, reply);
    return id;
  };
  const kept = (user: string, subject: string) =>
    dovecot.mail(user).filter((text) => text.includes(`Subject: ${subject}\n`));

  for (const domain of ["socket.test", "inet.test"]) {
    test(`${domain}: recipients of one message have their own fates`, async () => {
      const big = "x".repeat(70).concat("\r\n").repeat(100);
      const id = await send(
        ["alice", "full", "nobody", "bob"].map((user) => `${user}@${domain}`),
        `fates ${domain}`,
        big,
      );
      await server.logged(new RegExp(`${id}: removed`));
      const line = (user: string) => new RegExp(`lmtp\\[\\d+\\]: ${id}: to=<${user}@.*`).exec(server.log())?.[0] ?? "";
      const relay =
        domain === "socket.test"
          ? `relay=mail\\.example\\.org\\[${dovecot.socket}\\], `
          : "relay=127\\.0\\.0\\.1\\[127\\.0\\.0\\.1\\]:\\d+, ";
      for (const user of ["alice", "bob"]) {
        assert.match(
          line(user),
          new RegExp(`${relay}.*dsn=2\\.0\\.0, status=sent \\(250 2\\.0\\.0 <${user}@\\S+> \\S+ Saved\\)`),
        );
        assert.equal(kept(user, `fates ${domain}`).length, 1);
      }
      assert.match(
        line("full"),
        /dsn=5\.2\.2, status=bounced \(host .* said: 552 5\.2\.2 <full@\S+> Quota exceeded .*\)/,
      );
      assert.match(
        line("nobody"),
        /dsn=5\.1\.1, status=bounced \(host .* said: 550 5\.1\.1 <nobody@\S+> User doesn't exist: .*\)/,
      );
      await server.logged(new RegExp(`${id}: sender non-delivery notification`));
    });

    test(`${domain}: many messages at a time arrive once each`, async () => {
      const subjects = Array.from({ length: 40 }, (_, i) => `many ${domain} ${i}`);
      await Promise.all(subjects.map((subject) => send([`carol@${domain}`, `bob@${domain}`], subject)));
      await eventually(async () => {
        for (const subject of subjects) {
          assert.deepEqual([kept("carol", subject).length, kept("bob", subject).length], [1, 1], subject);
        }
      });
    });
  }

  test("mailbox_transport: the local agent hands over, and the log names lmtp", async () => {
    const id = await send(["local+folder@example.org"], "handed over");
    await server.logged(
      new RegExp(
        `lmtp\\[\\d+\\]: ${id}: to=<local\\+folder@example\\.org>, relay=.*status=sent \\(250 2\\.0\\.0 .*Saved\\)`,
      ),
    );
    assert.equal(kept("local", "handed over").length, 1);
  });

  test("dots, long lines and bytes beyond ASCII arrive as they were sent", async () => {
    const body = `.\r\n..two\r\n${"y".repeat(900)}\r\nGr\u00fc\u00dfe\r\n`;
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    await client.say("MAIL FROM:<sender@from.test> BODY=8BITMIME");
    await client.say("RCPT TO:<alice@socket.test>");
    await client.say("DATA");
    client.write(Buffer.from(`Subject: bytes\r\n\r\n${body.replace(/^\./gm, "..")}.\r\n`, "latin1"));
    assert.match(await client.reply(), /^250 /);
    client.close();
    await eventually(async () => assert.equal(kept("alice", "bytes").length, 1));
    assert.ok(kept("alice", "bytes")[0]?.endsWith(body.replaceAll("\r\n", "\n")));
  });
});
