/** A server that signs: keys made and rotated with `postern dkim`, mail verified at the next hop by a verifier that is not ours. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

let hop: NextHop;
/** Knows nobody. */
let refusing: NextHop;
let server: TestServer;
let port: number;
let outside: number;
const taken: string[] = [];
/** Name to TXT record, as printed by the command. */
const zone = new Map<string, string>();

async function postern(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.run(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

function learn(output: string): void {
  for (const [, name = "", strings = ""] of output.matchAll(/^(\S+)\. IN TXT \( (.*) \)$/gm)) {
    zone.set(name, [...strings.matchAll(/"([^"]*)"/g)].map((m) => m[1]).join(""));
  }
}

before(async () => {
  hop = await startNextHop({ port: 0, taken: (content) => taken.push(content), keywords: ["8BITMIME", "SMTPUTF8"] });
  refusing = await startNextHop({ port: 0, refusal: "550 5.1.1 no such user" });
  [port, outside] = [await freePort(), await freePort()];
  server = new TestServer({
    mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
mynetworks = 127.0.0.0/8
transport_maps = inline:{ {nobody@example.net = smtp:[127.0.0.1]:${refusing.port}} }
local_header_rewrite_clients = permit_mynetworks
smtpd_relay_restrictions = permit_mynetworks, reject
postern_workers = 1
postern_dkim_signing_file = $config_directory/dkim/keys`,
    masterCf: `${port} inet n - n - - smtpd\n${outside} inet n - n - - smtpd -o local_header_rewrite_clients=\n`,
  });
  learn(await postern("dkim", "generate", ".example.org"));
  await postern("dkim", "rotate", "example.org", "--force");
  await server.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await hop?.close();
  await refusing?.close();
});

/** The reply to the final dot. */
async function send(options: {
  from?: string;
  to?: number;
  body?: string;
  subject?: string;
  rcpt?: string;
}): Promise<string> {
  const { from = "Alice <alice@example.org>", to = port, body = "x\r\n", subject = "s" } = options;
  const { rcpt = "bob@example.net" } = options;
  const client = await Conversation.open(to);
  await client.say("EHLO client.example.org");
  await client.say("MAIL FROM:<alice@example.org> BODY=8BITMIME SMTPUTF8");
  assert.match(await client.say(`RCPT TO:<${rcpt}>`), /^250 /);
  assert.match(await client.say("DATA"), /^354 /);
  client.write(Buffer.from(`From: ${from}\r\nSubject: ${subject}\r\n\r\n${body.replace(/^\./gm, "..")}.\r\n`, "utf8"));
  const reply = await client.reply();
  client.close();
  return reply;
}

async function arrived(subject: string): Promise<string> {
  const find = () => taken.find((content) => content.includes(`Subject: ${subject}\r\n`));
  await eventually(async () => assert.ok(find(), `${subject} has not arrived:\n${server.log()}`));
  return find() ?? "";
}

async function verdicts(content: string): Promise<readonly string[]> {
  const resolver = async (name: string) => (zone.has(name) ? [[zone.get(name) ?? ""]] : []);
  const { results } = await dkimVerify(Buffer.from(content, "latin1"), { resolver });
  return results.map(({ status, signingDomain }) => `${status.result} ${signingDomain}`);
}

const MESSAGES = [
  { subject: "plain", expected: ["pass example.org", "pass example.org"], why: "both keys sign" },
  {
    subject: "dots",
    body: ".\r\n..\r\n.x\r\n",
    expected: ["pass example.org", "pass example.org"],
    why: "stuffed dots",
  },
  {
    subject: "utf8",
    body: "Gr\u00fc\u00dfe\r\n",
    expected: ["pass example.org", "pass example.org"],
    why: "8-bit text",
  },
  {
    subject: "large",
    body: "0123456789\r\n".repeat(90_000),
    expected: ["pass example.org", "pass example.org"],
    why: "a body that goes to a file",
  },
  {
    subject: "subdomain",
    from: "a@news.example.org",
    expected: ["pass example.org", "pass example.org"],
    why: "the line has a dot",
  },
  { subject: "foreign", from: "a@example.com", expected: ["none undefined"], why: "a domain without key" },
] as const;

for (const { why, expected, ...message } of MESSAGES) {
  test(`what a user submits is signed for the domain in From (MOD-08): ${why}`, async () => {
    assert.match(await send(message), /^250 /, server.log());
    assert.deepEqual(await verdicts(await arrived(message.subject)), expected);
  });
}

test("mail from elsewhere is not signed, whatever it says", async () => {
  assert.match(await send({ subject: "outside", to: outside }), /^250 /);
  assert.doesNotMatch(await arrived("outside"), /^DKIM-Signature:/im);
});

test("DKIM-05, DKIM-06: a delivery report is signed for our own domain", async () => {
  assert.match(await send({ subject: "in vain", rcpt: "nobody@example.net" }), /^250 /);
  const report = await arrived("Undelivered Mail Returned to Sender");
  assert.match(report, /^From: .*<MAILER-DAEMON@mail\.example\.org>/m);
  assert.deepEqual(await verdicts(report), ["pass example.org", "pass example.org"]);
});

test("RPT-03: mail of our own programs, as TLS reports are, is signed, without l=", async () => {
  const content = "From: tls-reports@example.org\nTo: r@example.net\nSubject: Report Domain: x\n\nreport\n";
  const sent = await server.run(["sendmail", "-f", "tls-reports@example.org", "r@example.net"], content);
  assert.equal(sent.code, 0, sent.stderr);
  const report = await arrived("Report Domain: x");
  assert.deepEqual(await verdicts(report), ["pass example.org", "pass example.org"]);
  assert.doesNotMatch(report, /[;\t ]l=/);
});

test("after a rotation the new keys sign, without a restart (DKIM-07)", async () => {
  learn(await postern("dkim", "generate", "example.org", "--selector", "next"));
  const listed = await postern("dkim", "list");
  assert.match(listed, /^example\.org {2}nextr {2}publish {2}rsa 2048$/m);
  await postern("dkim", "rotate", "example.org", "--force");
  await postern("reload");
  assert.match(await send({ subject: "rotated" }), /^250 /);
  const content = await arrived("rotated");
  assert.match(content, /s=nextr;/);
  assert.deepEqual(await verdicts(content), ["pass example.org", "pass example.org"]);
  const text = readFileSync(join(server.directory, "dkim/keys"), "utf8");
  assert.match(text, /^\.example\.org \d{6}r \S+ retired$/m);
});

test("a key that becomes unusable defers mail, and the log says which; check does, too", async () => {
  const key = join(server.directory, "dkim/example.org/nextr.pem");
  const pem = readFileSync(key);
  writeFileSync(key, "no key");
  await eventually(async () =>
    assert.equal(await send({ subject: "broken" }), "451 4.7.5 Error: message cannot be signed, try again later"),
  );
  await server.logged(/cannot sign: \S+nextr\.pem: no private key in PEM form/);
  const { code, stdout, stderr } = await server.run(["check"]);
  assert.equal(code, 1);
  assert.match(stdout + stderr, /nextr\.pem: no private key in PEM form/);
  writeFileSync(key, pem);
  await eventually(async () => assert.match(await send({ subject: "mended" }), /^250 /));
});
