/** Milters: a real OpenDKIM signs what Postern takes; and what a scripted Milter is told, and what its answers do to the client, compared
 *  with the installed Postfix. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { type MilterScript, numbered, type ScriptedMilter, startMilter } from "../testbed/scripted-milter.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const SETTINGS = (milter: string, hop: number) => `relayhost = [127.0.0.1]:${hop}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
milter_command_timeout = 2s
milter_content_timeout = 2s
milter_macro_daemon_name = ORIGINATING
smtpd_milters = ${milter}`;

const hasOpenDkim = process.getuid?.() === 0 && existsSync("/usr/sbin/opendkim");

interface Case {
  readonly why: string;
  readonly script: MilterScript;
  readonly commands?: readonly string[];
}

const at = (letter: string, answer: unknown): MilterScript => ({
  answer: (command) => (command === letter ? (answer as string) : undefined),
});
const REPLIES = ["r", "t", "d", "a", "y550 5.1.1 no\0", "y450 4.2.0 wait\0", "y421 4.7.0 gone\0"];
const LETTERS = ["C", "H", "M", "R", "T", "L", "N", "B", "E", "U"];

const CASES: readonly Case[] = [
  { why: "continue everywhere", script: {} },
  ...LETTERS.flatMap((letter) =>
    // At an unknown command Postfix takes "accept" for an error, and "discard" for the next message.
    REPLIES.filter((answer) => letter !== "U" || (answer !== "a" && answer !== "d")).map((answer) => ({
      why: `${letter}: ${JSON.stringify(answer)}`,
      script: at(letter, answer),
    })),
  ),
  {
    why: "changes of the header",
    script: at("E", [
      numbered("i", 0, "X-A", "1"),
      numbered("i", 1, "X-B", "2"),
      "hX-C\x003\n4\0",
      numbered("m", 1, "subject", "new"),
      numbered("m", 1, "X-None", "added"),
      "c",
    ]),
  },
  {
    why: "a header is removed, one far away inserted",
    script: at("E", [numbered("m", 1, "Subject", ""), numbered("i", 99, "X-Z", "z"), "c"]),
  },
  { why: "another body", script: at("E", ["bone\r\n", "btwo\r\n", "c"]) },
  { why: "quarantine", script: at("E", ["qbad\0", "c"]) },
  { why: "skip", script: at("B", "s") },
  { why: "another body, then refused", script: at("E", ["bone\r\n", "r"]) },
];

describe("a scripted Milter, as with Postfix", {
  concurrency: false,
  timeout: 250_000,
  skip: !hasPostfix() && "not installed, or not root",
}, () => {
  let hop: NextHop;
  let postfix: TestPostfix;
  let server: TestServer;
  let ports: { readonly name: string; readonly port: number; readonly milter: ScriptedMilter }[] = [];
  let script: MilterScript = {};
  let taken: string[] = [];

  before(async () => {
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    const milters = [0, 1].map(() => startMilter({ answer: (command, data) => script.answer?.(command, data) }));
    const [first, second] = (await Promise.all(milters)) as [ScriptedMilter, ScriptedMilter];
    const [a, b] = [await freePort(), await freePort()];
    postfix = new TestPostfix(a, { mainCf: SETTINGS(`inet:127.0.0.1:${first.port}`, hop.port) });
    await postfix.start();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10\n${SETTINGS(`inet:127.0.0.1:${second.port}`, hop.port)}`,
      masterCf: `${b} inet n - n - - smtpd\n`,
    });
    await server.start();
    ports = [
      { name: "Postfix", port: a, milter: first },
      { name: "Postern", port: b, milter: second },
    ];
  });
  after(async () => {
    postfix?.stop();
    await server?.[Symbol.asyncDispose]();
    for (const { milter } of ports) await milter.close();
    await hop?.close();
  });

  /** What the client and the Milter see, and what arrives. */
  const observe = async ({ port, milter }: { port: number; milter: ScriptedMilter }) => {
    milter.events.length = 0;
    taken = [];
    const client = await Conversation.open(port);
    const replies: string[] = [
      client.greeting.replace(/ESMTP Post.*/, "ESMTP").replace(/(?:peer|mail)\.example\.\w+/, "HOST"),
    ];
    const ask = async (line: string) => {
      const reply = await client.say(line).catch(() => "(closed)");
      replies.push(line.startsWith("EHLO") ? reply.slice(0, 4) : reply);
      return reply;
    };
    let last = "";
    for (const line of [
      "EHLO client.test",
      "FOO bar",
      "MAIL FROM:<a@x.test> SIZE=10",
      "RCPT TO:<b@x.test>",
      "RCPT TO:<c@x.test>",
      "DATA",
    ]) {
      last = await ask(line);
    }
    if (last.startsWith("354")) {
      client.write(
        Buffer.from(
          "From: a@x.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x.test>\r\nSubject: s\r\n folded\r\nTo: b@x.test\r\n\r\nbody\r\n.\r\n",
        ),
      );
      last = await client.reply();
      replies.push(last.replace(/queued as \w+/, "queued as ID"));
    }
    await ask("QUIT");
    client.close();
    await eventually(
      async () => assert.ok(milter.events.at(-1) === "Q" || milter.events.length === 0, milter.events.join("\n")),
      3000,
    ).catch(() => undefined);
    const queued = /^250.*queued/.test(last);
    if (queued) await eventually(async () => assert.ok(taken.length > 0), 1500).catch(() => undefined);
    const content = taken.map((text) => text.replace(/^Received: (?:.*\r\n)(?:[ \t].*\r\n)*/m, "Received: ours\r\n"));
    // Postfix does not always say goodbye.
    const events = milter.events
      .filter((line) => line !== "Q")
      .map((line) =>
        line
          .replace(/\bi=\w+/, "i=ID")
          .replace(/ v=.* _=/, " v=V _=")
          .replace(/\{mail_host\}=\S+|\{rcpt_host\}=\S+/g, ""),
      )
      .map((line) =>
        line
          .replace(/^D C .*/, "D C")
          .replace(/ +/g, " ")
          .trim(),
      );
    return { replies, events, content };
  };

  for (const { why, script: one } of CASES) {
    test(why, async () => {
      script = one;
      const [theirs, ours] = [await observe(ports[0] as never), await observe(ports[1] as never)];
      assert.deepEqual(ours, theirs);
    });
  }
});

