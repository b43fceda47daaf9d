/** policyd-spf, the usual guest of a spawn service, as its package says to run it. It asks the DNS nothing for clients of
 *  this machine, and says so in a header. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const PROGRAM = "/usr/bin/policyd-spf";

describe("policyd-spf as a spawn service", {
  timeout: 120_000,
  skip: !(process.getuid?.() === 0 && existsSync(PROGRAM)) && "not installed",
}, () => {
  let server: TestServer;
  let port: number;
  let hop: NextHop;
  const taken: string[] = [];
  before(async () => {
    port = await freePort();
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
local_transport = smtp:[127.0.0.1]:${hop.port}
policyd-spf_time_limit = 3600
smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf`,
      masterCf: `${port} inet n - n - - smtpd
policyd-spf unix - n n - 0 spawn
  user=policyd-spf argv=${PROGRAM}
`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
  });

  test("its answer is put before the message", async () => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const mail = { from: "bob@example.net", to: "friend@example.org", content: "Subject: hello\r\n\r\nx" };
    assert.match(await client.send(mail), /^250 2\.0\.0 Ok: queued as /);
    client.close();
    for (const end = Date.now() + 10_000; taken.length === 0 && Date.now() < end; ) await sleep(50);
    assert.match(taken[0] ?? "", /^X-Comment: SPF check N\/A for local connections - client-ip=127\.0\.0\.1;/m);
    assert.doesNotMatch(server.log(), /warning: (?:command|spawn_command|problem talking)/);
  });
});
