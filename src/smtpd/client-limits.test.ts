import assert from "node:assert/strict";
import { test } from "node:test";
import type { Anvil, AnvilEvent } from "../anvil/anvil.ts";
import { AnvilServer } from "../anvil/server.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import type { ClientEndpoint } from "../mail/client.ts";
import { formatReply } from "../mail/reply.ts";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { type ClientCounting, ClientLimits, readLimits, type Visitor } from "./client-limits.ts";

function visitor(address: string, name = "client.example"): Visitor {
  const client: ClientEndpoint = { address, port: 4711, name, reverseName: name, nameStatus: "verified" };
  return { client, peer: `${name}[${address}]` };
}

const CLIENT = visitor("192.0.2.1");

function setUp(settings: Readonly<Record<string, string>>, isExcepted: ClientCounting["isExcepted"] = () => false) {
  const params = parametersOf({ smtpd_client_connection_count_limit: "0", ...settings });
  const lines: string[] = [];
  const sink = ({ severity, text }: { severity: string; text: string }) => lines.push(`${severity}: ${text}`);
  const log = new Log({ sink, now: () => 0, tag: "postfix/smtpd", id: 1 });
  const clock = new ManualClock();
  const holder = {};
  const anvil = new AnvilServer({ params, clock, log }).local(holder);
  const asked: string[] = [];
  const note = <T>(what: string, answer: T): T => {
    asked.push(what);
    return answer;
  };
  const noted: Anvil = {
    connect: (key) => note(`connect ${key}`, anvil.connect(key)),
    disconnect: (key) => note(`disconnect ${key}`, anvil.disconnect(key)),
    count: (event, key) => note(`${event} ${key}`, anvil.count(event, key)),
    peek: (event, key) => note(`peek ${event} ${key}`, anvil.peek(event, key)),
  };
  const counting = { anvil: noted, isExcepted };
  const parts = { limits: readLimits(params), counting, serviceName: "smtp", hostname: "mail.example.org", log };
  return { newSession: () => new ClientLimits(parts), asked, lines, clock };
}

test("ClientLimits: the connection above the limit is refused in Postfix's words", async () => {
  const { newSession, lines } = setUp({ smtpd_client_connection_count_limit: "2" });
  const [first, second, third] = [newSession(), newSession(), newSession()];
  assert.equal(await first.connect(CLIENT), undefined);
  assert.equal(await second.connect(CLIENT), undefined);
  const refusal = await third.connect(CLIENT);
  assert.ok(refusal);
  assert.equal(formatReply(refusal), "421 4.7.0 mail.example.org Error: too many connections from 192.0.2.1\r\n");
  assert.deepEqual(lines, [
    "warning: Connection concurrency limit exceeded: 3 from client.example[192.0.2.1] for service smtp",
  ]);
  await third.disconnect();
  await first.disconnect();
  assert.equal(await newSession().connect(CLIENT), undefined, "a place has become free");
});

test("ClientLimits: connections that come too fast are refused, those of the next window are not", async () => {
  const { newSession, lines, clock } = setUp({ smtpd_client_connection_rate_limit: "1" });
  const session = newSession();
  assert.equal(await session.connect(CLIENT), undefined);
  await session.disconnect();
  const refusal = await session.connect(CLIENT);
  assert.equal(refusal?.lines[0], "mail.example.org Error: too many connections from 192.0.2.1");
  assert.deepEqual(lines, [
    "warning: Connection rate limit exceeded: 2 from client.example[192.0.2.1] for service smtp",
  ]);
  await session.disconnect();
  await clock.advance(60_001);
  assert.equal(await session.connect(CLIENT), undefined);
});

