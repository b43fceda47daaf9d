import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords, type World } from "./testdata/world.ts";

interface Setting {
  readonly peer: FakePeer;
  readonly world: World;
}

async function withPeer(
  script: PeerScript & { settings?: Record<string, string>; tables?: Record<string, Record<string, string>> },
  run: (setting: Setting) => Promise<void>,
): Promise<void> {
  const peer = await FakePeer.start(script);
  const { settings = {}, tables = {} } = script;
  const protocol = script.lmtp ? "lmtp" : "smtp";
  const world = createWorld({ nexthop: `[127.0.0.1]:${peer.port}`, settings, tables, protocol });
  try {
    await run({ peer, world });
  } finally {
    await world.agent.close();
    await peer.stop();
  }
}

/** The outcomes in short, the port taken out. */
async function shown(setting: Setting, words: Partial<RequestWords>): Promise<readonly string[]> {
  const outcomes = await setting.world.deliver(words);
  return outcomes.map((o) => `${o.kind} ${o.dsn} ${o.text}`.replaceAll(`:${setting.peer.port}`, ":PORT"));
}

const HOST = "127.0.0.1[127.0.0.1]";
const SENT = "sent 2.0.0 250 2.0.0 Ok: queued as TEST";
const THREE = ["a@dest.test", "b@dest.test", "c@dest.test"];

interface Row {
  readonly why: string;
  readonly script: PeerScript & { settings?: Record<string, string>; tables?: Record<string, Record<string, string>> };
  readonly words?: Partial<RequestWords>;
  readonly want: readonly string[];
  readonly commands?: RegExp;
}

const only =
  (pattern: RegExp, text: string): NonNullable<PeerScript["answer"]> =>
  (command) =>
    pattern.test(command) ? text : undefined;
const PLAIN_SMTP = { features: ["8BITMIME"] };

