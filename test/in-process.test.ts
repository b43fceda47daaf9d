/** postern_workers = 0: everything in one process, as a user. Root is refused, since nothing would give up privileges. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

test("postern_workers = 0 delivers as a user and is refused as root", async () => {
  const port = await freePort();
  await using server = new TestServer({
    mainCf: `compatibility_level = 3.10\npostern_workers = 0\nmynetworks = 127.0.0.0/8\ndefault_transport = discard:
smtpd_relay_restrictions = permit_mynetworks, reject`,
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  if (process.getuid?.() === 0) {
    await assert.rejects(server.start(), /ended with 78: [\s\S]*postern_workers = 0 is refused as root/);
    return;
  }
  await server.start();
  const client = await Conversation.open(port);
  await client.say("EHLO client.example");
  assert.match(
    await client.send({ from: "a@example.org", to: "b@elsewhere.test", content: "Subject: x\r\n\r\ny" }),
    /^250 /,
  );
  await server.logged(/status=sent[\s\S]*: removed/);
  client.close();
});
