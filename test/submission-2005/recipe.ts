/** test/submission-2005/recipe.ts: a published recipe of 2005 turns a Postfix with SMTP AUTH into a submission server.
 *  Its files are used as they were written, faults included; each of its seven steps is a test. Runs on any two ports, so
 *  that the same steps are run by `npm test` as anybody and by the interop tests as root on 25 and 587. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseInetService } from "../../src/config/inet-name.ts";
import { type DemoSink, startDemoSink } from "../../src/net/demo-sink.ts";
import { Conversation } from "../testbed/conversation.ts";
import { TestServer } from "../testbed/server.ts";

export interface RecipePorts {
  readonly smtp: number;
  readonly submission: number;
}

const recipe = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
const CONTENT = "Subject: recipe\r\n\r\nbody";
const BANNER = "$myhostname ESMTP $mail_name ($mail_version) Ready. NO UBE NO UCE C=JP";

/** The recipe's master.cf with its service names replaced by ports where they are not the well-known ones. */
function masterCf(ports: RecipePorts): string {
  return recipe("master.cf")
    .replace(/^smtp /m, ports.smtp === 25 ? "smtp " : `${ports.smtp} `)
    .replace(/^submission /m, ports.submission === 587 ? "submission " : `${ports.submission} `);
}

/** Only the first service, as before the recipe is applied. */
function masterCfBefore(ports: RecipePorts): string {
  return `${masterCf(ports).split("\n")[0]}\n`;
}

/** A server that is taken through the recipe. */
class Site {
  readonly ports: RecipePorts;
  readonly sink: DemoSink;
  readonly server: TestServer;
  /** What the next hop received. */
  readonly taken: readonly string[];

