/** test/before-queue-filter.test.ts: smtpd_proxy_filter on a running server, with a filter that hands mail back to another
 *  service of it. Replies, log lines and commands are compared with a real Postfix in test/interop. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { ReinjectingFilter } from "./testbed/reinjecting-filter.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("a before-queue filter", { concurrency: false, timeout: 60_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let sink: NextHop;
  let filter: ReinjectingFilter | undefined;
  let ports: { direct: number; adjusted: number; filter: number; back: number };

  before(async () => {
    sink = await startNextHop({ port: 0, taken: (content) => void taken.push(content) });
    ports = { direct: await freePort(), adjusted: await freePort(), filter: await freePort(), back: await freePort() };
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${sink.port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_proxy_filter = 127.0.0.1:${ports.filter}
smtpd_proxy_timeout = 5s`,
      masterCf: `127.0.0.1:${ports.direct} inet n - n - - smtpd
127.0.0.1:${ports.adjusted} inet n - n - - smtpd
  -o smtpd_proxy_options=speed_adjust
127.0.0.1:${ports.back} inet n - n - - smtpd
  -o smtpd_proxy_filter=
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
`,
    });
    await server.start();
    filter = await ReinjectingFilter.start(ports.filter, ports.back);
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await filter?.[Symbol.asyncDispose]();
    await sink?.close();
  });

  const send = async (port: number, content: string) => {
    const client = await Conversation.open(port);
    await client.say("EHLO pc.test");
    const reply = await client.send({ from: "a@b.test", to: "x@far.test", content });
    client.close();
    return reply;
  };

  for (const service of ["direct", "adjusted"] as const) {
    test(`${service}: what the filter hands back is queued once, and its answer is the client's`, async () => {
      const before = taken.length;
      const body = `..dots\r\n${"a line of some length\r\n".repeat(20_000)}`;
      const reply = await send(ports[service], `Subject: ${service}\r\n\r\n${body}end`);
      const id = /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(reply)?.[1];
      assert.ok(id, reply);
      await server.logged(new RegExp(`${id}: to=<x@far\\.test>.*status=sent`));
      assert.equal(taken.length, before + 1);
      const content = taken.at(-1) ?? "";
      assert.ok(content.endsWith(`\r\n\r\n${body.slice(1)}end`), "every byte, dots undone");
      assert.match(content, /^Received: from pc\.test .*\r\n\tby \S+ \(Postern\) with ESMTP\r\n\tfor <x@far\.test>; /m);
      await server.logged(/proxy-accept: END-OF-MESSAGE: 250 2\.0\.0 Ok: queued as/);
      assert.match(server.log(), new RegExp(`${id}: client=.*, orig_client=\\S*\\[127\\.0\\.0\\.1\\]`));
    });

    test(`${service}: what it refuses is refused, and nothing is queued`, async () => {
      const before = taken.length;
      assert.equal(await send(ports[service], "Subject: x\r\n\r\nVIRUS"), "550 5.7.1 The message holds a virus");
      await server.logged(/proxy-reject: END-OF-MESSAGE: 550 5\.7\.1 The message holds a virus/);
      assert.equal(taken.length, before);
    });
  }

  test("without the filter no mail is taken", async () => {
    await filter?.[Symbol.asyncDispose]();
    filter = undefined;
    assert.equal(await send(ports.direct, "Subject: x\r\n\r\ny"), "451 4.3.0 Error: queue file write error");
    assert.equal(await send(ports.adjusted, "Subject: x\r\n\r\ny"), "451 4.3.0 Error: queue file write error");
    await server.logged(/warning: connect to proxy filter 127\.0\.0\.1:\d+: Connection refused/);
    assert.match((await server.run(["queue", "list"])).stdout, /^No message\.$/m);
  });
});
