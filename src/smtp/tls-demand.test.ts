/** RFC 8689 at the client: REQUIRETLS and TLS-Required: No, over real handshakes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { FileBytes } from "../net/tls-files.ts";
import type { Target, TargetOrigin } from "./session.ts";
import { FakePeer, type PeerScript } from "./testdata/fake-peer.ts";
import { createWorld, type RequestWords } from "./testdata/world.ts";
import { optionalPolicy, requiredPolicy, tlsDemandOf } from "./tls-demand.ts";
import type { TlsPolicy } from "./tls-policy.ts";

const OFFER = { protocols: ">=TLSv1", grade: "medium", exclude: [] } as const;
const MANDATORY = { ...OFFER, protocols: ">=TLSv1.2" } as const;
const POLICY: TlsPolicy = { level: "may", offer: OFFER, match: [], serverName: "", anchorFiles: [] };
const MX: Target = { host: "mx.x.test", address: "192.0.2.1", port: 25, nexthop: "x.test", best: true };
const HOST: Target = { ...MX, nexthop: "[mx.x.test]" };
const signed = (secure: boolean): TargetOrigin => {
  const name = { secure, canonical: "x.test" };
  return { mx: name, host: name };
};

const POLICIES: readonly {
  why: string;
  policy?: Partial<TlsPolicy>;
  target?: Target;
  proven?: boolean;
  want: string;
}[] = [
  { why: "no TLS at all", policy: { level: "none" }, want: "unfit 5.7.10" },
  { why: "DANE", policy: { level: "dane" }, proven: true, want: "dane" },
  { why: "MTA-STS", policy: { level: "secure", sts: { enforced: true } }, want: "secure sts" },
  { why: "main.cf names the domain", policy: { level: "secure" }, want: "secure" },
  { why: "main.cf names the key", policy: { level: "fingerprint" }, want: "fingerprint" },
  { why: "an exchanger out of unsigned DNS", want: "unfit 5.7.30" },
  {
    why: "the same where DNSSEC says that it is unsigned",
    target: { ...MX, origin: signed(false) },
    want: "unfit 5.7.30",
  },
  { why: "verified, but for the name that unsigned DNS gave", policy: { level: "verify" }, want: "unfit 5.7.30" },
  { why: "encrypted to whomever", policy: { level: "encrypt" }, want: "unfit 5.7.30" },
  { why: "a signed list of exchangers", target: { ...MX, origin: signed(true) }, want: "secure sts" },
  { why: "a host that main.cf names", target: HOST, want: "secure sts" },
  { why: "verified, and main.cf names the host", policy: { level: "verify" }, target: HOST, want: "verify" },
];
for (const { why, policy, target = MX, proven = false, want } of POLICIES) {
  test(`REQ-03: requiredPolicy() ${why}`, () => {
    const result = requiredPolicy({ ...POLICY, ...policy }, target, { proven, mandatory: MANDATORY });
    const shown = "kind" in result ? `unfit ${result.dsn}` : `${result.level}${result.sts?.enforced ? " sts" : ""}`;
    assert.equal(shown, want);
  });
}

const OPTIONAL: readonly { why: string; policy: Partial<TlsPolicy>; wrapper?: boolean; want: string }[] = [
  { why: "a level above", policy: { level: "secure", match: ["x.test"] }, want: "may" },
  { why: "MTA-STS", policy: { level: "secure", sts: { enforced: true } }, want: "may" },
  { why: "DANE", policy: { level: "dane", otherwise: { may: POLICY, encrypt: POLICY } }, want: "may" },
  { why: "none stays", policy: { level: "none" }, want: "none" },
  { why: "a port that speaks nothing else", policy: { level: "secure" }, wrapper: true, want: "encrypt" },
];
for (const { why, policy, wrapper = false, want } of OPTIONAL) {
  test(`REQ-05: optionalPolicy() ${why}`, () => {
    const result = optionalPolicy({ ...POLICY, ...policy }, { wrapper, offer: OFFER });
    assert.deepEqual([result.level, result.sts, result.otherwise], [want, undefined, undefined]);
  });
}

const DEMANDS: readonly { why: string; envelope: Partial<Envelope>; lmtp?: true; want: string | undefined }[] = [
  { why: "nothing", envelope: {}, want: undefined },
  { why: "REQUIRETLS", envelope: { requireTls: true }, want: "required" },
  { why: "REQUIRETLS of a report", envelope: { requireTls: true, sender: asAddress("") }, want: undefined },
  { why: "TLS-Required: No", envelope: { tlsOptional: true }, want: "optional" },
  { why: "both", envelope: { tlsOptional: true, requireTls: true }, want: "required" },
  { why: "REQUIRETLS at the end of the way", envelope: { requireTls: true }, lmtp: true, want: undefined },
];
for (const { why, envelope, lmtp, want } of DEMANDS) {
  test(`tlsDemandOf() ${why}`, () => {
    const whole = { sender: asAddress("a@example.org"), ...envelope } as Envelope;
    assert.equal(tlsDemandOf(whole, lmtp ? "lmtp" : "smtp"), want);
  });
}

function pem(name: string): Buffer {
  return readFileSync(new URL(`../net/testdata/servers/${name}`, import.meta.url));
}
const TLS_FILES = { read: (path: string): FileBytes => ({ bytes: pem(path) }) };

const SAFE = { features: ["STARTTLS", "REQUIRETLS", "SIZE 0", "DSN"], certificate: pem("mx.pem") };
const NO_KEYWORD = { ...SAFE, features: ["STARTTLS"] };
const NO_TLS = { features: ["REQUIRETLS"] };
const CLOSED = "closed";

/** What became of a message, and the MAIL command of each server that got one. */
async function deliver(
  servers: readonly (PeerScript | typeof CLOSED)[],
  words: Partial<RequestWords>,
  {
    settings = {},
    hops,
    tables = {},
  }: { settings?: Record<string, string>; hops?: string; tables?: Record<string, Record<string, string>> } = {},
): Promise<{ readonly outcome: string; readonly mail: readonly string[] }> {
  const peers = await Promise.all(servers.map((script) => FakePeer.start(script === CLOSED ? {} : script)));
  const ports = peers.map(({ port }) => port);
  for (const [i, script] of servers.entries()) if (script === CLOSED) await peers[i]?.stop();
  const nexthop = hops ?? ports.map((port) => `[mx.example.test]:${port}`).join(" ");
  const world = createWorld({
    nexthop: nexthop.replace("$", String(ports[0])),
    settings: { smtp_tls_security_level: "may", smtp_tls_CAfile: "root.pem", ...settings },
    zone: {
      "example.test": { mx: [{ preference: 10, exchange: "mx.example.test" }] },
      "mx.example.test": { a: ["127.0.0.1"] },
      "other.example.test": { a: ["127.0.0.1"] },
    },
    tables,
    tlsFiles: TLS_FILES,
  });
  try {
    const [result] = await world.deliver(words);
    const text = result?.kind === "sent" ? "" : ` ${result?.dsn} ${result?.text.replace(/:\d+/g, "")}`;
    const mail = peers.flatMap((peer) => peer.commands().filter((command) => command.startsWith("MAIL")));
    return { outcome: `${result?.kind}${text}`, mail };
  } finally {
    await world.agent.close();
    await Promise.all(peers.map((peer) => peer.stop()));
  }
}

