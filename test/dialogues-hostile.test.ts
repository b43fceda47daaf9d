/** What a script cannot say about an SMTP session: every segmentation, endless lines, clients that vanish, and the stop
 *  of the service. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { Client } from "./dialogues/client.ts";
import { startService } from "./dialogues/edges.ts";

afterEach(() => Client.closeAll());

async function expectLines(client: Client, ...patterns: RegExp[]): Promise<void> {
  for (const pattern of patterns) assert.match(await client.line(), pattern);
}

async function startData(client: Client): Promise<void> {
  client.send("MAIL FROM:<a@example.org>\r\n");
  await expectLines(client, /^250 2\.1\.0/);
  client.send("RCPT TO:<b@example.net>\r\n");
  await expectLines(client, /^250 2\.1\.5/);
  client.send("DATA\r\n");
  await expectLines(client, /^354 /);
}

const SMUGGLES = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\r\n.\r\r\n", "\r\n.\r", "\r\n\0.\r\n"];

test("smuggled ends of data give one message, cut anywhere (SMUG-01, SMUG-02, SMUG-03, SMUG-04, SMUG-05, SMUG-10, DAT-03)", async () => {
  const service = await startService({ smtpd_hard_error_limit: "1000" });
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  for (const end of SMUGGLES) {
    const bytes = `head\r\n${end}MAIL FROM:<x@evil.test>\r\nRCPT TO:<y@evil.test>\r\nDATA\r\nbody\r\n.\r\n`;
    for (let cut = 1; cut < 20; cut++) {
      await startData(client);
      client.send(bytes.slice(0, cut));
      await turn();
      client.send(bytes.slice(cut));
      await expectLines(client, /^250 2\.0\.0 Ok: queued/);
    }
    await startData(client);
    for (const byte of bytes) {
      client.send(byte);
      await turn();
    }
    await expectLines(client, /^250 2\.0\.0 Ok: queued/);
  }
  client.close();
  await service.close();
  assert.equal(service.messages.length, SMUGGLES.length * 20);
  assert.ok(service.messages.every((m) => m.content.includes("MAIL FROM:<x@evil.test>")));
});

test("a line of 200 MB costs no memory and the session goes on", async () => {
  const service = await startService({});
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  const piece = "x".repeat(1 << 20);
  const before = process.memoryUsage().rss;
  client.send("NOOP ");
  for (let i = 0; i < 200; i++) {
    client.send(piece);
    if (client.blocked) await client.drained();
  }
  client.send("\r\nNOOP\r\n");
  // NOOP ends a group, so the second one counts as sent out of turn.
  await expectLines(client, /^(250|554) /);
  client.close();
  await service.close();
  assert.ok(process.memoryUsage().rss - before < 128 << 20);
  assert.ok(
    service.log.some((line) => line.startsWith("warning: unknown[127.0.0.1]: request longer than 2048: NOOP xxxx")),
  );
});

test("garbage of every byte value ends in an error, never in a crash", async () => {
  const service = await startService({ smtpd_error_sleep_time: "0", smtpd_forbid_unauth_pipelining: "no" });
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  let bytes = "";
  for (let i = 0; i < 256; i++) bytes += `${String.fromCharCode(i)}${String.fromCharCode(255 - i)} x\r\n`;
  client.send(bytes);
  let last = "";
  for (let line = await client.line(); line !== "(closed)"; line = await client.line()) {
    assert.match(line, /^[245]\d\d /);
    last = line;
  }
  assert.match(last, /^(221 2\.7\.0|421 4\.7\.0)/);
  await service.close();
});

test("a client that vanishes in DATA leaves nothing behind (SMTP-42)", async () => {
  const service = await startService({});
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  await startData(client);
  client.send("half a message\r\n");
  await pause(20);
  client.reset();
  await service.close();
  assert.deepEqual(
    service.messages.map((m) => m.state),
    ["aborted"],
  );
  assert.ok(service.log.some((line) => /: lost connection after DATA \(16 bytes\) from unknown\[127/.test(line)));
});

test("a client that closes its side early still gets all replies", async () => {
  const service = await startService({});
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  await startData(client);
  client.send("x\r\n.\r\nQUIT\r\n");
  client.endInput();
  await expectLines(client, /^250 2\.0\.0/, /^221 /, /^\(closed\)$/);
  await service.close();
});

test("drain() says 421 between messages, and lets one that has begun end (SMTP-27)", async () => {
  const service = await startService({});
  const idle = await Client.connect(service.port);
  const busy = await Client.connect(service.port);
  await expectLines(idle, /^220 /);
  await expectLines(busy, /^220 /);
  await startData(busy);
  const drained = service.smtpd.drain(5_000);
  await expectLines(idle, /^421 4\.3\.2 mail\.example\.org Service shutting down/, /^\(closed\)$/);
  const late = await Client.connect(service.port);
  await expectLines(late, /^421 4\.3\.2/, /^\(closed\)$/);
  busy.send("x\r\n.\r\n");
  await expectLines(busy, /^250 2\.0\.0 Ok: queued/, /^421 4\.3\.2/, /^\(closed\)$/);
  await drained;
  assert.equal(service.smtpd.sessions, 0);
  await service.close();
});

test("drain() ends a transaction after its grace", async () => {
  const service = await startService({});
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  await startData(client);
  const drained = service.smtpd.drain(20);
  await expectLines(client, /^421 4\.3\.2/, /^\(closed\)$/);
  await drained;
  assert.deepEqual(
    service.messages.map((m) => m.state),
    ["aborted"],
  );
  await service.close();
});

test("a client that never reads its replies is not served without end", async () => {
  const service = await startService({ smtpd_timeout: "1", smtpd_junk_command_limit: "10000000" });
  const client = await Client.connect(service.port);
  await expectLines(client, /^220 /);
  client.send("EHLO x\r\n");
  for (let line = await client.line(); !line.startsWith("250 "); line = await client.line());
  client.pause();
  client.send("HELP\r\n".repeat(1_000_000));
  const timedOut = () => service.log.some((line) => /timeout after HELP/.test(line));
  for (let i = 0; i < 300 && !timedOut(); i++) await pause(50);
  client.close();
  await service.close();
  assert.ok(
    service.log.some((line) => /timeout after HELP/.test(line)),
    service.log.join("\n"),
  );
});

test("300 idle sessions do not keep another from sending (SMTP-44)", async () => {
  const service = await startService({});
  const idle = await Promise.all(Array.from({ length: 300 }, () => Client.connect(service.port)));
  for (const client of idle) await expectLines(client, /^220 /);
  const busy = await Client.connect(service.port);
  await expectLines(busy, /^220 /);
  await startData(busy);
  busy.send("x\r\n.\r\n");
  await expectLines(busy, /^250 2\.0\.0 Ok: queued/);
  for (const client of idle) client.send("NOOP\r\n");
  for (const client of idle) await expectLines(client, /^250 /);
  Client.closeAll();
  await service.close();
  assert.equal(service.messages.length, 1);
});
