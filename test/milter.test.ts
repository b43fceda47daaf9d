/** Milters of a running server: what they are told, what they may refuse and change, and what happens when one fails. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { type MilterScript, numbered, type ScriptedMilter, startMilter } from "./testbed/scripted-milter.ts";
import { freePort, TestServer } from "./testbed/server.ts";

let hop: NextHop;
let server: TestServer;
let port: number;
let milter: ScriptedMilter;
let second: ScriptedMilter;
const taken: string[] = [];
const asked: string[] = [];
/** What the two do in this test. */
let script: MilterScript = {};
let secondScript: MilterScript = {};

const STEPS = { noBody: 0x10, rejectedRecipients: 0x800 };

before(async () => {
  hop = await startNextHop({
    port: 0,
    taken: (content) => taken.push(content),
    asked: (command) => asked.push(command),
  });
  milter = await startMilter({
    steps: STEPS.rejectedRecipients,
    macros: { 3: "i {rcpt_mailer} {rcpt_host}" },
    answer: (command, data) => script.answer?.(command, data),
  });
  second = await startMilter({
    steps: STEPS.noBody,
    bytewise: true,
    answer: (command, data) => secondScript.answer?.(command, data),
  });
  port = await freePort();
  server = new TestServer({
    mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access inline:{ { no@x.test = REJECT 5.7.9 not him } { drop@x.test = DISCARD } }
postern_workers = 1
milter_command_timeout = 2s
milter_content_timeout = 2s
milter_macro_daemon_name = ORIGINATING
smtpd_milters = inet:127.0.0.1:${milter.port}, { inet:127.0.0.1:${second.port}, default_action=accept }`,
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  await server.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await milter?.close();
  await second?.close();
  await hop?.close();
});

interface Sending {
  readonly script?: MilterScript;
  readonly second?: MilterScript;
  readonly body?: string;
  readonly to?: readonly string[];
}

/** Replies by command; stops at the first that is no 2xx or 3xx. */
async function send({
  script: first = {},
  second: other = {},
  body = "body\r\n",
  to = ["bob@x.test"],
}: Sending): Promise<readonly string[]> {
  script = first;
  secondScript = other;
  milter.events.length = 0;
  second.events.length = 0;
  asked.length = 0;
  const client = await Conversation.open(port);
  const replies: string[] = [];
  const commands = [
    "EHLO client.test",
    "MAIL FROM:<alice@x.test> SIZE=100",
    ...to.map((one) => `RCPT TO:<${one}>`),
    "DATA",
  ];
  for (const command of commands) {
    const reply = await client.say(command);
    replies.push(reply.split("\r\n").at(-1) ?? reply);
    if (!/^[23]/.test(replies.at(-1) ?? "")) break;
  }
  if (replies.at(-1)?.startsWith("354")) {
    client.write(Buffer.from(`From: alice@x.test\r\nX-One:  1\r\nX-Two: 2\r\n folded\r\nX-One: 3\r\n\r\n${body}.\r\n`));
    replies.push(await client.reply());
  }
  await client.say("QUIT");
  client.close();
  return replies;
}

/** The content of the next message, without our own Received. */
async function next(): Promise<string> {
  await eventually(async () => assert.ok(taken.length > 0, server.log()));
  return (taken.shift() ?? "").replace(/^Received: (?:.*\r\n)(?:[ \t].*\r\n)*/m, "");
}

test("each step reaches the Milters in order, with its macros; the body comes last", async () => {
  const replies = await send({});
  assert.match(replies.at(-1) ?? "", /^250 2\.0\.0 Ok: queued as \w+$/);
  await next();
  const id = /queued as (\w+)/.exec(replies.at(-1) ?? "")?.[1];
  await eventually(async () => assert.equal(milter.events.at(-1), "Q"));
  assert.deepEqual(
    milter.events.filter((line) => !line.startsWith("D C")),
    [
      "C localhost 4 127.0.0.1",
      "D H",
      "H client.test",
      `D M {mail_addr}=alice@x.test {mail_host}=[127.0.0.1]:${hop.port} {mail_mailer}=smtp`,
      "M <alice@x.test> SIZE=100",
      `D R {rcpt_mailer}=smtp {rcpt_host}=[127.0.0.1]:${hop.port}`,
      "R <bob@x.test>",
      `D T i=${id}`,
      "T",
      `D L i=${id}`,
      "L From alice@x.test",
      `D L i=${id}`,
      "L X-One  1",
      `D L i=${id}`,
      "L X-Two 2\n folded",
      `D L i=${id}`,
      "L X-One 3",
      `D N i=${id}`,
      "N",
      `D B i=${id}`,
      "B body",
      `D E i=${id}`,
      "E",
      "A",
      "A",
      "Q",
    ],
  );
  const connect = milter.events.find((line) => line.startsWith("D C")) ?? "";
  assert.match(
    connect,
    / j=mail\.example\.org \{daemon_name\}=ORIGINATING \{daemon_addr\}=127\.0\.0\.1 v=Postern \S+ _=localhost \[127\.0\.0\.1\]$/,
  );
  assert.ok(!second.events.some((line) => line.startsWith("B")), "the second does without the body");
});

const REFUSALS = [
  { at: "M", answer: "r", reply: "550 5.7.1 Command rejected", why: "reject" },
  { at: "M", answer: "t", reply: "451 4.7.1 Service unavailable - try again later", why: "tempfail" },
  { at: "R", answer: "y550 5.1.1 no such user\0", reply: "550 5.1.1 no such user", why: "a reply of its own" },
  { at: "R", answer: "y450 wait\0", reply: "450 wait", why: "without status" },
  { at: "T", answer: "r", reply: "550 5.7.1 Command rejected", why: "at DATA" },
  { at: "L", answer: "r", reply: "550 5.7.1 Command rejected", why: "a header" },
  { at: "N", answer: "t", reply: "451 4.7.1 Service unavailable - try again later", why: "the end of the header" },
  { at: "B", answer: "r", reply: "550 5.7.1 Command rejected", why: "the body" },
  { at: "E", answer: "y554 5.7.1 virus\0", reply: "554 5.7.1 virus", why: "the end" },
  { at: "H", answer: "r", reply: "550 5.7.1 Command rejected", why: "at HELO, told at MAIL" },
  {
    at: "M",
    answer: "zwhat",
    reply: "451 4.7.1 Service unavailable - try again later",
    why: "no reply of the protocol: the default action",
  },
  {
    at: "R",
    answer: "y250 2.0.0 Ok\0",
    reply: "451 4.3.5 Server configuration problem - try again later",
    why: "a reply that is no refusal",
  },
  { at: "R", answer: "", reply: "451 4.7.1 Service unavailable - try again later", why: "it hangs up" },
  { at: "E", answer: "-", reply: "451 4.7.1 Service unavailable - try again later", why: "it says nothing in time" },
];

for (const { at, answer, reply, why } of REFUSALS) {
  test(`a refusal reaches the client, and nothing is queued: ${why} (${at})`, async () => {
    const replies = await send({ script: { answer: (command) => (command === at ? answer : undefined) } });
    assert.equal(replies.at(-1), reply);
    if (answer.startsWith("r") && at === "E")
      await server.logged(/milter-reject: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: /);
    assert.equal(taken.length, 0);
  });
}

test("a refused recipient is only that", async () => {
  const refuse = (command: string, data: Buffer) => (command === "R" && data.includes("bad@") ? "r" : undefined);
  script = { answer: refuse };
  const client = await Conversation.open(port);
  for (const command of ["EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<good@x.test>"]) await client.say(command);
  assert.equal(await client.say("RCPT TO:<bad@x.test>"), "550 5.7.1 Command rejected");
  assert.match(await client.say("DATA"), /^354/);
  client.write(Buffer.from("Subject: one\r\n\r\n.\r\n"));
  assert.match(await client.reply(), /^250/);
  client.close();
  assert.match(await next(), /^Subject: one\r$/m);
  await server.logged(
    /NOQUEUE: milter-reject: RCPT from localhost\[127\.0\.0\.1\]: 550 5\.7\.1 Command rejected; from=<a@x\.test> to=<bad@x\.test> proto=ESMTP helo=<c>|\w+: milter-reject: RCPT from/,
  );
});

test("header changes at positions, added and removed recipients, another sender, another body", async () => {
  const changes = [
    "hX-Added\0one\ntwo\0",
    numbered("i", 0, "X-First", "f"),
    numbered("i", 2, "X-Third", "t"),
    numbered("m", 2, "X-One", "changed"),
    numbered("m", 1, "X-Two", ""),
    numbered("m", 1, "X-New", "new"),
    "+<carol@x.test>\0",
    "-<bob@x.test>\0",
    "e<other@x.test>\0",
    "bnew body\r\n",
    "bsecond part\r\n",
    "p",
    "c",
  ];
  const replies = await send({
    script: { answer: (command) => (command === "E" ? (changes as never) : undefined) },
    to: ["bob@x.test", "dan@x.test"],
  });
  assert.match(replies.at(-1) ?? "", /^250/);
  const content = await next();
  assert.match(content, /^X-First: f\r\nX-Third: t\r\nFrom: alice@x\.test\r\nX-One: {2}1\r\nX-One: changed\r\n/);
  assert.match(content, /\r\nX-Added: one\r\n\ttwo\r\nX-New: new\r\n\r\nnew body\r\nsecond part$/);
  assert.doesNotMatch(content, /X-Two|folded/);
  assert.deepEqual(
    asked.map((command) => command.replace(/ SIZE.*/, "")),
    ["MAIL FROM:<other@x.test>", "RCPT TO:<dan@x.test>", "RCPT TO:<carol@x.test>"],
  );
  assert.ok(second.events.includes("L X-First f"), "the second sees what the first has changed");
});

test("a replaced body of a message that went to a file; the file is read again for the next Milter", async () => {
  const large = `${"x".repeat(70)}\r\n`.repeat(20_000);
  const sizes: number[] = [];
  const answer = (command: string, data: Buffer) => {
    if (command === "B") sizes.push(data.length);
    return command === "E" ? (["bsmall\r\n", "c"] as never) : undefined;
  };
  const replies = await send({ script: { answer }, body: large });
  assert.match(replies.at(-1) ?? "", /^250/);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    large.length,
  );
  assert.ok(sizes.every((size) => size <= 65_535));
  assert.match(await next(), /\r\n\r\nsmall$/);
});

test("discard: the client hears 250, nobody gets it", async () => {
  const replies = await send({ script: { answer: (command) => (command === "R" ? "d" : undefined) } });
  assert.match(replies.at(-1) ?? "", /^250/);
  await server.logged(/milter-discard: RCPT from localhost\[127\.0\.0\.1\]: milter triggers DISCARD action/);
  assert.equal(taken.length, 0);
});

test("quarantine: the message is held", async () => {
  const replies = await send({
    script: { answer: (command) => (command === "E" ? (["qspam\0", "c"] as never) : undefined) },
  });
  const id = /queued as (\w+)/.exec(replies.at(-1) ?? "")?.[1] ?? "none";
  await server.logged(/milter-hold: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: milter triggers HOLD action/);
  const { stdout } = await server.run(["mailq"]);
  assert.match(stdout, new RegExp(`^${id}!`, "m"));
  await server.run(["postsuper", "-d", id]);
});

test("accept and skip: no more is asked", async () => {
  const accepted = await send({ script: { answer: (command) => (command === "M" ? "a" : undefined) } });
  assert.match(accepted.at(-1) ?? "", /^250/);
  await next();
  assert.ok(!milter.events.some((line) => /^[RTLNBE]/.test(line)), milter.events.join("\n"));
  const large = "y\r\n".repeat(60_000);
  const skipped = await send({ script: { answer: (command) => (command === "B" ? "s" : undefined) }, body: large });
  assert.match(skipped.at(-1) ?? "", /^250/);
  await next();
  assert.equal(milter.events.filter((line) => line.startsWith("B")).length, 1);
  assert.ok(milter.events.includes("E"));
});

test("RSET aborts; the next message is a new one", async () => {
  script = {};
  milter.events.length = 0;
  const client = await Conversation.open(port);
  for (const command of ["EHLO c", "MAIL FROM:<a@x.test>", "RSET", "MAIL FROM:<b@x.test>", "FOO bar", "QUIT"])
    await client.say(command);
  client.close();
  await eventually(async () => assert.equal(milter.events.at(-1), "Q"));
  assert.deepEqual(
    milter.events.filter((line) => /^[AMU]/.test(line)),
    ["M <a@x.test>", "A", "M <b@x.test>", "U FOO", "A", "A"],
    "as Postfix tells it: one for the message, one for the greeting",
  );
});

/** What the first Milter hears that begins with one of the letters, after EHLO and these commands. */
async function heard(commands: readonly string[], letters: RegExp): Promise<readonly string[]> {
  milter.events.length = 0;
  const client = await Conversation.open(port);
  for (const command of ["EHLO c", ...commands, "QUIT"]) await client.say(command);
  client.close();
  await eventually(async () => assert.equal(milter.events.at(-1), "Q"));
  return milter.events.filter((line) => letters.test(line));
}

test("the words of MAIL and RCPT are as the client wrote them; the macros have the addresses that came of it", async () => {
  script = {};
  assert.deepEqual(await heard(['MAIL FROM: <@y.test:"a b"@x.test>  RET=HDRS', "RCPT TO:b@x.test"], /^(?:D )?[MR] /), [
    `D M {mail_addr}="a b"@x.test {mail_host}=[127.0.0.1]:${hop.port} {mail_mailer}=smtp`,
    'M <@y.test:"a b"@x.test> RET=HDRS',
    `D R {rcpt_mailer}=smtp {rcpt_host}=[127.0.0.1]:${hop.port}`,
    "R b@x.test",
  ]);
});

test("a recipient that a restriction refuses: only a Milter that counts those hears of it, and its word means nothing", async () => {
  script = { answer: (command, data) => (command === "R" && data.includes("no@") ? "d" : undefined) };
  const client = await Conversation.open(port);
  for (const command of ["EHLO c", "MAIL FROM:<a@x.test>"]) await client.say(command);
  second.events.length = 0;
  const refused = "554 5.7.9 <no@x.test>: Recipient address rejected: not him";
  assert.equal(await client.say("RCPT TO:<no@x.test>"), refused);
  assert.match(await client.say("RCPT TO:<bob@x.test>"), /^250/);
  const told = "D R {rcpt_mailer}=error {rcpt_host}=5.7.9";
  assert.deepEqual(milter.events.slice(milter.events.indexOf(told)).slice(0, 2), [told, "R <no@x.test>"]);
  assert.deepEqual(
    second.events.filter((line) => line.startsWith("R")),
    ["R <bob@x.test>"],
  );
  assert.match(await client.say("DATA"), /^354/);
  client.write(Buffer.from("Subject: counted\r\n\r\n.\r\n"));
  assert.match(await client.reply(), /^250/);
  client.close();
  assert.match(await next(), /^Subject: counted\r$/m);
});

test("a message that is to be discarded is not shown to the Milters any more", async () => {
  script = {};
  const recipients = ["bob", "drop", "carol"].map((name) => `RCPT TO:<${name}@x.test>`);
  const commands = ["MAIL FROM:<a@x.test>", ...recipients, "DATA", "Subject: s\r\n\r\n."];
  assert.deepEqual(await heard(commands, /^[MRTLBE]/), ["M <a@x.test>", "R <bob@x.test>"]);
});

test("a Milter that is down: each by its own default action", async () => {
  await second.close();
  const accepted = await send({});
  assert.match(accepted.at(-1) ?? "", /^250/, "default_action = accept");
  await next();
  await server.logged(/warning: connect to Milter service inet:127\.0\.0\.1:\d+: /);
  await milter.close();
  const client = await Conversation.open(port);
  assert.match(await client.say("EHLO c"), /^250/);
  assert.equal(await client.say("MAIL FROM:<a@x.test>"), "451 4.7.1 Service unavailable - try again later");
  client.close();
});