const REQUIRED = { requireTls: true };
const AT = "mx.example.test[127.0.0.1]";
const REQUIRETLS_30 = `REQUIRETLS is required, but was not offered by host ${AT}`;

const ROWS: readonly {
  why: string;
  servers: readonly (PeerScript | typeof CLOSED)[];
  words?: Partial<RequestWords>;
  more?: Parameters<typeof deliver>[2];
  want: string;
  mail?: readonly string[];
}[] = [
  {
    why: "a server that proves itself and promises the same: it is told",
    servers: [SAFE],
    want: "sent",
    mail: ["MAIL FROM:<sender@example.org> SIZE=22 REQUIRETLS"],
  },
  { why: "without the keyword: 5.7.30", servers: [NO_KEYWORD], want: `bounced 5.7.30 ${REQUIRETLS_30}`, mail: [] },
  {
    why: "the keyword counts behind TLS only",
    servers: [{ ...SAFE, answer: answers("250-x\r\n250-REQUIRETLS\r\n250 STARTTLS", "250 x") }],
    want: `bounced 5.7.30 ${REQUIRETLS_30}`,
  },
  {
    why: "without STARTTLS: 5.7.10",
    servers: [NO_TLS],
    want: `bounced 5.7.10 TLS is required, but was not offered by host ${AT}`,
    mail: [],
  },
  {
    why: "a certificate of nobody we know",
    servers: [{ features: SAFE.features }],
    want: "bounced 5.7.5 Server certificate not verified",
    mail: [],
  },
  {
    why: "a certificate for another name",
    servers: [SAFE],
    more: { hops: "[other.example.test]:$" },
    want: "bounced 5.7.5 Server certificate not verified",
  },
  { why: "the next host may do it", servers: [NO_KEYWORD, NO_TLS, SAFE], want: "sent" },
  {
    why: "no host does it: what the last one said",
    servers: [NO_KEYWORD, NO_TLS],
    want: `bounced 5.7.10 TLS is required, but was not offered by host ${AT}`,
  },
  {
    why: "a host that is away may do it later",
    servers: [CLOSED, NO_KEYWORD],
    want: `deferred 4.7.30 ${REQUIRETLS_30}`,
  },
  {
    why: "the same the other way round",
    servers: [NO_KEYWORD, CLOSED],
    want: `deferred 4.4.1 connect to ${AT}: Connection refused`,
  },
  {
    why: "an exchanger that nothing proves",
    servers: [SAFE],
    more: { hops: "example.test" },
    want: "bounced 5.7.30 REQUIRETLS is required, but nothing proves that mx.example.test is a mail exchanger of example.test",
  },
  {
    why: "TLS turned off in main.cf",
    servers: [SAFE],
    more: { settings: { smtp_tls_security_level: "none" } },
    want: "bounced 5.7.10 TLS is required, but is turned off for [mx.example.test]",
  },
];
for (const { why, servers, words = REQUIRED, more, want, mail } of ROWS) {
  test(`REQ-03: SmtpAgent ${why}`, async () => {
    const result = await deliver(servers, words, more);
    assert.equal(result.outcome, want);
    if (mail) assert.deepEqual(result.mail, mail);
  });
}

