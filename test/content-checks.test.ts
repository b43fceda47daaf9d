/** header_checks and body_checks in a running server: the reply, what is queued, and what the next hop gets. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const RULES = "/^A: *(.*)/ $1\n/^Received:.*laptop/ REPLACE X-Received: hidden\n";

describe("content checks", { concurrency: false, timeout: 60_000 }, () => {
  /** Commands and contents at the next hop. */
  const got: string[] = [];
  let hop: NextHop;
  let server: TestServer;
  let port: number;
  let unchecked: number;
  let strict: number;

  before(async () => {
    const keep = (text: string) => void got.push(text);
    hop = await startNextHop({ port: 0, taken: keep, asked: keep });
    [port, unchecked, strict] = [await freePort(), await freePort(), await freePort()];
    server = new TestServer({
      mainCf: `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:${hop.port}
virtual_alias_maps = inline:{ { team@b.test = one@b.test } }
header_checks = regexp:$config_directory/rules
body_checks = regexp:$config_directory/rules`,
      masterCf: `127.0.0.1:${port} inet n - n - - smtpd
127.0.0.1:${unchecked} inet n - n - - smtpd -o receive_override_options=no_header_body_checks
127.0.0.1:${strict} inet n - n - - smtpd -o strict_8bitmime=yes -o header_checks= -o body_checks=
smtp unix - - n - - smtp
discard unix - - n - - discard
`,
      files: { rules: RULES },
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
  });

  /** Sends one message; resolves to the reply. */
  const send = async (content: string, to = port) => {
    got.length = 0;
    const client = await Conversation.open(to);
    await client.say("EHLO laptop");
    const reply = await client.send({ from: "s@a.test", to: "to@b.test", content });
    client.close();
    return reply;
  };
  const queueId = (reply: string) => /queued as (\w+)/.exec(reply)?.[1] ?? "";

  for (const [content, want] of [
    ["A: REJECT no thanks\r\n\r\nb", "550 5.7.1 no thanks"],
    ["S: x\r\n\r\nA: REJECT 4.7.9 later", "451 4.7.9 later"],
    ["A:\r\n\r\nb", "451 4.3.0 Error: queue file write error"],
  ] as const) {
    test(`refused at its end, and nothing is queued: ${JSON.stringify(content)}`, async () => {
      assert.equal(await send(content), want);
      assert.match((await server.run(["postqueue", "-p"])).stdout, /^Mail queue is empty/);
    });
  }

  for (const [content, want] of [
    ["S: \u00e9\r\n\r\nb", "550 5.6.0 improper use of 8-bit data in message header"],
    ["S: x\r\n\r\nb\u00e9", "550 5.6.0 improper use of 8-bit data in message body"],
  ] as const) {
    test(`a fault is told at the end: ${JSON.stringify(content)}`, async () => {
      assert.equal(await send(content, strict), want);
      const told = await send("S: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u00e9", strict);
      await server.logged(new RegExp(`${queueId(told)}: removed`));
    });
  }

  test("fields and lines are changed, our own Received is checked too", async () => {
    const reply = await send("A: PREPEND X-New: y\r\nA: IGNORE\r\nTo: me@b.test\r\n\r\nA: REPLACE line\r\n.A\r\n");
    await server.logged(new RegExp(`${queueId(reply)}: removed`));
    assert.match(
      got.at(-1) ?? "",
      /^X-Received: hidden\r\nX-New: y\r\nA: PREPEND X-New: y\r\nTo: me@b\.test\r\n(?:.+\r\n)*\r\nline\r\n/,
    );
  });

  test("BCC adds recipients, with their aliases; nobody hears of it", async () => {
    const reply = await send("A: BCC team@b.test\r\nA: BCC TEAM@b.test\r\nTo: to@b.test\r\n\r\nb");
    await server.logged(new RegExp(`${queueId(reply)}: removed`));
    const rcpts = got.filter((line) => line.startsWith("RCPT")).map((line) => line.split(" ")[1]);
    assert.deepEqual(rcpts.sort(), ["TO:<one@b.test>", "TO:<to@b.test>"]);
  });

  test("REDIRECT replaces the recipients, and comes before FILTER", async () => {
    const reply = await send("A: FILTER discard:\r\nA: REDIRECT r@b.test\r\n\r\nb");
    await server.logged(new RegExp(`${queueId(reply)}: to=<r@b.test>, orig_to=<to@b.test>, .*status=sent`));
    assert.ok(got.includes("RCPT TO:<r@b.test>"));
  });

  test("FILTER gets the message", async () => {
    const reply = await send("A: FILTER discard:\r\n\r\nb");
    await server.logged(
      new RegExp(`/discard.*${queueId(reply)}: to=<to@b.test>, relay=none, .*dsn=2.0.0, status=sent`),
    );
  });

  test("HOLD keeps it, DISCARD says that it was taken", async () => {
    const held = queueId(await send("S: x\r\n\r\nA: HOLD"));
    assert.match((await server.run(["postqueue", "-p"])).stdout, new RegExp(`^${held}! `, "m"));
    const discarded = queueId(await send("S: x\r\n\r\nA: DISCARD spam"));
    await server.logged(
      new RegExp(`${discarded}: discard: body A: DISCARD spam from .*: spam\n.*${discarded}: removed \\(discarded\\)`),
    );
    assert.ok(!(await server.run(["postqueue", "-p"])).stdout.includes(discarded));
  });

  test("no_header_body_checks turns them off for a service", async () => {
    const reply = await send("A: REJECT\r\n\r\nA: REJECT", unchecked);
    await server.logged(new RegExp(`${queueId(reply)}: removed`));
    assert.match(got.at(-1) ?? "", /^Received: /);
  });

  const nested = (i: number) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`;
  for (const { why, content, want } of [
    {
      why: "10,000 levels",
      content: Array.from({ length: 10_000 }, (_, i) => nested(i)).join(""),
      want: /^550 5\.6\.0 MIME nesting exceeds safety limit$/,
    },
    { why: "100,000 fields of a part", content: `${nested(0)}${"X: y\r\n".repeat(100_000)}`, want: /^250 / },
    {
      why: "100,000 fields",
      content: `${"X-Field: y\r\n".repeat(100_000)}\r\nb`,
      want: /^552 5\.3\.4 .* header too big$/,
    },
    {
      why: "a field without end",
      content: `X: ${"y".repeat(2_000_000)}\r\n\r\nb`,
      want: /^552 5\.3\.4 .* header too big$/,
    },
    {
      why: "a field of a part without end",
      content: `${nested(0)}X: ${"y".repeat(2_000_000)}\r\n\r\nb`,
      want: /^250 /,
    },
    { why: "a line of 8 MB", content: `S: x\r\n\r\n${"y".repeat(8_000_000)}`, want: /^250 / },
    { why: "no field at all", content: "no colon\r\nA: REJECT\r\n", want: /^550 / },
    { why: "controls", content: "S: \0\r\r\n\x01\r\n\r\n\0\r\0", want: /^250 / },
  ]) {
    test(`hostile content: ${why}`, async () => assert.match(await send(content), want));
  }

  test("an edit of the rules counts without reload", async () => {
    server.write("rules", "/^B:/ REJECT new rule\n");
    await eventually(async () => assert.equal(await send("B: x\r\n\r\nb"), "550 5.7.1 new rule"));
  });
});
