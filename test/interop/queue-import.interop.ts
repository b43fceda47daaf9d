/** test/interop/queue-import.interop.ts: the queue of a real Postfix comes over: envelope, reports asked for, and content. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { startNextHop } from "../testbed/next-hop.ts";
import { TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

test("postern queue import takes over the mail of Postfix", { timeout: 120_000 }, async () => {
  const port = await freePort();
  const mainCf = `default_transport = smtp:[127.0.0.1]:${await freePort()}\nmynetworks = 127.0.0.0/8\n`;
  const postfix = new TestPostfix(port, { mainCf });
  const [taken, asked]: [string[], string[]] = [[], []];
  const keywords = ["8BITMIME", "DSN", "SMTPUTF8"];
  const hop = await startNextHop({
    ...{ port: 0, keywords, taken: (content: string) => void taken.push(content) },
    asked: (command: string) => void asked.push(command),
  });
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10\nrelayhost = [127.0.0.1]:${hop.port}\nmydestination =\nmynetworks =`,
    masterCf: `${await freePort()} inet n - n - - smtpd\n`,
  });
  const run = () =>
    server.run(["queue", "import", `${postfix.directory}/queue`, "--postfix-config", postfix.directory]);
  try {
    await postfix.start();
    const client = await Conversation.open(port);
    for (const command of [
      ...["EHLO client.example", "MAIL FROM:<al@x.test> RET=HDRS ENVID=e+2B1 BODY=8BITMIME"],
      ...["RCPT TO:<bob@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+40x.test", 'RCPT TO:<"c d"@x.test>', "DATA"],
    ]) {
      assert.match(await client.say(command), /^(?:2|354)/, command);
    }
    client.write(Buffer.from(`Subject: eight bits\r\n\r\n\xe4\x00${"y".repeat(900)}\r\n..\r\nlast\r\n`, "latin1"));
    assert.match(await client.say("."), /^250/);
    client.close();
    const env = { ...process.env, MAIL_CONFIG: postfix.directory };
    execFileSync("/usr/sbin/sendmail", ["-f", "<>", "held@x.test"], { env, input: "Subject: held\n\nbody\n" });
    await eventually(async () => assert.equal(postfix.log().match(/status=deferred/g)?.length, 3, postfix.log()));
    const held = /(\w+): to=<held@x\.test>/.exec(postfix.log())?.[1] ?? "";
    execFileSync("postsuper", ["-c", postfix.directory, "-h", held], { stdio: "ignore" });
    assert.match((await run()).stderr, /Postfix is running on .*; stop it first: postfix stop\n$/);
    execFileSync("postfix", ["-c", postfix.directory, "stop"], { stdio: "ignore" });

    const { code, stdout } = await run();
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^Imported: 2\. Imported before: 0\. Nothing left to deliver: 0\. Not possible: 0\.$/m);
    assert.match((await run()).stdout, /^Imported: 0\. Imported before: 2\./m);
    assert.match((await server.run(["mailq"])).stdout, /^\w+! .*MAILER-DAEMON\n *held@x\.test$/m);

    await server.start();
    await eventually(async () => assert.equal(taken.length, 1, server.log()));
    assert.deepEqual(asked.sort(), [
      "MAIL FROM:<al@x.test> BODY=8BITMIME ENVID=e+2B1 RET=HDRS",
      'RCPT TO:<"c d"@x.test> ORCPT=rfc822;"c+20d"@x.test',
      "RCPT TO:<bob@x.test> ORCPT=rfc822;Bob@x.test NOTIFY=SUCCESS,DELAY",
    ]);
    const [content = ""] = taken;
    assert.ok(content.endsWith(`\r\n\r\n\xe4\x00${"y".repeat(900)}\r\n.\r\nlast`), JSON.stringify(content.slice(-80)));
  } finally {
    postfix.stop();
    await server[Symbol.asyncDispose]();
    await hop.close();
  }
});
