/** test/limits.test.ts: what one client may do, counted exactly over two real workers (smtpd_client_*_limit). Each test has
 *  a service of its own, since clients are counted by service. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const SERVICES = ["count", "rate", "mail", "rcpt", "auth", "tls", "tlswrap", "except", "network", "default"] as const;
type Service = (typeof SERVICES)[number];

const BANNER = "220 mail.example.org ESMTP Postern";
type Opened = Awaited<ReturnType<typeof Conversation.open>>;

/** Attempts of one test, half of them at each worker. */
const MANY = 24;

const OPTIONS: Readonly<Record<Service, string>> = {
  count: "-o smtpd_client_connection_count_limit=3",
  rate: "-o smtpd_client_connection_rate_limit=4",
  mail: "-o smtpd_client_message_rate_limit=5",
  rcpt: "-o smtpd_client_recipient_rate_limit=6",
  auth: "-o smtpd_client_auth_rate_limit=3 -o smtpd_sasl_auth_enable=yes",
  tls: "-o smtpd_client_new_tls_session_rate_limit=4",
  tlswrap: "-o smtpd_client_new_tls_session_rate_limit=2 -o smtpd_tls_wrappermode=yes",
  except: "-o smtpd_client_connection_count_limit=1 -o smtpd_client_event_limit_exceptions=127.0.0.5",
  network: "-o smtpd_client_connection_count_limit=1 -o smtpd_client_ipv4_prefix_length=24",
  default: "-o smtpd_client_connection_count_limit=1 -o { smtpd_client_event_limit_exceptions = $mynetworks }",
};

