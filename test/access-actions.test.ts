/** test/access-actions.test.ts: what access(5) actions do to real messages: where they go, what stands on top of them, who gets
 *  them. Two next hops: the relay of all mail, and a content filter. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const WAIT_MS = 15_000;

describe("access(5) actions", { concurrency: false, timeout: 90_000 }, () => {
  const relayed: string[] = [];
  const filtered: string[] = [];
  let server: TestServer;
  let port: number;
  let filteredPort: number;
  let relay: NextHop;
  let filter: NextHop;

  before(async () => {
    [port, filteredPort] = [await freePort(), await freePort()];
    relay = await startNextHop({ port: 0, taken: (content) => relayed.push(content) });
    filter = await startNextHop({ port: 0, taken: (content) => filtered.push(content) });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${relay.port}
mydestination = example.org
local_recipient_maps =
mynetworks = 127.0.0.0/8
postern_workers = 1
smtpd_reject_footer = \\c. See the manual
relocated_maps = inline:{ { old@example.org = new@example.net } }
transport_maps = inline:{ { closed.test = error:5.2.1 closed for repair } }
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access texthash:$config_directory/actions`,
      masterCf: `${port} inet n - n - - smtpd
${filteredPort} inet n - n - - smtpd
  -o { content_filter = smtp:[127.0.0.1]:${filter.port} }
scan unix - - n - - smtp
`,
      files: {
        actions: `filter@ FILTER scan:[127.0.0.1]:${filter.port}
nowhere@ FILTER nosuch:[127.0.0.1]:1
one@ PREPEND X-One: 1
two@ PREPEND Message-ID: <mine@example.org>
hold@ HOLD for later
discard@ DISCARD
redirect@ REDIRECT boss@example.net
bcc@ BCC log@example.net
gone@ 521 go away
`,
      },
    });
    await server.start();
  });

  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await relay?.close();
    await filter?.close();
  });

  /** Sends one message; resolves to its queue id. */
  async function send(subject: string, recipients: readonly string[], at = port): Promise<string> {
    const talk = await Conversation.open(at);
    await talk.say("EHLO client.example.net");
    await talk.say("MAIL FROM:<sender@example.net>");
    for (const recipient of recipients) assert.match(await talk.say(`RCPT TO:<${recipient}>`), /^250/);
    await talk.say("DATA");
    const reply = await talk.say(`Subject: ${subject}\r\n\r\nbody\r\n.`);
    talk.close();
    return /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(reply)?.[1] ?? assert.fail(reply);
  }

  async function arrived(taken: readonly string[], subject: string): Promise<string> {
    for (const end = Date.now() + WAIT_MS; Date.now() < end; await sleep(20)) {
      const found = taken.find((content) => content.includes(`Subject: ${subject}\r\n`));
      if (found !== undefined) return found;
    }
    return assert.fail(`${subject} never arrived\n${server.log()}`);
  }

  test("FILTER sends the whole message to its transport, whatever the recipients' own routes are", async () => {
    const id = await send("filter", ["x@far.test", "filter@example.net", "bob@example.org"]);
    await arrived(filtered, "filter");
    await server.logged(new RegExp(`smtp\\[.*${id}: to=<bob@example\\.org>, relay=.*:${filter.port}, .*status=sent`));
    assert.match(server.log(), new RegExp(`${id}: from=<sender@example\\.net>, size=\\d+, nrcpt=3 \\(queue active\\)`));
    assert.ok(!relayed.some((content) => content.includes("Subject: filter\r\n")));
  });

  test("FILTER to a transport that does not exist keeps the mail", async () => {
    const id = await send("nowhere", ["nowhere@example.net"]);
    await server.logged(
      new RegExp(`${id}: to=<nowhere@example\\.net>, .*status=deferred \\(mail transport unavailable\\)`),
    );
  });

  test("content_filter holds for the service that has it, FILTER overrides it", async () => {
    await send("content", ["x@far.test"], filteredPort);
    await arrived(filtered, "content");
    await send("plain", ["x@far.test"]);
    await arrived(relayed, "plain");
    const id = await send("both", ["nowhere@example.net"], filteredPort);
    await server.logged(new RegExp(`${id}: to=<nowhere@example\\.net>, .*status=deferred`));
  });

  test("PREPEND stands above Received, in order, and counts as there", async () => {
    await send("prepend", ["one@example.net", "two@example.net"]);
    const content = await arrived(relayed, "prepend");
    assert.match(content, /^X-One: 1\r\nMessage-ID: <mine@example\.org>\r\nReceived: from /);
    assert.equal(content.match(/^Message-I[dD]:/gm)?.length, 1);
    await server.logged(/message-id=<mine@example\.org>/);
  });

  test("REDIRECT delivers to one address only, BCC adds one that Received does not show", async () => {
    const redirected = await send("redirect", ["x@far.test", "redirect@example.net"]);
    await arrived(relayed, "redirect");
    await server.logged(new RegExp(`${redirected}: to=<boss@example\\.net>, orig_to=<x@far\\.test>, .*status=sent`));
    assert.ok(!server.log().includes(`${redirected}: to=<redirect@example.net>`));
    const copied = await send("bcc", ["bcc@example.net"]);
    const content = await arrived(relayed, "bcc");
    assert.match(content, /for <bcc@example\.net>;/);
    assert.ok(!content.includes("log@example.net"));
    await server.logged(new RegExp(`${copied}: to=<log@example\\.net>, .*status=sent`));
  });

  test("HOLD keeps the message in the queue, DISCARD drops it", async () => {
    const held = await send("hold", ["hold@example.net"]);
    const dropped = await send("discard", ["discard@example.net", "x@far.test"]);
    await server.logged(new RegExp(`${dropped}: removed \\(discarded\\)`));
    const { stdout } = await server.run(["mailq"]);
    assert.match(stdout, new RegExp(`\n${held}! `));
    assert.ok(!stdout.includes(dropped));
  });

  test("refusals at RCPT: 521 with a footer ends the session, moved and closed addresses are told", async () => {
    const talk = await Conversation.open(port);
    await talk.say("EHLO client.example.net");
    await talk.say("MAIL FROM:<sender@example.net>");
    assert.equal(
      await talk.say("RCPT TO:<old@example.org>"),
      "550 5.1.6 <old@example.org>: Recipient address rejected: User has moved to new@example.net. See the manual",
    );
    assert.equal(
      await talk.say("RCPT TO:<x@closed.test>"),
      "550 5.2.1 <x@closed.test>: Recipient address rejected: closed for repair. See the manual",
    );
    assert.match(await talk.say("RCPT TO:<gone@example.net>"), /^521 5\.7\.1 .*go away\. See the manual$/);
    await assert.rejects(talk.say("NOOP"), /closed the connection/);
  });
});
