import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type LinePeerOptions, type PeerConnection, startLinePeer } from "../net/testdata/line-peer.ts";
import type { SaslBackend } from "./backend.ts";
import { createDovecotBackend, parseDovecotPath } from "./dovecot-backend.ts";
import { keptLog, ManualClock } from "./testdata/manual-clock.ts";
import { CONTEXT, talk } from "./testdata/memory-passwords.ts";

const GREETING = [
  "VERSION\t1\t2",
  "MECH\tPLAIN\tplaintext",
  "MECH\tLOGIN\tplaintext",
  "MECH\tDOVECOT-TOKEN\tprivate",
  "MECH\tCRAM-MD5\tdictionary\tactive",
  "MECH\tANONYMOUS\tanonymous",
  "MECH\tSCRAM-SHA-256\tmutual-auth\tforward-secrecy",
  "SPID\t77",
  "CUID\t1",
  "COOKIE\tabcdef",
  "FUTURE\tthing",
  "DONE",
];
const b64 = (text: string) => Buffer.from(text).toString("base64");
const LOST = "454 Connection lost to authentication server";

/** Waits in real time for what the socket brings. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(condition(), "waited 2 s in vain");
}

/** Answers AUTH and CONT as `answers` says, after the greeting. */
function dovecot(answers: (command: string, id: string, rest: string[], c: PeerConnection) => string, chunked = false) {
  const options: LinePeerOptions = {
    chunked,
    onLine(line, connection) {
      const [command = "", id = "", ...rest] = line.split("\t");
      if (command === "CPID") connection.send(`${GREETING.join("\n")}\n`);
      if (command !== "AUTH" && command !== "CONT") return;
      const answer = answers(command, id, rest, connection);
      if (answer !== "") connection.send(`${answer}\n`);
    },
  };
  return options;
}

async function setUp(t: TestContext, options: LinePeerOptions) {
  const peer = await startLinePeer(t, options);
  const clock = new ManualClock();
  const { log, lines } = keptLog();
  const backend = createDovecotBackend({ path: peer.path, queueDirectory: "/var/spool", service: "smtp", clock, log });
  t.after(() => backend.close());
  return { peer, clock, lines, backend };
}

const ready = (backend: SaslBackend) => until(() => backend.mechanisms().length > 0);

async function login(
  backend: SaslBackend,
  mechanism: string,
  responses: readonly (string | undefined)[],
  context = CONTEXT,
) {
  const exchange = backend.start(mechanism, context);
  assert.ok(exchange, "mechanism is there");
  return talk(exchange, responses);
}

for (const chunked of [false, true]) {
  test(`the handshake gives mechanisms and properties, strongest first${chunked ? ", a byte at a time" : ""}`, async (t) => {
    const { backend, peer } = await setUp(
      t,
      dovecot(() => "", chunked),
    );
    assert.deepEqual(backend.mechanisms(), []);
    assert.equal(backend.start("PLAIN", CONTEXT), undefined);
    await ready(backend);
    const shown = backend
      .mechanisms()
      .map((m) => [m.name, ...Object.keys(m).filter((key) => m[key as keyof typeof m] === true)].join(" "));
    assert.deepEqual(shown, [
      "SCRAM-SHA-256 forwardSecrecy mutualAuth",
      "CRAM-MD5 active dictionary",
      "PLAIN plaintext",
      "LOGIN plaintext",
      "ANONYMOUS anonymous",
    ]);
    assert.equal(peer.lines[0], "VERSION\t1\t1");
    assert.match(peer.lines[1] ?? "", /^CPID\t\d+$/);
  });
}

test("a login in one line: fields as Postfix sends them, resp last", async (t) => {
  const { backend, peer } = await setUp(
    t,
    dovecot((_, id) => `OK\t${id}\tuser=alice\tnologin\tpass=x`, true),
  );
  await ready(backend);
  assert.deepEqual(await login(backend, "plain", ["\0alice\0pencil"]), ["235 PLAIN alice"]);
  const want = `AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.25\trip=192.0.2.7\tsecured\tresp=${b64("\0alice\0pencil")}`;
  assert.equal(peer.lines[2], want);
  const clear = { ...CONTEXT, tls: false, clientAddress: "unknown" };
  await login(backend, "PLAIN", [""], clear);
  // The empty response is "=" for Dovecot too, as the client wrote it (RFC 4954 §4).
  assert.equal(peer.lines[3], "AUTH\t2\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.25\tresp==");
});

test("a login in several lines", async (t) => {
  const answers = (command: string, id: string, rest: string[]) => {
    if (command === "AUTH") return `CONT\t${id}\t${b64("Username:")}`;
    return rest[0] === b64("alice") ? `CONT\t${id}\t${b64("Password:")}` : `OK\t${id}\tuser=alice`;
  };
  const { backend, peer } = await setUp(t, dovecot(answers));
  await ready(backend);
  const want = ["334 Username:", "334 Password:", "235 LOGIN alice"];
  assert.deepEqual(await login(backend, "LOGIN", [undefined, "alice", "pencil"]), want);
  assert.ok(!peer.lines[2]?.includes("resp="));
  assert.equal(peer.lines[4], `CONT\t1\t${b64("pencil")}`);
});