describe("limits over two workers", { concurrency: false, timeout: 120_000 }, () => {
  let server: TestServer;
  const ports = {} as Record<Service, number>;

  before(async () => {
    for (const service of SERVICES) ports[service] = await freePort();
    const made = makeSelfSigned(["mail.example.org", "localhost"], Date.now());
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
postern_workers = 2
mynetworks = 127.0.0.9
smtpd_client_event_limit_exceptions =
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_auth_destination, reject
mydestination = example.org
local_recipient_maps =
local_transport = discard:
smtpd_sasl_type = postern
smtpd_tls_security_level = may
smtpd_soft_error_limit = 1000
smtpd_error_sleep_time = 0`,
      masterCf: SERVICES.map((name) => `${ports[name]} inet n - n - - smtpd ${OPTIONS[name]}\n`).join(""),
      files: { "site.pem": made.keyPem + made.certificatePem },
    });
    server.append("main.cf", `smtpd_tls_chain_files = ${server.directory}/site.pem\n`);
    await server.addUser("alice@example.org", "secret");
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  const open = (service: Service, from?: string) => Conversation.open(ports[service], from ? { from } : {});

  /** Half of MANY sessions at one worker, then half at the other: while one is stopped, the other accepts. */
  async function openOnBoth(service: Service): Promise<Opened[]> {
    const opened: Opened[] = [];
    for (const pid of await server.workerPids()) {
      process.kill(pid, "SIGSTOP");
      try {
        opened.push(...(await Promise.all(Array.from({ length: MANY / 2 }, () => open(service)))));
      } finally {
        process.kill(pid, "SIGCONT");
      }
    }
    return opened;
  }

  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  /** Replies by their text. */
  function tally(replies: readonly string[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const reply of replies) counts[reply] = (counts[reply] ?? 0) + 1;
    return counts;
  }

  /** Values that the warnings of a service name, in order. */
  async function warned(text: string, service: Service, count: number): Promise<number[]> {
    const pattern = new RegExp(
      `: warning: ${text}: (\\d+) from unknown\\[127\\.0\\.0\\.1\\] for service ${ports[service]}$`,
      "gm",
    );
    for (let round = 0; ; round++) {
      const values = Array.from(server.log().matchAll(pattern), ([, value]) => Number(value)).sort((a, b) => a - b);
      if (values.length >= count || round === 100) return values;
      await sleep(30);
    }
  }

  const TOO_MANY = "421 4.7.0 mail.example.org Error: too many connections from 127.0.0.1";

  /** Fills the service's three places; resolves with who holds them. */
  async function fill(): Promise<Conversation[]> {
    const all = await openOnBoth("count");
    assert.deepEqual(tally(all.map(({ greeting }) => greeting)), { [BANNER]: 3, [TOO_MANY]: MANY - 3 });
    const refused = all.filter(({ greeting }) => greeting === TOO_MANY);
    await Promise.all(refused.map((client) => client.closed()));
    return all.filter(({ greeting }) => greeting === BANNER);
  }

  test("connections at a time: the fourth is refused, and each place that becomes free is given once (LIM-19)", async () => {
    const held = await fill();
    const values = await warned("Connection concurrency limit exceeded", "count", MANY - 3);
    assert.deepEqual([values.length, values[0]], [MANY - 3, 4]);
    for (let i = 0; i < 20; i++) {
      const leaving = held.shift();
      assert.equal(await leaving?.say("QUIT"), "221 2.0.0 Bye");
      await leaving?.closed();
      const next = await open("count");
      assert.equal(next.greeting, BANNER, `round ${i}`);
      held.push(next);
    }
    const last = await open("count");
    assert.equal(last.greeting, TOO_MANY);
    await last.closed();
    assert.equal((await server.run(["reload"])).code, 0);
    const later = await open("count");
    assert.equal(later.greeting, TOO_MANY, "what was counted stays over a reload");
    await later.closed();
    for (const client of held) client.close();
    await server.logged(/reload -- version/);
  });

  test("what a dead worker had is free again", async () => {
    for (let tries = 0; (await open("count")).greeting !== BANNER && tries < 100; tries++) await sleep(30);
    const pids = await server.workerPids();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    for (let i = 0; i < 300 && (await server.workerPids().catch(() => pids)).some((p) => pids.includes(p)); i++) {
      await sleep(20);
    }
    const held = await fill();
    for (const client of held) client.close();
  });

  test("connections within the time unit (LIM-20)", async () => {
    const all = await openOnBoth("rate");
    const greetings = tally(all.map(({ greeting }) => greeting));
    assert.deepEqual(greetings, { [BANNER]: 4, [TOO_MANY]: all.length - 4 });
    const values = await warned("Connection rate limit exceeded", "rate", all.length - 4);
    assert.deepEqual(values, range(5, all.length));
    for (const client of all) client.close();
  });

  test("MAIL commands within the time unit, accepted or not (LIM-20)", async () => {
    const all = await openOnBoth("mail");
    const replies = await Promise.all(all.map((client) => client.say("MAIL FROM:<a@example.net>")));
    const refusal = "450 4.7.1 Error: too much mail from 127.0.0.1";
    assert.deepEqual(tally(replies), { "250 2.1.0 Ok": 5, [refusal]: all.length - 5 });
    const values = await warned("Message delivery request rate limit exceeded", "mail", all.length - 5);
    assert.deepEqual(values, range(6, all.length));
    for (const client of all) client.close();
  });

  test("RCPT commands within the time unit, accepted or not", async () => {
    const all = await openOnBoth("rcpt");
    await Promise.all(all.map((client) => client.say("MAIL FROM:<a@example.net>")));
    const replies = await Promise.all(all.map((client) => client.say("RCPT TO:<bob@example.org>")));
    const refusal = "450 4.7.1 Error: too many recipients from 127.0.0.1";
    assert.deepEqual(tally(replies), { "250 2.1.5 Ok": 6, [refusal]: all.length - 6 });
    const values = await warned("Recipient address rate limit exceeded", "rcpt", all.length - 6);
    assert.deepEqual(values, range(7, all.length));
    for (const client of all) client.close();
  });

  test("AUTH commands within the time unit, the right password included (AUTH-28)", async () => {
    const all = await openOnBoth("auth");
    const login = async (client: Conversation) => {
      await client.say("EHLO client.example");
      return client.authPlain("alice@example.org", "secret");
    };
    const refusal = "450 4.7.1 Error: too many AUTH commands from 127.0.0.1";
    const replies = tally(await Promise.all(all.map(login)));
    assert.deepEqual(replies, { "235 2.7.0 Authentication successful": 3, [refusal]: all.length - 3 });
    assert.deepEqual(await warned("AUTH command rate limit exceeded", "auth", all.length - 3), range(4, all.length));
    for (const client of all) client.close();
  });

  test("TLS sessions within the time unit: the one too many is ended, the next ones are not begun", async () => {
    const all = await openOnBoth("tls");
    const replies: string[] = [];
    for (const client of all) {
      const reply = await client.startTls();
      const began = reply.startsWith("220");
      replies.push(began ? await client.say("NOOP").catch(() => client.reply()) : reply);
    }
    const peer = "unknown[127.0.0.1]";
    const [refusal, before] = ["421 4.7.0 mail.example.org", "454 4.7.0"].map(
      (start) => `${start} Error: too many new TLS sessions from ${peer}`,
    );
    assert.deepEqual(replies.slice(0, 4), Array(4).fill("250 2.0.0 Ok"));
    assert.equal(replies[4], refusal);
    assert.deepEqual(replies.slice(5), Array(all.length - 5).fill(before));
    assert.deepEqual(await warned("New TLS session rate limit exceeded", "tls", 1), [5]);
    await server.logged(
      new RegExp(`warning: Refusing STARTTLS request from unknown\\[127\\.0\\.0\\.1\\] for service ${ports.tls}\n`),
    );
    for (const client of all) client.close();
  });

  test("TLS sessions in wrapper mode: resumed ones do not count", async () => {
    const first = await wrapped(ports.tlswrap);
    assert.deepEqual([first.line, first.reused], [BANNER, false]);
    let { session } = first;
    for (let i = 0; i < 4; i++) {
      const next = await wrapped(ports.tlswrap, session);
      assert.deepEqual([next.line, next.reused], [BANNER, true], `resumption ${i}`);
      session = next.session ?? session;
    }
    assert.equal((await wrapped(ports.tlswrap)).line, BANNER);
    assert.equal(
      (await wrapped(ports.tlswrap)).line,
      "421 4.7.0 mail.example.org Error: too many new TLS sessions from unknown[127.0.0.1]",
    );
    await assert.rejects(wrapped(ports.tlswrap), "closed before the handshake");
    await server.logged(/warning: Refusing TLS service request from unknown\[127\.0\.0\.1\] for service \d+\n/);
  });

  const exceptions: readonly { readonly service: Service; readonly from: readonly string[]; readonly why: string }[] = [
    { service: "except", from: ["127.0.0.5", "127.0.0.5", "127.0.0.6"], why: "an exception is not counted" },
    { service: "default", from: ["127.0.0.9", "127.0.0.9", "127.0.0.6"], why: "nor is $mynetworks, the default" },
  ];
  for (const { service, from, why } of exceptions) {
    test(`exceptions: ${why}`, async () => {
      const clients = [];
      for (const address of from) clients.push(await open(service, address));
      assert.deepEqual(
        clients.map(({ greeting }) => greeting),
        from.map(() => BANNER),
      );
      const refused = await open(service, from.at(-1));
      assert.equal(refused.greeting, `421 4.7.0 mail.example.org Error: too many connections from ${from.at(-1)}`);
      for (const client of clients) client.close();
    });
  }

  test("smtpd_client_ipv4_prefix_length makes one client of a network", async () => {
    const first = await open("network", "127.0.0.5");
    const second = await open("network", "127.0.0.6");
    assert.equal(first.greeting, BANNER);
    assert.equal(second.greeting, "421 4.7.0 mail.example.org Error: too many connections from 127.0.0.6");
    first.close();
  });

  test("the statistics are logged at the end", async () => {
    await server.stop();
    const lines = Array.from(server.log().matchAll(/postfix\/anvil\[(\d+)\]: (statistics: .*)/g));
    assert.deepEqual([...new Set(lines.map(([, pid]) => Number(pid)))], [server.pid], "the master's");
    const at = "at [A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d";
    const key = "\\(\\d+:127\\.0\\.0\\.[01](?:/24)?\\)";
    const expected = [
      `statistics: max connection rate \\d+/60s for ${key} ${at}`,
      `statistics: max connection count \\d+ for ${key} ${at}`,
      `statistics: max message rate \\d+/60s for \\(${ports.mail}:127\\.0\\.0\\.1\\) ${at}`,
      `statistics: max recipient rate \\d+/60s for \\(${ports.rcpt}:127\\.0\\.0\\.1\\) ${at}`,
      `statistics: max newtls rate 5/60s for \\(${ports.tls}:127\\.0\\.0\\.1\\) ${at}`,
      `statistics: max auth rate \\d+/60s for \\(${ports.auth}:127\\.0\\.0\\.1\\) ${at}`,
      `statistics: max cache size \\d+ ${at}`,
    ];
    assert.equal(lines.length, expected.length);
    for (const [i, pattern] of expected.entries()) assert.match(lines[i]?.[2] ?? "", new RegExp(`^${pattern}$`));
  });
});

interface Wrapped {
  /** First line of the server. */
  readonly line: string;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
}

/** One connection with TLS from its first byte. Rejects when the handshake fails. */
async function wrapped(port: number, session?: Buffer): Promise<Wrapped> {
  const options = { port, host: "127.0.0.1", rejectUnauthorized: false, ...(session ? { session } : {}) };
  const socket = tls.connect(options);
  let ticket: Buffer | undefined;
  socket.on("session", (next) => {
    ticket = next;
  });
  await once(socket, "secureConnect");
  const [chunk] = (await once(socket, "data")) as [Buffer];
  const reused = socket.isSessionReused();
  socket.destroy();
  return { line: chunk.toString("latin1").trim(), reused, session: ticket };
}
