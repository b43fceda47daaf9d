/** test/address-verification.test.ts: verified recipients and senders on a running server with two workers: probes are never
 *  mail, results are shared and survive a restart. Replies and log lines are compared with a real Postfix in
 *  test/interop/address-verification.interop.ts. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("address verification", { concurrency: false, timeout: 60_000 }, () => {
  const asked: string[] = [];
  const taken: string[] = [];
  let server: TestServer;
  let taking: NextHop;
  let refusing: NextHop;
  let port: number;
  let closedPort: number;

  before(async () => {
    taking = await startNextHop({
      port: 0,
      asked: (command) => void asked.push(command),
      taken: (content) => void taken.push(content),
    });
    refusing = await startNextHop({ port: 0, refusal: "550 5.1.1 No such user here" });
    [port, closedPort] = [await freePort(), await freePort()];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
postern_workers = 2
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${taking.port}
transport_maps = inline:{ { refused.test = smtp:[127.0.0.1]:${refusing.port} } }
address_verify_poll_delay = 1s
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = reject_unverified_sender, reject_unverified_recipient, permit`,
      masterCf: `127.0.0.1:${port} inet n - n - - smtpd
127.0.0.1:${closedPort} inet n - n - - smtpd
  -o mynetworks=192.0.2.1
`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await taking?.close();
    await refusing?.close();
  });

  const rcpt = async (from: string, to: string, at = port) => {
    const client = await Conversation.open(at);
    await client.say("EHLO pc.test");
    await client.say(`MAIL FROM:<${from}>`);
    const reply = await client.say(`RCPT TO:<${to}>`);
    client.close();
    return reply;
  };

  test("a recipient that the next hop refuses is refused; the probe is no mail", async () => {
    const reply = await rcpt("s@taken.test", "nobody@refused.test");
    assert.match(
      reply,
      /^450 4\.1\.1 <nobody@refused\.test>: .*unverified address: host .* said: 550 5\.1\.1 No such user/,
    );
    await server.logged(/to=<nobody@refused\.test>.*status=undeliverable/);
    assert.deepEqual(taken, []);
    assert.match((await server.run(["queue", "list"])).stdout, /^No message\.$/m);
  });

  test("mail between verified addresses is taken and delivered once", async () => {
    const client = await Conversation.open(port);
    await client.say("EHLO pc.test");
    const reply = await client.send({ from: "s@taken.test", to: "r@taken.test", content: "Subject: x\r\n\r\ny" });
    client.close();
    assert.match(reply, /^250 /);
    await server.logged(/to=<r@taken\.test>.*status=sent/);
    assert.equal(taken.length, 1);
    assert.match(asked.join("\n"), /MAIL FROM:<double-bounce@mail\.example\.org>\nRCPT TO:<s@taken\.test>/);
  });

  test("mail to the sender of probes is taken from strangers, and discarded; other mail is not", async () => {
    assert.match(await rcpt("", "double-bounce@mail.example.org", closedPort), /^250 /);
    assert.match(await rcpt("", "r@taken.test", closedPort), /^554 /);
  });

  test("explain says that nobody is asked; the proof takes the words for such as a stranger passes", async () => {
    const args = ["--client", "127.0.0.1", "--from", "s@taken.test", "--to", "r@taken.test"];
    const explained = await server.run(["explain", "--service", `127.0.0.1:${port}`, ...args]);
    assert.match(explained.stdout + explained.stderr, /reject_unverified_recipient/);
    assert.match(explained.stdout + explained.stderr, /not asked/);
    const checked = await server.run(["check"]);
    assert.doesNotMatch(checked.stdout + checked.stderr, /unverified|address_verify/);
  });

  test("what was found is known to both workers, and after a restart", async () => {
    await server.stop();
    await server.start();
    const before = asked.length;
    for (let i = 0; i < 6; i++) assert.match(await rcpt("s@taken.test", "r@taken.test"), /^250 /);
    assert.equal(asked.length, before);
  });
});