const ROWS: readonly Row[] = [
  { why: "takes all", script: {}, words: { recipients: THREE }, want: [SENT, SENT, SENT] },
  { why: "without pipelining", script: PLAIN_SMTP, words: { recipients: THREE }, want: [SENT, SENT, SENT] },
  {
    why: "replies in one-byte segments",
    script: { slow: true, answer: only(/^\.$/, "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three") },
    want: ["sent 2.0.0 250-2.0.0 one 250-2.0.0 two 250 2.0.0 three"],
  },
  ...[{}, PLAIN_SMTP].map((script) => ({
    why: `refuses one recipient for good, one for now ${JSON.stringify(script)}`,
    script: {
      ...script,
      answer: (c: string) => (/<a@/.test(c) ? "550 5.1.1 nobody" : /<b@/.test(c) ? "450 busy" : undefined),
    },
    words: { recipients: THREE },
    want: [
      `bounced 5.1.1 host ${HOST} said: 550 5.1.1 nobody (in reply to RCPT TO command)`,
      `deferred 4.0.0 host ${HOST} said: 450 busy (in reply to RCPT TO command)`,
      SENT,
    ],
  })),
  ...[{}, PLAIN_SMTP].map((script) => ({
    why: `refuses all recipients, 354 or not ${JSON.stringify(script)}`,
    script: { ...script, answer: only(/^RCPT/, "550 5.1.1 nobody") },
    want: [`bounced 5.1.1 host ${HOST} said: 550 5.1.1 nobody (in reply to RCPT TO command)`],
  })),
  ...[{}, PLAIN_SMTP].map((script) => ({
    why: `refuses the sender ${JSON.stringify(script)}`,
    script: { ...script, answer: only(/^MAIL/, "451 4.7.1 greylisted") },
    words: { recipients: THREE.slice(1) },
    want: Array(2).fill(`deferred 4.7.1 host ${HOST} said: 451 4.7.1 greylisted (in reply to MAIL FROM command)`),
  })),
  {
    why: "refuses DATA",
    script: { answer: only(/^DATA/, "554 5.7.1 no") },
    want: [`bounced 5.7.1 host ${HOST} said: 554 5.7.1 no (in reply to DATA command)`],
  },
  {
    why: "refuses the content; a status of another class is not taken",
    script: { answer: only(/^\.$/, "552 4.2.2 too big") },
    want: [`bounced 5.0.0 host ${HOST} said: 552 4.2.2 too big (in reply to end of DATA command)`],
  },
  {
    why: "5xx greeting is temporary by default",
    script: { greeting: "554 5.7.1 go away" },
    want: [`deferred 4.7.1 host ${HOST} refused to talk to me: 554 5.7.1 go away`],
  },
  {
    why: "5xx greeting with smtp_skip_5xx_greeting=no",
    script: { greeting: "554 5.7.1 go away", settings: { smtp_skip_5xx_greeting: "no" } },
    want: [`bounced 5.7.1 host ${HOST} refused to talk to me: 554 5.7.1 go away`],
  },
  { why: "does not know EHLO", script: { answer: only(/^EHLO/, "502 5.5.1 what?") }, want: [SENT], commands: /HELO/ },
  {
    why: "message larger than SIZE",
    script: { features: ["SIZE 10"] },
    want: [`bounced 5.3.4 message size 22 exceeds size limit 10 of server ${HOST}`],
  },
  { why: "SIZE, 8BITMIME are used (OUT-13)", script: {}, want: [SENT], commands: /SIZE=22 BODY=8BITMIME$/m },
  {
    why: "UTF-8 address without SMTPUTF8 (EAI-06)",
    script: {},
    words: { recipients: ["jürgen@dest.test"], smtputf8: true },
    want: [`bounced 5.6.7 SMTPUTF8 is required, but was not offered by host ${HOST}`],
  },
  {
    why: "UTF-8 header without SMTPUTF8",
    script: {},
    words: { smtputf8: true, content: "Subject: grüß\r\n\r\nx\r\n" },
    want: [`bounced 5.6.7 SMTPUTF8 is required, but was not offered by host ${HOST}`],
  },
  {
    why: "SMTPUTF8 asked but not needed (EAI-07)",
    script: {},
    words: { smtputf8: true, content: "A: b\r\n\r\nü\r\n" },
    want: [SENT],
  },
  {
    why: "UTF-8 address with SMTPUTF8",
    script: { features: ["SMTPUTF8"] },
    words: { recipients: ["jürgen@dest.test"], smtputf8: true },
    want: [SENT],
    commands: /SMTPUTF8$/m,
  },
  {
    why: "an address that would be a second command",
    script: {},
    words: { recipients: ["a\r\nRSET@dest.test"] },
    want: ["bounced 5.1.3 bad address syntax"],
  },
  {
    why: "TLS required, not offered",
    script: { settings: { smtp_tls_security_level: "encrypt" } },
    want: [`deferred 4.7.4 TLS is required, but was not offered by host ${HOST}`],
  },
  {
    why: "TLS required, refused",
    script: {
      features: ["STARTTLS"],
      answer: only(/^STARTTLS/, "454 4.7.0 not now"),
      settings: { smtp_tls_security_level: "encrypt" },
    },
    want: [`deferred 4.7.0 TLS is required, but host ${HOST} refused to start TLS: 454 4.7.0 not now`],
  },
  {
    why: "TLS if offered, refused: goes on in clear",
    script: {
      features: ["STARTTLS"],
      answer: only(/^STARTTLS/, "454 4.7.0 not now"),
      settings: { smtp_tls_security_level: "may" },
    },
    want: [SENT],
  },
  {
    why: "TLS if offered, handshake fails: new mail waits",
    script: { features: ["STARTTLS"], brokenTls: true, settings: { smtp_tls_security_level: "may" } },
    words: { queuedMs: 299_999 },
    want: ["deferred 4.7.5 Cannot start TLS: handshake failure"],
  },
  {
    why: "TLS if offered, handshake fails: mail older than minimal_backoff_time goes in clear",
    script: { features: ["STARTTLS"], brokenTls: true, settings: { smtp_tls_security_level: "may" } },
    words: { queuedMs: 300_000 },
    want: [SENT],
  },
  {
    why: "TLS if offered, handshake fails: a login is never tried in clear",
    script: {
      features: ["STARTTLS"],
      brokenTls: true,
      settings: {
        smtp_tls_security_level: "may",
        smtp_sasl_auth_enable: "yes",
        smtp_sasl_password_maps: "inline:pw",
      },
      tables: { "inline:pw": { "127.0.0.1": "user:secret" } },
    },
    words: { queuedMs: 300_000 },
    want: ["deferred 4.7.5 Cannot start TLS: handshake failure"],
  },
  {
    why: "TLS required, handshake fails",
    script: { features: ["STARTTLS"], brokenTls: true, settings: { smtp_tls_security_level: "encrypt" } },
    want: ["deferred 4.7.5 Cannot start TLS: handshake failure"],
  },
  {
    why: "TLS required and given",
    script: { features: ["STARTTLS"], settings: { smtp_tls_security_level: "encrypt" } },
    want: [SENT],
    commands: /EHLO.*\nSTARTTLS\nEHLO/,
  },
  {
    why: "plaintext behind the STARTTLS reply is an attack",
    script: {
      features: ["STARTTLS"],
      answer: only(/^STARTTLS/, "220 go\r\n250-evil"),
      settings: { smtp_tls_security_level: "encrypt" },
    },
    want: ["deferred 4.7.5 Cannot start TLS: handshake failure"],
  },
  {
    why: "level verify refuses a self-signed certificate",
    script: { features: ["STARTTLS"], settings: { smtp_tls_security_level: "verify" } },
    want: ["deferred 4.7.5 Server certificate not verified"],
  },
  {
    why: "a policy table that cannot be read defers",
    script: { settings: { smtp_tls_policy_maps: "hash:broken" } },
    want: [`deferred 4.3.0 local data error while talking to ${HOST}`],
  },
];
for (const row of ROWS) {
  test(`SmtpAgent ${row.why}`, () =>
    withPeer(row.script, async (setting) => {
      assert.deepEqual(await shown(setting, row.words ?? {}), row.want);
      if (row.commands) assert.match(setting.peer.commands().join("\n"), row.commands);
    }));
}