const replies = [
  {
    in: "FAIL\tID\tuser=alice\treason=Password mismatch",
    want: "535 Password mismatch [alice]",
    why: "reason and user",
  },
  { in: "FAIL\tID", want: "535 (reason unavailable)", why: "nothing said" },
  { in: "FAIL\tID\tuser=alice\ttemp", want: "454 (reason unavailable) [alice]", why: "AUTH-15: temp" },
  { in: "FAIL\tID\tcode=temp_fail\treason=x", want: "454 x", why: "temp of 2.3" },
  { in: "FAIL\tID\treason=a\x01nb\x01tc", want: "535 a?b?c", why: "escapes, made printable" },
  { in: "OK\tID", want: "454 authentication server gave no user name", why: "success of nobody" },
  { in: "OK\tID\tuser=a\x01nb", want: "454 authentication server gave no user name", why: "user with a line end" },
  { in: "OK\tID\tuser=a=b\x01", want: "235 PLAIN a=b", why: "equals sign in the user" },
  { in: "OK\t999\tuser=bob\nFAIL\tID\treason=no", want: "535 no", why: "reply to another id is skipped" },
  { in: "OK\tx\tuser=alice", want: LOST, why: "malformed id" },
  { in: "CONT\tID\t!!!", want: LOST, why: "malformed base64" },
  { in: `OK\tID\tuser=${"x".repeat(40_000)}`, want: LOST, why: "line without bounds" },
];
for (const c of replies) {
  test(`reply: ${c.why}`, async (t) => {
    const { backend } = await setUp(
      t,
      dovecot((_, id) => c.in.replaceAll("ID", id)),
    );
    await ready(backend);
    assert.deepEqual(await login(backend, "PLAIN", ["\0alice\0x"]), [c.want]);
  });
}

test("many exchanges share one connection and get their own replies, in any order", async (t) => {
  const held: { id: string; connection: PeerConnection }[] = [];
  const { backend, peer } = await setUp(
    t,
    dovecot((_, id, _rest, connection) => {
      held.push({ id, connection });
      if (held.length === 20)
        for (const { id, connection } of held.reverse()) connection.send(`OK\t${id}\tuser=user${id}\n`);
      return "";
    }),
  );
  await ready(backend);
  const logins = Array.from({ length: 20 }, () => login(backend, "PLAIN", ["x"]));
  assert.deepEqual(
    (await Promise.all(logins)).flat(),
    Array.from({ length: 20 }, (_, i) => `235 PLAIN user${i + 1}`),
  );
  assert.equal(peer.connections, 1);
});

test("a connection lost at AUTH is made anew once", async (t) => {
  let drops = 1;
  const { backend, peer } = await setUp(
    t,
    dovecot((_, id, _rest, connection) => {
      if (drops-- > 0) connection.drop();
      return `OK\t${id}\tuser=alice`;
    }),
  );
  await ready(backend);
  assert.deepEqual(await login(backend, "PLAIN", ["x"]), ["235 PLAIN alice"]);
  assert.equal(peer.connections, 2);
  drops = 5;
  assert.deepEqual(await login(backend, "PLAIN", ["x"]), [LOST]);
  assert.equal(drops, 3, "asked twice, not more");
});

test("a connection lost in the middle of a dialogue is a temporary failure, also when a new one is up", async (t) => {
  const connections: PeerConnection[] = [];
  const answers = (_: string, id: string, _rest: string[], connection: PeerConnection) => {
    connections.push(connection);
    return `CONT\t${id}\t`;
  };
  const { backend, peer } = await setUp(t, dovecot(answers));
  await ready(backend);
  const exchange = backend.start("LOGIN", CONTEXT);
  assert.ok(exchange);
  assert.deepEqual(await talk(exchange, [undefined]), ["334 "]);
  connections[0]?.drop();
  await login(backend, "LOGIN", [undefined]);
  await until(() => peer.connections === 2);
  assert.deepEqual(await talk(exchange, ["alice"]), [LOST]);
});

test("silence for 10 s is a temporary failure and ends the connection", async (t) => {
  const { backend, peer, clock } = await setUp(
    t,
    dovecot(() => ""),
  );
  await ready(backend);
  clock.advance(1);
  const running = login(backend, "PLAIN", ["x"]);
  await until(() => peer.lines.length === 3);
  clock.advance(10_000);
  await until(() => peer.lines.length === 6);
  clock.advance(10_000);
  assert.deepEqual(await running, [LOST]);
});