/** Replies to the first and second EHLO. */
function answers(...replies: readonly string[]): NonNullable<PeerScript["answer"]> {
  let at = 0;
  return (command) => (command.startsWith("EHLO") ? replies[at++] : undefined);
}

test("REQ-04: SmtpAgent sends a report on with REQUIRETLS, and without it where it is not known", async () => {
  const report = { requireTls: true, sender: "" };
  const safe = await deliver([SAFE], report);
  assert.deepEqual(safe, { outcome: "sent", mail: ["MAIL FROM:<> SIZE=22 REQUIRETLS"] });
  const plain = await deliver([NO_KEYWORD], report);
  assert.deepEqual(plain, { outcome: "sent", mail: ["MAIL FROM:<>"] });
  const clear = await deliver([NO_TLS], report);
  assert.deepEqual(clear, { outcome: "sent", mail: ["MAIL FROM:<>"] });
});

const SECURE = { settings: { smtp_tls_security_level: "secure" }, hops: "[other.example.test]:$" };

test("REQ-05: SmtpAgent TLS-Required: No goes to a server that policy would refuse, by TLS if it can", async () => {
  assert.match((await deliver([SAFE], {}, SECURE)).outcome, /^deferred 4\.7\.5/);
  assert.equal((await deliver([SAFE], { tlsOptional: true }, SECURE)).outcome, "sent");
  assert.equal((await deliver([{ features: [] }], { tlsOptional: true }, SECURE)).outcome, "sent");
});

test("REQ-05: SmtpAgent TLS-Required: No gives no password away", async () => {
  const settings = { ...SECURE.settings, smtp_sasl_auth_enable: "yes", smtp_sasl_password_maps: "inline:pw" };
  const tables = { "inline:pw": { "other.example.test": "user:secret" } };
  const result = await deliver([SAFE], { tlsOptional: true }, { ...SECURE, settings, tables });
  assert.equal(result.outcome, "deferred 4.7.5 Server certificate not verified");
});

test("REQ-03: SmtpAgent a session that was kept for other mail does not carry such a message", async () => {
  const peer = await FakePeer.start(SAFE);
  const world = createWorld({
    nexthop: `[mx.example.test]:${peer.port}`,
    settings: { smtp_tls_security_level: "may", smtp_tls_CAfile: "root.pem" },
    zone: { "mx.example.test": { a: ["127.0.0.1"] } },
    tlsFiles: TLS_FILES,
  });
  try {
    for (const words of [{}, REQUIRED, { tlsOptional: true }, {}, REQUIRED]) await world.deliver(words);
    assert.equal(peer.connections, 3);
  } finally {
    await world.agent.close();
    await peer.stop();
  }
});