const LOGIN = {
  settings: { smtp_sasl_auth_enable: "yes", smtp_sasl_password_maps: "inline:pw", smtp_tls_security_level: "may" },
  tables: { "inline:pw": { "127.0.0.1": "user:secret" } },
};

test("SmtpAgent logs in with CRAM-MD5, first of what is offered", () =>
  withPeer(
    {
      ...LOGIN,
      features: ["AUTH PLAIN LOGIN CRAM-MD5"],
      answer: (c) =>
        c === "AUTH CRAM-MD5"
          ? `334 ${Buffer.from("<1@x>").toString("base64")}`
          : c.includes(" ")
            ? undefined
            : c.length > 20
              ? "235 2.7.0 ok"
              : undefined,
    },
    async ({ peer, world }) => {
      assert.equal((await world.deliver({}))[0]?.kind, "sent");
      const digest = createHmac("md5", "secret").update("<1@x>").digest("hex");
      assert.equal(peer.commands()[2], Buffer.from(`user ${digest}`).toString("base64"));
      assert.ok(!world.lines.join().includes("secret"));
    },
  ));

test("SmtpAgent sends no password in clear: noplaintext is the default", () =>
  withPeer({ ...LOGIN, features: ["AUTH PLAIN LOGIN"] }, async (setting) => {
    assert.deepEqual(await shown(setting, {}), [
      `deferred 4.7.0 SASL authentication failed; cannot authenticate to server ${HOST}: no mechanism available`,
    ]);
    assert.ok(!setting.peer.commands().some((c) => c.startsWith("AUTH")));
  }));