test("one slow request does not end the connection of the others, and is not asked again", async (t) => {
  const { backend, peer, clock } = await setUp(
    t,
    dovecot((_, id) => (id === "1" ? "" : `OK\t${id}\tuser=bob`)),
  );
  await ready(backend);
  const slow = login(backend, "PLAIN", ["x"]);
  await until(() => peer.lines.length === 3);
  clock.advance(5000);
  assert.deepEqual(await login(backend, "PLAIN", ["y"]), ["235 PLAIN bob"]);
  clock.advance(5000);
  assert.deepEqual(await slow, [LOST]);
  await until(() => peer.lines.includes("CANCEL\t1"));
  assert.equal(peer.connections, 1);
  assert.equal(peer.lines.length, 5);
});

test("close() of an exchange cancels it at the server", async (t) => {
  const { backend, peer } = await setUp(
    t,
    dovecot((_, id) => `CONT\t${id}\t`),
  );
  await ready(backend);
  const exchange = backend.start("LOGIN", CONTEXT);
  assert.ok(exchange);
  await talk(exchange, [undefined]);
  exchange.close();
  exchange.close();
  await until(() => peer.lines.length > 3);
  assert.deepEqual(peer.lines.slice(3), ["CANCEL\t1"]);
  assert.deepEqual(await talk(exchange, ["x"]), ["535 authentication failure"]);
});

test("a server that is away: logged once, retried ever more slowly, found again, last mechanisms kept", async (t) => {
  const { backend, peer, clock, lines } = await setUp(
    t,
    dovecot((_, id) => `OK\t${id}\tuser=alice`),
  );
  await ready(backend);
  await peer.stop();
  await until(() => lines.length === 1);
  assert.match(lines[0] ?? "", /^warning: SASL: Connection lost to .*auth failed: connection closed$/);
  const delays: (number | undefined)[] = [];
  for (let i = 0; i < 7; i++) {
    await until(() => clock.pending.length === 1 && clock.pending[0] !== 10_000);
    delays.push(clock.pending[0]);
    clock.advance(clock.pending[0] ?? 0);
  }
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(backend.mechanisms().length, 5);
  assert.deepEqual(await login(backend, "PLAIN", ["x"]), [LOST]);
  await peer.start();
  assert.deepEqual(await login(backend, "PLAIN", ["x"]), ["235 PLAIN alice"]);
  assert.deepEqual(lines.slice(1), [`info: SASL: connected to ${peer.path} again`]);
});

const greetings = [
  { in: "VERSION\t2\t0\nDONE\n", why: "another major version", log: /protocol version 2 is not 1/ },
  { in: "MECH\tPLAIN\nDONE\n", why: "no version", log: /no protocol version/ },
  { in: "VERSION\t1\t0\nMECH\ta b\nDONE\n", why: "a mechanism's name with a blank", log: /malformed reply/ },
  {
    in: `VERSION\t1\t0\n${"MECH\tPLAIN\n".repeat(65)}DONE\n`,
    why: "mechanisms without end",
    log: /too many mechanisms/,
  },
];
for (const c of greetings) {
  test(`handshake refused: ${c.why}`, async (t) => {
    const { backend, lines } = await setUp(t, { onConnect: (connection) => connection.send(c.in) });
    await until(() => lines.length === 1);
    assert.match(lines[0] ?? "", c.log);
    assert.deepEqual(backend.mechanisms(), []);
  });
}

test("a handshake that does not come within 10 s ends", async (t) => {
  const { clock, peer, lines } = await setUp(t, {});
  await until(() => peer.lines.length === 2);
  clock.advance(10_000);
  assert.match(lines[0] ?? "", /^warning: SASL: Connect to .* failed: timeout$/);
});

test("close() of the backend ends all exchanges", async (t) => {
  const { backend, peer } = await setUp(
    t,
    dovecot(() => ""),
  );
  await ready(backend);
  const running = login(backend, "PLAIN", ["x"]);
  await until(() => peer.lines.length === 3);
  await backend.close();
  assert.deepEqual(await running, [LOST]);
});

const paths = [
  {
    in: "private/auth",
    want: { kind: "unix", path: "/var/spool/private/auth" },
    why: "relative to the queue directory",
  },
  { in: "/run/auth", want: { kind: "unix", path: "/run/auth" }, why: "absolute" },
  { in: "unix:private/auth", want: { kind: "unix", path: "/var/spool/private/auth" }, why: "unix:" },
  { in: "inet:127.0.0.1:12345", want: { kind: "tcp", host: "127.0.0.1", port: 12_345 }, why: "inet:" },
  { in: "inet:[::1]:12345", want: { kind: "tcp", host: "::1", port: 12_345 }, why: "IPv6" },
  { in: "inet:dovecot:12345", want: { kind: "tcp", host: "dovecot", port: 12_345 }, why: "host name" },
  { in: "inet:12345", want: undefined, why: "no host" },
  { in: "inet:localhost:0", want: undefined, why: "port 0" },
  { in: "inet:localhost:99999", want: undefined, why: "port too large" },
  { in: "unix:", want: undefined, why: "no path" },
  { in: "", want: undefined, why: "empty" },
];
for (const c of paths) {
  test(`parseDovecotPath() ${c.why}: "${c.in}"`, () => assert.deepEqual(parseDovecotPath(c.in, "/var/spool"), c.want));
}
