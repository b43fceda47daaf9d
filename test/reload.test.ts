/** test/reload.test.ts: what changes under a running server: a good reload, a refused one, and files that need none. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { Master } from "../src/master/master.ts";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

/** What an operator waits for a change of a file to be seen. */
const SEEN_MS = 2000;
const SENDER = "MAIL FROM:<alice@example.org>";

const pem = (name: string) => {
  const made = makeSelfSigned([name], Date.now());
  return {
    file: made.keyPem + made.certificatePem,
    fingerprint: new X509Certificate(made.certificatePem).fingerprint256,
  };
};

/** Fingerprint of the certificate that a new connection to a wrapper port is shown. */
function shownCertificate(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

/** Asks again until the answer is the wanted one or the time is over; resolves to the last answer. */
async function within<T>(ms: number, wanted: T, ask: () => Promise<T>): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer === wanted || performance.now() > end) return answer;
    await sleep(50);
  }
}

describe("a running server", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let port: number;
  let wrapper: number;
  let later: number;
  let mainCf: string;
  let masterCf: string;
  const first = pem("first.example.org");

  before(async () => {
    [port, wrapper, later] = [await freePort(), await freePort(), await freePort()];
    masterCf = `${port} inet n - n - - smtpd
${wrapper} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
`;
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:9
mydestination = example.org
local_recipient_maps =
mynetworks =
smtpd_banner = one ESMTP
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = postern
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
postern_workers = 2`,
      masterCf,
      files: { "site.pem": first.file },
    });
    server.append("main.cf", `smtpd_tls_chain_files = ${server.directory}/site.pem\n`);
    mainCf = readFileSync(join(server.directory, "main.cf"), "utf8");
    await server.addUser("alice", "secret");
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  const greeting = async (at = port) => {
    const client = await Conversation.open(at);
    client.close();
    return client.greeting;
  };
  /** Replaces files, sends SIGHUP, waits for the log line of the outcome. */
  const reload = async (files: Readonly<Record<string, string>>, outcome: RegExp) => {
    const before = server.log().length;
    changed = true;
    for (const [name, content] of Object.entries(files)) server.write(name, content);
    server.kill("SIGHUP");
    for (const end = performance.now() + 10_000; performance.now() < end; await sleep(30)) {
      const found = outcome.exec(server.log().slice(before));
      if (found) return server.log().slice(before);
    }
    throw new Error(`The log never matched ${outcome}: ${server.log().slice(before)}`);
  };
  const login = async (name: string, password: string) => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const reply = await client.authPlain(name, password);
    client.close();
    return reply.slice(0, 3);
  };

  let changed = false;
  afterEach(async () => {
    if (changed) await reload({ "main.cf": mainCf, "master.cf": masterCf }, /reload -- version/);
    changed = false;
  });

  const refusals = [
    {
      why: "a bad value",
      file: "main.cf",
      added: "smtpd_banner = two ESMTP\nsmtpd_recipient_limit = many\n",
      told: "main\\.cf:\\d+: error: bad numerical configuration: smtpd_recipient_limit = many",
    },
    {
      why: "an open relay",
      file: "main.cf",
      added:
        "smtpd_banner = two ESMTP\nsmtpd_relay_restrictions = check_helo_access static:OK, reject_unauth_destination\n",
      told: "main\\.cf:\\d+: error: open relay: check_helo_access static:OK comes before reject_unauth_destination",
    },
    {
      why: "a syntax error",
      file: "main.cf",
      added: "smtpd_banner = two ESMTP\nnonsense\n",
      told: "main\\.cf:\\d+: error: missing '=' after attribute name: \"nonsense\"",
    },
    {
      why: "a service that does not exist",
      file: "master.cf",
      added: "nosuchservice inet n - n - - smtpd\n",
      told: "master\\.cf:4: error: unknown service: nosuchservice/tcp",
    },
    {
      why: "an address that is not this machine's",
      file: "master.cf",
      added: "192.0.2.1:2525 inet n - n - - smtpd\n",
      told: "Cannot listen on 192\\.0\\.2\\.1:2525: EADDRNOTAVAIL",
    },
  ];
  for (const { why, file, added, told } of refusals) {
    test(`SIGHUP with ${why} keeps the old configuration and says why`, async () => {
      const client = await Conversation.open(port);
      const broken = (file === "main.cf" ? mainCf : masterCf) + added;
      const log = await reload({ [file]: broken }, /reload refused, the old configuration goes on: .*\n/);
      assert.match(log, new RegExp(`reload refused, the old configuration goes on: ${told}`));
      assert.equal(await greeting(), "220 one ESMTP", "new connections work");
      assert.match(await client.say("NOOP"), /^250 /, "an open session works");
      client.close();
      const cli = await server.run(["reload"]);
      assert.equal(cli.code, 1, "postern reload says so too");
      assert.match(cli.stderr, new RegExp(`^postern: reload: ${told}.*\n$`));
      for (const command of [["status"], ["postqueue", "-p"], ["flush"]]) {
        assert.equal((await server.run(command)).code, 0, `${command[0]} finds the server all the same`);
      }
    });
  }

  test("sessions finish under the configuration they began with", async () => {
    const old = await Conversation.open(port);
    await old.say("EHLO client.example");
    const two = `${mainCf.replace("one ESMTP", "two ESMTP")}smtpd_sender_restrictions = reject\n`;
    await reload({ "main.cf": two }, /reload -- version/);
    assert.match(await old.say(SENDER), /^250 /);
    assert.match(await old.say("RCPT TO:<bob@example.org>"), /^250 /, "old rules");
    const fresh = await Conversation.open(port);
    assert.equal(fresh.greeting, "220 two ESMTP");
    await fresh.say("EHLO client.example");
    await fresh.say(SENDER);
    assert.match(await fresh.say("RCPT TO:<bob@example.org>"), /^554 5\.7\.1 .*Sender address rejected/, "new rules");
    assert.match(await old.say("DATA"), /^354 /);
    assert.match(await old.say("Subject: old\r\n\r\nbody\r\n."), /^250 2\.0\.0 Ok: queued as /);
    old.close();
    fresh.close();
  });

  test("a reload adds a listener and removes it again, under open sessions", async () => {
    await assert.rejects(Conversation.open(later), "closed before");
    const pids = await server.workerPids();
    await reload({ "master.cf": `${masterCf}${later} inet n - n - - smtpd\n` }, /reload -- version/);
    assert.equal(await greeting(later), "220 one ESMTP");
    const open = await Conversation.open(later);
    await reload({ "master.cf": masterCf }, /reload -- version/);
    await assert.rejects(Conversation.open(later), "closed after");
    assert.match(await open.say("NOOP"), /^250 /);
    assert.match(await open.say("QUIT"), /^221 /);
    open.close();
    assert.equal(await greeting(), "220 one ESMTP");
    assert.deepEqual(await server.workerPids(), pids, "no worker was restarted");
  });

  test("a user who was just added can log in, without a reload", async () => {
    assert.equal(await login("bob", "hunter2"), "535");
    await server.addUser("bob", "hunter2");
    assert.equal(await within(SEEN_MS, "235", () => login("bob", "hunter2")), "235");
  });

  test("a changed password works, and the old one no longer, though it was remembered", async () => {
    for (let again = 0; again < 3; again++) assert.equal(await login("alice", "secret"), "235");
    const told = await server.run(["user", "passwd", "alice", "--password-stdin"], "better\n");
    assert.equal(told.code, 0, told.stderr);
    assert.equal(await within(SEEN_MS, "235", () => login("alice", "better")), "235");
    // Every worker has to know; connections are spread over both.
    assert.equal(await within(SEEN_MS, "535", () => login("alice", "secret")), "535");
    for (let again = 0; again < 4; again++) assert.equal(await login("alice", "secret"), "535");
  });

  test("a deleted user cannot log in any more", async () => {
    const deleted = await server.run(["user", "delete", "bob"]);
    assert.equal(deleted.code, 0, deleted.stderr);
    assert.equal(await within(SEEN_MS, "535", () => login("bob", "hunter2")), "535");
  });

  test("a replaced certificate is shown to new connections, without a reload; a broken one is not (TLS-27)", async () => {
    assert.equal(await shownCertificate(wrapper), first.fingerprint);
    const open = await Conversation.open(wrapper, { tls: true });
    const second = pem("second.example.org");
    server.write("site.pem", second.file);
    assert.equal(await within(SEEN_MS, second.fingerprint, () => shownCertificate(wrapper)), second.fingerprint);
    assert.match(await open.say("NOOP"), /^250 /, "the old connection goes on");
    open.close();
    server.write("site.pem", "garbage");
    await server.logged(/postfix\/smtpd\[\d+\]: warning: .*the TLS settings before it stay/);
    assert.equal(await shownCertificate(wrapper), second.fingerprint);
    server.write("site.pem", second.file);
  });

  test("twenty signals in a row end in one configuration that works", async () => {
    for (let again = 0; again < 20; again++) server.kill("SIGHUP");
    await reload({ "main.cf": mainCf.replace("one ESMTP", "three ESMTP") }, /reload -- version/);
    assert.equal(await within(SEEN_MS, "220 three ESMTP", () => greeting()), "220 three ESMTP");
  });
});

describe("sessions of an earlier configuration", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let port: number;
  before(async () => {
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:9
mydestination = example.org
local_recipient_maps =
mynetworks =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = postern
smtpd_sasl_security_options =
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.addUser("carol", "secret");
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  test("know what the user file says now, and end in order when the server is stopped", async () => {
    const open = async () => {
      const client = await Conversation.open(port);
      await client.say("EHLO client.example");
      return client;
    };
    const [idle, later, busy] = [await open(), await open(), await open()];
    for (const line of [SENDER, "RCPT TO:<bob@example.org>", "DATA"]) assert.match(await busy.say(line), /^[23]5/);
    assert.equal((await server.run(["reload"])).code, 0);
    assert.match((await server.run(["status"])).stdout, /, 3 sessions\n/, "they are still there");
    assert.equal((await server.run(["user", "delete", "carol"])).code, 0);
    const fresh = async () => {
      const client = await open();
      const reply = await client.authPlain("carol", "secret");
      client.close();
      return reply.slice(0, 3);
    };
    assert.equal(await within(SEEN_MS, "535", fresh), "535");
    assert.match(await later.authPlain("carol", "secret"), /^535 /, "a deleted user cannot log in");

    busy.write("Subject: sent under way\r\n\r\n");
    server.kill("SIGTERM");
    assert.match(await idle.reply(), /^421 4\.3\.2 .* Service shutting down/);
    assert.match(await busy.say("body\r\n."), /^250 2\.0\.0 Ok: queued as /, "the message is taken whole");
    assert.match(await busy.reply(), /^421 4\.3\.2 .* Service shutting down/);
    for (const client of [idle, later, busy]) client.close();
    await server.ended();
  });
});

test("a stop waits for the reload that is under way, and no other begins", { timeout: 60_000 }, async () => {
  const port = await freePort();
  await using server = new TestServer({
    mainCf: "compatibility_level = 3.10\nmynetworks =\npostern_workers = 1\n",
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  // In this process, so that nothing comes between the two calls.
  const master = await Master.start({
    ...{ configDirectory: server.directory, mailVersion: "test", defaultLog: undefined },
    say: () => undefined,
  });
  const reloaded = master.reload();
  await new Promise((resolve) => setImmediate(resolve)); // it begins
  const stopped = master.stop();
  await reloaded;
  await assert.rejects(master.reload(), /The server is being stopped/);
  await stopped;
  assert.match(server.log(), /: reload -- version test/);
});