  private constructor(ports: RecipePorts, sink: DemoSink, taken: readonly string[]) {
    this.ports = ports;
    this.sink = sink;
    this.taken = taken;
    this.server = new TestServer({ mainCf: "", masterCf: masterCfBefore(ports) });
    this.#preamble = readFileSync(join(this.server.directory, "main.cf"), "utf8");
    this.server.write("main.cf", this.#preamble + this.mainCf("main.cf"));
  }

  readonly #preamble: string;

  static async start(ports: RecipePorts): Promise<Site> {
    const taken: string[] = [];
    const site = new Site(ports, await startDemoSink(0, (content) => taken.push(content)), taken);
    await site.server.addUser("alice", "secret", ["--cram-md5"]);
    await site.server.start();
    return site;
  }

  /** One of the recipe's main.cf files behind what this machine needs. */
  mainCf(name: string): string {
    return `relayhost = [127.0.0.1]:${this.sink.port}
mydestination = example.org
local_recipient_maps =
postern_local_maildir = ${this.server.directory}/spool/mail/$user/
smtpd_banner = ${BANNER}
${recipe(name)}`;
  }

  async reconfigure(main: string, master: string): Promise<void> {
    const before = (this.server.log().match(/reload -- version/g) ?? []).length;
    this.server.write("main.cf", this.#preamble + main);
    this.server.write("master.cf", master);
    this.server.kill("SIGHUP");
    await this.server.logged(new RegExp(`(?:reload -- version[\\s\\S]*){${before + 1}}`));
  }

  async stop(): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.sink.close();
  }
}

type Step = (site: Site) => void | Promise<void>;

function resolves(): void {
  assert.equal(parseInetService("submission", "")?.port, 587);
}

async function reloads(site: Site): Promise<void> {
  const open = await Conversation.open(site.ports.smtp);
  await open.say("EHLO client.example");
  await assert.rejects(Conversation.open(site.ports.submission), "587 is closed before");
  await site.reconfigure(site.mainCf("main.cf"), masterCf(site.ports));
  const submission = await Conversation.open(site.ports.submission);
  submission.close();
  assert.match(await open.say("NOOP"), /^250 /);
  assert.match(await open.say("QUIT"), /^221 /);
  open.close();
}

async function greets(site: Site): Promise<void> {
  const client = await Conversation.open(site.ports.submission);
  assert.match(client.greeting, /^220 mail\.example\.org ESMTP Postern \([\d.]+\) Ready\. NO UBE NO UCE C=JP$/);
  assert.equal(await client.say("quit"), "221 2.0.0 Bye");
  client.close();
}

async function submits(site: Site): Promise<void> {
  const client = await Conversation.open(site.ports.submission);
  const ehlo = await client.say("EHLO client.example");
  assert.match(ehlo, /250[- ]AUTH (?:\S+ )*PLAIN/, "the client's smtp_sasl_security_options changes nothing here");
  assert.match(ehlo, /250[- ]AUTH=/, "broken_sasl_auth_clients = yes");
  assert.equal(await client.authPlain("alice", "secret"), "235 2.7.0 Authentication successful");
  const reply = await client.send({ from: "alice@example.org", to: "someone@elsewhere.test", content: CONTENT });
  assert.match(reply, /^250 2\.0\.0 Ok: queued as [0-9A-F]+$/);
  for (const end = Date.now() + 10_000; site.taken.length === 0 && Date.now() < end; ) await sleep(20);
  assert.match(site.taken[0] ?? "", /Subject: recipe\r\n[\s\S]*\r\n\r\nbody$/);
  client.close();
}

async function refusesStrangers(site: Site): Promise<void> {
  for (const to of ["someone@elsewhere.test", "local@example.org"]) {
    const client = await Conversation.open(site.ports.submission);
    await client.say("EHLO client.example");
    const reply = await client.send({ from: "alice@example.org", to, content: CONTENT });
    assert.equal(reply, `554 5.7.1 <${to}>: Recipient address rejected: Access denied`);
    client.close();
  }
}

async function relaysForNobody(site: Site): Promise<void> {
  // All of loopback is in the recipe's mynetworks; a stranger needs an address outside.
  const after = site.mainCf("main.cf.after").replace("127.0.0.0/8", "127.0.0.2/32");
  await site.reconfigure(after, masterCf(site.ports));
  const foreign = { from: "alice@example.org", to: "someone@elsewhere.test", content: CONTENT };
  for (const login of [false, true]) {
    const client = await Conversation.open(site.ports.smtp);
    await client.say("EHLO client.example");
    if (login) assert.match(await client.authPlain("alice", "secret"), /^235 /);
    assert.equal(await client.send(foreign), "554 5.7.1 <someone@elsewhere.test>: Relay access denied");
    await client.say("RSET");
    assert.match(await client.send({ ...foreign, to: "local@example.org" }), /^250 /);
    client.close();
  }
  const trusted = await Conversation.open(site.ports.smtp, { from: "127.0.0.2" });
  await trusted.say("EHLO client.example");
  assert.match(await trusted.send(foreign), /^250 /, "clients in mynetworks are excepted");
  trusted.close();
}

async function takesRestrictions(site: Site): Promise<void> {
  const added = `${masterCf(site.ports).trimEnd()}\n  -o { smtpd_sender_restrictions = reject_non_fqdn_sender }\n`;
  await site.reconfigure(site.mainCf("main.cf.after"), added.replace("  -o smtpd_sender_restrictions=\n", ""));
  const client = await Conversation.open(site.ports.submission);
  await client.say("EHLO client.example");
  await client.authPlain("alice", "secret");
  const reply = await client.send({ from: "alice@nodomain", to: "someone@elsewhere.test", content: CONTENT });
  assert.equal(reply, "504 5.5.2 <alice@nodomain>: Sender address rejected: need fully-qualified address");
  client.close();
}

async function isChecked(site: Site): Promise<void> {
  site.server.write("master.cf", masterCf(site.ports));
  const { code, stdout } = await site.server.run(["check"]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /master\.cf:4: warning: .*-o \{ smtp_sasl_security_options = noplaintext, noanonymous \}/);
  assert.match(
    stdout,
    /master\.cf:5: warning: .*-o broken_sasl_auth_clients=yes|master\.cf:5: warning: .*-o \{ broken_sasl_auth_clients = yes \}/,
  );
  assert.match(stdout, /main\.cf:\d+: warning: .*smtp_sasl_security_options.*did you mean smtpd_sasl_security_options/);
  assert.match(stdout, /compatibility_level/);
}

async function offersNoPlaintext(site: Site): Promise<void> {
  const meant = masterCf(site.ports).replace(
    "smtp_sasl_security_options = noplaintext, noanonymous",
    "{ smtpd_sasl_security_options = noplaintext, noanonymous }",
  );
  await site.reconfigure(site.mainCf("main.cf.after"), meant);
  const client = await Conversation.open(site.ports.submission);
  const auth = /250[- ]AUTH (.*)/.exec(await client.say("EHLO client.example"))?.[1]?.split(" ") ?? [];
  assert.ok(!auth.includes("PLAIN") && !auth.includes("LOGIN"), auth.join());
  assert.ok(auth.includes("CRAM-MD5") && auth.includes("SCRAM-SHA-256"), auth.join());
  client.close();
}

/** In this order: each step goes on from the one before. */
const STEPS: readonly (readonly [string, Step])[] = [
  ["1. submission resolves to 587/tcp (SUB-01)", resolves],
  ["2. after a reload the new service listens, and nothing else was interrupted", reloads],
  ["3. a plain TCP client gets the operator's banner, and quit gets 221", greets],
  ["4. on 587 whoever logged in sends anywhere, and it arrives at the next hop (SUB-07)", submits],
  [
    "5. on 587 nobody sends without login, not to anywhere, not even from mynetworks, and learns nothing of recipients (SUB-15, SUB-28)",
    refusesStrangers,
  ],
  [
    "6. afterwards nobody relays on 25, logged in or not, but mail for the site is taken (SUB-07, SUB-16)",
    relaysForNobody,
  ],
  ["7. a restriction added to the submission service with -o means what it means on 25", takesRestrictions],
  ["postern check names the recipe's faults with file and line", isChecked],
  ["with smtpd_sasl_security_options as it was meant, PLAIN and LOGIN are not offered in clear", offersNoPlaintext],
];

export function testRecipe(title: string, choosePorts: () => Promise<RecipePorts>): void {
  describe(title, { concurrency: false, timeout: 120_000 }, () => {
    let site: Site;
    before(async () => {
      site = await Site.start(await choosePorts());
    });
    after(() => site?.stop());
    for (const [claim, step] of STEPS) test(claim, () => step(site));
  });
}