const events: readonly {
  readonly event: AnvilEvent;
  readonly method: "mail" | "rcpt" | "auth" | "newTls";
  readonly parameter: string;
  readonly reply: string;
  readonly warning: string;
}[] = [
  {
    event: "mail",
    method: "mail",
    parameter: "smtpd_client_message_rate_limit",
    reply: "450 4.7.1 Error: too much mail from 192.0.2.1\r\n",
    warning: "Message delivery request rate limit exceeded",
  },
  {
    event: "rcpt",
    method: "rcpt",
    parameter: "smtpd_client_recipient_rate_limit",
    reply: "450 4.7.1 Error: too many recipients from 192.0.2.1\r\n",
    warning: "Recipient address rate limit exceeded",
  },
  {
    event: "auth",
    method: "auth",
    parameter: "smtpd_client_auth_rate_limit",
    reply: "450 4.7.1 Error: too many AUTH commands from 192.0.2.1\r\n",
    warning: "AUTH command rate limit exceeded",
  },
  {
    event: "newtls",
    method: "newTls",
    parameter: "smtpd_client_new_tls_session_rate_limit",
    reply: "421 4.7.0 mail.example.org Error: too many new TLS sessions from client.example[192.0.2.1]\r\n",
    warning: "New TLS session rate limit exceeded",
  },
];
for (const { event, method, parameter, reply, warning } of events) {
  test(`ClientLimits: ${parameter} = 2 refuses the third, over all sessions`, async () => {
    const { newSession, lines, asked } = setUp({ [parameter]: "2" });
    assert.deepEqual([await newSession()[method](CLIENT), await newSession()[method](CLIENT)], [undefined, undefined]);
    const refusal = await newSession()[method](CLIENT);
    assert.equal(refusal && formatReply(refusal), reply);
    assert.deepEqual(lines, [`warning: ${warning}: 3 from client.example[192.0.2.1] for service smtp`]);
    assert.deepEqual(asked, Array(3).fill(`${event} smtp:192.0.2.1`));
    assert.equal(await newSession()[method](visitor("192.0.2.2")), undefined, "another client");
  });
}

test("ClientLimits.refusesTls() looks before a handshake and counts nothing", async () => {
  const { newSession, lines } = setUp({ smtpd_client_new_tls_session_rate_limit: "1" });
  const session = newSession();
  assert.equal(await session.refusesTls(CLIENT, "STARTTLS request"), false);
  assert.equal(await session.newTls(CLIENT), undefined);
  assert.equal(await session.refusesTls(CLIENT, "STARTTLS request"), false, "the limit is reached, not exceeded");
  assert.ok(await session.newTls(CLIENT));
  assert.equal(await session.refusesTls(CLIENT, "STARTTLS request"), true);
  assert.equal(lines[1], "warning: Refusing STARTTLS request from client.example[192.0.2.1] for service smtp");
});

/** Everything a session may ask. */
async function everything(session: ClientLimits): Promise<void> {
  assert.equal(await session.connect(CLIENT), undefined);
  for (const { method } of events) assert.equal(await session[method](CLIENT), undefined);
  assert.equal(await session.refusesTls(CLIENT, "STARTTLS request"), false);
  assert.equal(session.counted, false);
  await session.disconnect();
}

const ALL = Object.fromEntries(events.map(({ parameter }) => [parameter, "1"]));

test("ClientLimits ask nothing where no limit is set, not even who is excepted", async () => {
  const { newSession, asked } = setUp({}, () => assert.fail("asked"));
  await everything(newSession());
  assert.deepEqual(asked, []);
});

for (const kind of ["at once", "by an asynchronous table"]) {
  test(`ClientLimits ask nothing for a client that is excepted ${kind}, and look that up once`, async () => {
    let looks = 0;
    const isExcepted = ({ name }: ClientEndpoint) => {
      looks++;
      const yes = name === "client.example";
      return kind === "at once" ? yes : Promise.resolve(yes);
    };
    const { newSession, asked } = setUp({ ...ALL, smtpd_client_connection_count_limit: "1" }, isExcepted);
    await everything(newSession());
    assert.deepEqual([asked, looks], [[], 1]);
    await newSession().connect(visitor("192.0.2.1", "other.example"));
    assert.deepEqual(asked, ["connect smtp:192.0.2.1"]);
  });
}

test("ClientLimits follow a client that changes (XCLIENT): out of the old count, into the new one", async () => {
  const { newSession, asked } = setUp({ ...ALL, smtpd_client_connection_count_limit: "5" });
  const session = newSession();
  await session.connect(CLIENT);
  await session.mail(CLIENT);
  const next = visitor("198.51.100.9");
  assert.equal(await session.connect(next), undefined);
  assert.equal(await session.mail(next), undefined);
  await session.disconnect();
  await session.disconnect();
  assert.deepEqual(asked, [
    "connect smtp:192.0.2.1",
    "mail smtp:192.0.2.1",
    "disconnect smtp:192.0.2.1",
    "connect smtp:198.51.100.9",
    "mail smtp:198.51.100.9",
    "disconnect smtp:198.51.100.9",
  ]);
});

test("ClientLimits count by network where the prefix length says so", async () => {
  const { newSession } = setUp({
    smtpd_client_message_rate_limit: "1",
    smtpd_client_ipv4_prefix_length: "24",
  });
  assert.equal(await newSession().mail(visitor("192.0.2.1")), undefined);
  const refusal = await newSession().mail(visitor("192.0.2.200"));
  assert.equal(refusal?.lines[0], "Error: too much mail from 192.0.2.200", "the reply names the address itself");
});