describe("OpenDKIM", {
  concurrency: false,
  timeout: 60_000,
  skip: !hasOpenDkim && "not installed, or not root",
}, () => {
  // It takes neither configuration nor key from where everybody can write.
  let directory = "";
  const taken: string[] = [];
  let hop: NextHop;
  let daemon: ChildProcess | undefined;
  let server: TestServer;
  let port: number;
  let record: string;

  before(async () => {
    directory = mkdtempSync("/run/opendkim-test-");
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    record = `v=DKIM1; k=rsa; p=${publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
    const key = join(directory, "key.pem");
    writeFileSync(key, privateKey.export({ type: "pkcs1", format: "pem" }));
    chmodSync(key, 0o600);
    const [milter, own] = [await freePort(), await freePort()];
    port = own;
    const settings = `Socket inet:${milter}@127.0.0.1\nDomain x.test\nSelector s\nKeyFile ${key}\nMode s\nSyslog no\nMacroList daemon_name=ORIGINATING\nInternalHosts 192.0.2.1\nUserID root\n`;
    writeFileSync(join(directory, "opendkim.conf"), settings);
    daemon = spawn("/usr/sbin/opendkim", ["-f", "-x", join(directory, "opendkim.conf")], { stdio: "ignore" });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10\n${SETTINGS(`inet:127.0.0.1:${milter}`, hop.port)}`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(async () => {
    daemon?.kill();
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const bodies = [
    { name: "plain", body: "hello\r\n" },
    { name: "dots and blanks", body: ".\r\n..x  \r\n\r\n\r\n" },
    { name: "eight bits", body: "Gr\u00fc\u00dfe\r\n" },
    { name: "a body of many packets", body: `${"0123456789".repeat(7)}\r\n`.repeat(5000) },
  ];
  for (const { name, body } of bodies) {
    test(`signs what comes from ORIGINATING, and the signature arrives whole: ${name}`, async () => {
      await eventually(async () => {
        const client = await Conversation.open(port);
        for (const line of ["EHLO c", "MAIL FROM:<a@x.test> BODY=8BITMIME", "RCPT TO:<b@y.test>", "DATA"]) {
          assert.match(await client.say(line), /^[23]/, server.log());
        }
        client.write(
          Buffer.from(
            `From: a@x.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: ${name}\r\n\r\n${body.replace(/^\./gm, "..")}.\r\n`,
          ),
        );
        assert.match(await client.reply(), /^250/);
        client.close();
      });
      await eventually(async () => assert.ok(taken.some((text) => text.includes(`Subject: ${name}\r\n`))));
      const content = taken.find((text) => text.includes(`Subject: ${name}\r\n`)) ?? "";
      assert.match(content, /^DKIM-Signature: [\s\S]*?\r\nReceived: /);
      const { results } = await dkimVerify(Buffer.from(content, "latin1"), { resolver: async () => [[record]] });
      assert.deepEqual(
        results.map(({ status }) => status.result),
        ["pass"],
      );
    });
  }
});