for (const [mechanism, want] of [
  ["PLAIN", ["AUTH PLAIN AHVzZXIAc2VjcmV0"]],
  ["LOGIN", ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"]],
] as const) {
  test(`SmtpAgent logs in with ${mechanism} over TLS`, () => {
    let step = 0;
    const answer = (c: string) => {
      if (c === "AUTH LOGIN") return "334 VXNlcm5hbWU6";
      if (/^[A-Za-z0-9+/=]{8,}$/.test(c) && c !== "STARTTLS") return step++ === 0 ? "334 UGFzc3dvcmQ6" : "235 2.7.0 ok";
      return undefined;
    };
    const settings = { ...LOGIN.settings, smtp_sasl_tls_security_options: "noanonymous" };
    return withPeer(
      { ...LOGIN, settings, features: ["STARTTLS", `AUTH ${mechanism}`], answer },
      async ({ peer, world }) => {
        assert.equal((await world.deliver({}))[0]?.kind, "sent");
        assert.deepEqual(peer.commands().slice(3, 3 + want.length), want);
      },
    );
  });
}

for (const [soft, want] of [
  ["yes", "deferred 4.7.8"],
  ["no", "bounced 5.7.8"],
] as const) {
  test(`SmtpAgent login refused, smtp_sasl_auth_soft_bounce=${soft}`, () => {
    const settings = { ...LOGIN.settings, smtp_sasl_security_options: "", smtp_sasl_auth_soft_bounce: soft };
    const answer = only(/^AUTH/, "535 5.7.8 bad password");
    return withPeer({ ...LOGIN, settings, features: ["AUTH PLAIN"], answer }, async (setting) => {
      const text = `SASL authentication failed; server ${HOST} said: 535 5.7.8 bad password`;
      assert.deepEqual(await shown(setting, {}), [`${want} ${text}`]);
    });
  });
}

const DROPS = [
  { at: "greeting", phase: "receiving the initial server greeting", script: { greeting: "drop" } },
  { at: "EHLO", phase: "performing the EHLO handshake" },
  { at: "MAIL", phase: "sending MAIL FROM" },
  { at: "RCPT", phase: "sending RCPT TO" },
  { at: "DATA", phase: "sending DATA command" },
  { at: ".", phase: "sending end of data -- message may be sent more than once" },
];
for (const { at, phase, script } of DROPS) {
  for (const features of [["PIPELINING"], ["SIZE"]]) {
    test(`SmtpAgent connection lost at ${at}, ${features}`, () => {
      const answer = (c: string) => (c.startsWith(at) ? "drop" : undefined);
      return withPeer({ features, answer, ...script }, async (setting) => {
        const text = `deferred 4.4.2 lost connection with ${HOST} while ${phase}`;
        assert.deepEqual(await shown(setting, { recipients: THREE }), [text, text, text]);
      });
    });
  }
}

test("SmtpAgent connection lost in the middle of the content", () =>
  withPeer({ dropAfterBytes: 100_000 }, async (setting) => {
    const content = Array.from({ length: 100 }, () => Buffer.alloc(50_000, "x"));
    const [first] = await shown(setting, { content });
    assert.match(
      first ?? "",
      /^deferred 4\.4\.2 lost connection with .* while (sending message body|sending end of data)/,
    );
  }));

test("SmtpAgent what was refused before the connection broke stays refused", () =>
  withPeer(
    { answer: (c) => (/<a@/.test(c) ? "550 5.1.1 nobody" : /<b@/.test(c) ? "drop" : undefined) },
    async (setting) => {
      const got = await shown(setting, { recipients: THREE });
      assert.match(got[0] ?? "", /^bounced 5\.1\.1/);
      assert.match(got[1] ?? "", /^deferred 4\.4\.2/);
      assert.match(got[2] ?? "", /^deferred 4\.4\.2/);
    },
  ));

test("SmtpAgent times out", () =>
  withPeer(
    { answer: only(/^MAIL/, "250-wait"), settings: { smtp_mail_timeout: "1s" }, features: ["SIZE"] },
    async (setting) => {
      assert.deepEqual(await shown(setting, {}), [
        `deferred 4.4.2 conversation with ${HOST} timed out while sending MAIL FROM`,
      ]);
    },
  ));

test("SmtpAgent an abort ends a delivery at once", () =>
  withPeer({ answer: only(/^MAIL/, "250-wait") }, async (setting) => {
    const stop = new AbortController();
    const delivery = shown(setting, { signal: stop.signal });
    while (!setting.peer.commands().some((c) => c.startsWith("MAIL"))) await new Promise((r) => setImmediate(r));
    stop.abort();
    assert.match((await delivery)[0] ?? "", /^deferred 4\.4\.2 lost connection/);
  }));

test("SmtpAgent uses one session again, with conn_use", () =>
  withPeer({}, async ({ peer, world }) => {
    const uses = [];
    for (let i = 0; i < 3; i++) uses.push((await world.deliver({}))[0]?.connectionUse);
    assert.deepEqual(uses, [1, 2, 3]);
    assert.equal(peer.connections, 1);
    assert.equal(peer.messages.length, 3);
  }));

test("SmtpAgent resets a session whose last transaction was refused", () =>
  withPeer({ answer: only(/<bad@/, "550 no") }, async ({ peer, world }) => {
    await world.deliver({ recipients: ["bad@dest.test"] });
    assert.equal((await world.deliver({}))[0]?.kind, "sent");
    assert.equal(peer.connections, 1);
    assert.ok(peer.commands().includes("RSET"));
  }));

test("SmtpAgent a kept session that died is replaced without a trace", () =>
  withPeer(
    { answer: (c, n) => (n === 1 && c.startsWith("MAIL") && seen++ > 0 ? death : undefined) },
    async ({ peer, world }) => {
      for (death of ["drop", "421 4.4.2 timeout"]) {
        seen = 0;
        const before = peer.connections;
        assert.equal((await world.deliver({}))[0]?.kind, "sent");
        assert.equal((await world.deliver({}))[0]?.kind, "sent");
        if (before === 0) assert.equal(peer.connections, 2);
      }
    },
  ));
let seen = 0;
let death = "drop";

test("SmtpAgent close() lets a delivery end, and keeps no session after it", () =>
  withPeer({ slow: true }, async ({ peer, world }) => {
    const delivery = world.deliver({});
    while (!peer.commands().some((c) => c.startsWith("MAIL"))) await new Promise((r) => setImmediate(r));
    await world.agent.close();
    assert.equal((await delivery)[0]?.kind, "sent");
    while (!peer.commands().includes("QUIT")) await new Promise((r) => setImmediate(r));
  }));

test("SmtpAgent keeps no session when the cache is off", () =>
  withPeer({ settings: { smtp_connection_cache_on_demand: "no" } }, async ({ peer, world }) => {
    await world.deliver({});
    await world.deliver({});
    assert.equal(peer.connections, 2);
  }));

test("SmtpAgent keeps a session where the destination is named, also when the cache is off", () => {
  const settings = { smtp_connection_cache_on_demand: "no", smtp_connection_cache_destinations: "a.test, 127.0.0.1" };
  return withPeer({ settings }, async ({ peer, world }) => {
    await world.deliver({});
    await world.deliver({});
    assert.equal(peer.connections, 1);
  });
});

test("SmtpAgent LMTP: one reply per recipient after the dot", () => {
  let dots = 0;
  const answer = (c: string) => (c === "." && dots++ === 1 ? "452 4.2.2 full" : undefined);
  return withPeer({ lmtp: true, answer }, async (setting) => {
    assert.deepEqual(await shown(setting, { recipients: THREE }), [
      SENT,
      `deferred 4.2.2 host ${HOST} said: 452 4.2.2 full (in reply to end of DATA command)`,
      SENT,
    ]);
    assert.match(setting.peer.commands()[0] ?? "", /^LHLO/);
  });
});

test("SmtpAgent connection refused", async () => {
  const peer = await FakePeer.start();
  const { port } = peer;
  await peer.stop();
  const world = createWorld({ nexthop: `[127.0.0.1]:${port}` });
  const [outcome] = await world.deliver({});
  assert.deepEqual(
    { text: outcome?.text, dsn: outcome?.dsn, relay: outcome?.relay },
    { text: `connect to ${HOST}:${port}: Connection refused`, dsn: "4.4.1", relay: "none" },
  );
  assert.deepEqual(world.lines, [`connect to ${HOST}:${port}: Connection refused`]);
});

test("SmtpAgent falls through to the next host for those who may yet be served", async () => {
  const first = await FakePeer.start({
    answer: (c) => (/<a@/.test(c) ? "550 5.1.1 nobody" : /<b@/.test(c) ? "451 4.3.0 later" : undefined),
  });
  const second = await FakePeer.start();
  const nexthop = `[127.0.0.1]:${first.port}, [localhost]:${second.port}`;
  const world = createWorld({ nexthop, zone: { localhost: { a: ["127.0.0.1"] } } });
  const outcomes = await world.deliver({ recipients: THREE });
  assert.deepEqual(
    outcomes.map((o) => `${o.kind} ${o.relay}`),
    [`bounced ${HOST}:${first.port}`, `sent localhost[127.0.0.1]:${second.port}`, `sent ${HOST}:${first.port}`],
  );
  assert.deepEqual(
    second.commands().filter((c) => c.startsWith("RCPT")),
    ["RCPT TO:<b@dest.test>"],
  );
  await world.agent.close();
  await first.stop();
  await second.stop();
});

test("SmtpAgent content arrives as it was, at any chunking", () =>
  withPeer({}, async ({ peer, world }) => {
    const text = `Subject: x\r\n\r\n.\r\n..two\r\n${"line\r\n".repeat(30_000)}.end`;
    const bytes = Buffer.from(text);
    const chunks = [bytes.subarray(0, 14), bytes.subarray(14, 15), bytes.subarray(15, 90_000), bytes.subarray(90_000)];
    assert.equal((await world.deliver({ content: chunks }))[0]?.kind, "sent");
    const got = peer.messages[0]?.toString().replace(/(^|\r\n)\./g, "$1");
    assert.equal(got, `${text}\r\n`);
  }));
