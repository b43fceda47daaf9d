/** postern_syslog_server of a running server: text, JSON after a reload, and a file beside it. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("postern_syslog_server", { concurrency: false, timeout: 60_000 }, () => {
  const messages: string[] = [];
  const receiver = createSocket("udp4").on("message", (message) => messages.push(message.toString()));
  let server: TestServer;
  let port: number;
  const refuse = async (name: string) => {
    const client = await Conversation.open(port);
    for (const command of [`EHLO ${name}`, "MAIL FROM:<a@b.test>", `RCPT TO:<${name}@c.test>`])
      await client.say(command);
    client.close();
  };
  const received = async (text: string) => {
    for (const end = Date.now() + 5000; Date.now() < end; await sleep(20)) {
      const found = messages.find((message) => message.includes(text));
      if (found !== undefined) return found;
    }
    throw new Error(`Never came: ${text}\n${messages.join("\n")}`);
  };

  before(async () => {
    await new Promise<void>((ready) => receiver.bind(0, "127.0.0.1", ready));
    port = await freePort();
    const mainCf = `compatibility_level = 3.6\nmynetworks =\npostern_syslog_server = udp:127.0.0.1:${receiver.address().port}`;
    server = new TestServer({ mainCf, masterCf: `${port} inet n - n - - smtpd\n` });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    receiver.close();
  });

  test("messages are RFC 5424, numbered; the file has Postfix's lines", async () => {
    await refuse("text");
    assert.match(
      await received("NOQUEUE: reject: RCPT"),
      /^<22>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z mail\.example\.org postfix\/smtpd \d+ - \[meta sequenceId="\d+"\] NOQUEUE: reject: RCPT from localhost\[127\.0\.0\.1\]: 454 4\.7\.1 <text@c\.test>: Relay access denied; /,
    );
    await server.logged(
      /^\w{3} [ \d]\d \d\d:\d\d:\d\d mail postfix\/smtpd\[\d+\]: NOQUEUE: reject: RCPT .*<text@c\.test>/m,
    );
    const numbers = messages.map((message) => Number(/sequenceId="(\d+)"/.exec(message)?.[1]));
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
  });

  test("facility and form follow a reload", async () => {
    server.append("main.cf", "syslog_facility = local3\npostern_log_format = json\n");
    const { code, stderr } = await server.run(["reload"]);
    assert.equal(code, 0, stderr);
    await refuse("json");
    const message = await received("<json@c.test>");
    assert.match(message, /^<158>1 /);
    const { tag, severity, text } = JSON.parse(message.slice(message.indexOf("{")));
    assert.deepEqual([tag, severity], ["postfix/smtpd", "info"]);
    assert.match(text, /^NOQUEUE: reject: RCPT/);
  });
});
