/** TLS of outgoing mail with real programs: DANE over zones that Knot DNS signs and Unbound validates; and the levels and
 *  policies that a real Postfix and Postern are given alike must have the same outcomes and log lines. */
import assert from "node:assert/strict";
import { createHash, type X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { certificatesIn } from "../../src/net/peer-certificate.ts";
import { FakePeer } from "../../src/smtp/testdata/fake-peer.ts";
import { daysIn, readDay } from "../../src/smtp/tls-tally.ts";
import { Conversation } from "../testbed/conversation.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { hasSignedDns, SignedDns } from "../testbed/signed-dns.ts";

const SERVERS = join(import.meta.dirname, "../../src/net/testdata/servers");
const pem = (name: string) => readFileSync(join(SERVERS, name));
const [LEAF, INTERMEDIATE] = certificatesIn(pem("mx.pem").toString("latin1"));
assert.ok(LEAF && INTERMEDIATE);

async function send(port: number, recipients: readonly string[]): Promise<void> {
  const client = await Conversation.open(port);
  const ask = async (command: string) => assert.match(await client.say(command), /^(?:250|354)[ -]/, command);
  await ask("EHLO client.example");
  for (const recipient of recipients) {
    await ask("MAIL FROM:<alice@example.org>");
    await ask(`RCPT TO:<${recipient}>`);
    await ask("DATA");
    await ask("Subject: x\r\n\r\nhello\r\n.");
  }
  client.close();
}

const COMMON = `mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
transport_maps = texthash:DIR/transport
`;

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
const spki = (certificate: X509Certificate) => hash(certificate.publicKey.export({ type: "spki", format: "der" }));

interface DaneRow {
  readonly why: string;
  /** TLSA records of mx.example.test at the row's port. */
  readonly tlsa: readonly string[];
  /** Of the domain whose mail it is; its exchanger is mx.example.test. */
  readonly zone?: "example.test" | "plain.test" | "forged.test";
  readonly transport?: "smtp" | "only";
  readonly status: string;
  readonly word: string | undefined;
}

const WRONG = "00".repeat(32);
const UNVERIFIED = "deferred (Server certificate not verified)";
const DANE_ROWS: readonly DaneRow[] = [
  { why: "right", tlsa: [`3 1 1 ${spki(LEAF)}`], status: "sent", word: "Verified" },
  { why: "one of two right", tlsa: [`3 1 1 ${WRONG}`, `3 0 1 ${hash(LEAF.raw)}`], status: "sent", word: "Verified" },
  { why: "wrong", tlsa: [`3 1 1 ${WRONG}`], status: UNVERIFIED, word: "Untrusted" },
  { why: "missing", tlsa: [], status: "sent", word: "Untrusted" },
  { why: "of a usage that does not count", tlsa: [`1 1 1 ${WRONG}`], status: "sent", word: "Untrusted" },
  { why: "of the issuer", tlsa: [`2 0 1 ${hash(INTERMEDIATE.raw)}`], status: "sent", word: "Verified" },
  {
    why: "right, exchangers not signed",
    zone: "plain.test",
    tlsa: [`3 1 1 ${spki(LEAF)}`],
    status: "sent",
    word: "Trusted",
  },
  {
    why: "wrong, exchangers not signed",
    zone: "plain.test",
    tlsa: [`3 1 1 ${WRONG}`],
    status: UNVERIFIED,
    word: "Untrusted",
  },
  {
    why: "right, exchangers forged",
    zone: "forged.test",
    tlsa: [`3 1 1 ${spki(LEAF)}`],
    status: "deferred (Host or domain name not found. Name service error for name=",
    word: undefined,
  },
  { why: "right, dane-only", transport: "only", tlsa: [`3 1 1 ${spki(LEAF)}`], status: "sent", word: "Verified" },
  {
    why: "missing, dane-only",
    transport: "only",
    tlsa: [],
    status: "deferred (no TLSA records found)",
    word: undefined,
  },
];

describe("DANE by Knot DNS and Unbound", {
  concurrency: false,
  timeout: 180_000,
  skip: !hasSignedDns() && "not installed",
}, () => {
  const peers: FakePeer[] = [];
  let dns: SignedDns;
  let server: TestServer;
  let late: TestServer;

  before(async () => {
    for (const _ of DANE_ROWS) peers.push(await FakePeer.start({ features: ["STARTTLS"], certificate: pem("mx.pem") }));
    dns = await SignedDns.start(zonesOf(peers));
    server = await startServer(dns.port);
    late = await startServer(dns.latePort);
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await late?.[Symbol.asyncDispose]();
    await dns?.stop();
    for (const peer of peers) await peer.stop();
  });

  async function startServer(dnsPort: number): Promise<TestServer> {
    const smtp = await freePort();
    const made = new TestServer({
      mainCf: `${COMMON}smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\nsmtp_tls_loglevel = 1
smtp_tlsrpt_enable = yes
postern_dns_servers = 127.0.0.1:${dnsPort}`,
      masterCf: `127.0.0.1:${smtp} inet n - n - - smtpd\nonly unix - - n - - smtp -o smtp_tls_security_level=dane-only\n`,
    });
    const lines = DANE_ROWS.map(
      (row, i) => `${domainOf(row, i)} ${row.transport ?? "smtp"}:${domainOf(row, i)}:${peers[i]?.port}\n`,
    );
    made.write("transport", lines.join(""));
    made.write("main.cf", readFileSync(join(made.directory, "main.cf"), "latin1").replaceAll("DIR", made.directory));
    await made.start();
    ports.set(made, smtp);
    return made;
  }
  const ports = new Map<TestServer, number>();

  for (const [i, row] of DANE_ROWS.entries()) {
    test(`TLSA ${row.why}`, async () => {
      const to = `user@${domainOf(row, i)}`;
      await send(ports.get(server) ?? 0, [to]);
      const line = await server.logged(new RegExp(`to=<${to}>.*status=.*`));
      assert.ok(line.includes(`status=${row.status}`), line);
      const word = new RegExp(
        `(\\w+) TLS connection established to mx\\.example\\.test\\[127\\.0\\.0\\.1\\]:${peers[i]?.port}:`,
      );
      const found = [...server.log().matchAll(new RegExp(word, "g"))].map((match) => match[1]);
      assert.equal(found.at(-1), row.word, server.log());
      assert.equal(peers[i]?.messages.length, row.status === "sent" ? 1 : 0);
    });
  }

  test("signatures that are over: the mail waits", async () => {
    const [row] = DANE_ROWS;
    assert.ok(row);
    const to = `user@${domainOf(row, 0)}`;
    const before = peers[0]?.connections;
    await send(ports.get(late) ?? 0, [to]);
    assert.match(
      await late.logged(new RegExp(`to=<${to}>.*status=.*`)),
      /status=deferred .*type=MX: Host not found, try again/,
    );
    assert.equal(peers[0]?.connections, before);
  });

  test("what became of each is counted for reports, and kept when the server ends", async () => {
    await server.stop();
    const directory = join(server.directory, "spool/tlsrpt");
    const [day = ""] = await daysIn(directory);
    const { counts } = await readDay(directory, day);
    const shown = [...counts.values()].map(({ policy, successes, failures }) => {
      const failed = [...failures.values()].map(({ failure, count }) => `${failure.type} ${count}`);
      return `${policy.domain} ${policy.type} ${successes} ${failed.join()}`;
    });
    const want = DANE_ROWS.flatMap((row, i) => {
      if (row.word === undefined) return [];
      const type = row.word === "Untrusted" && row.status === "sent" ? "no-policy-found" : "tlsa";
      return [`${domainOf(row, i)} ${type} ${row.status === "sent" ? "1 " : "0 validation-failure 1"}`];
    });
    assert.deepEqual(shown.toSorted(), want.toSorted());
  });
});

function domainOf(row: DaneRow, i: number): string {
  return `row${i}.${row.zone ?? "example.test"}`;
}

function zonesOf(peers: readonly FakePeer[]) {
  const tlsa = DANE_ROWS.flatMap((row, i) => row.tlsa.map((data) => `_${peers[i]?.port}._tcp.mx TLSA ${data}\n`));
  const exchangers = (zone: string) =>
    DANE_ROWS.map((row, i) => ((row.zone ?? "example.test") === zone ? `row${i} MX 10 mx.example.test.\n` : "")).join(
      "",
    );
  return [
    { name: "example.test", trust: "signed", records: `mx A 127.0.0.1\n${tlsa.join("")}${exchangers("example.test")}` },
    { name: "plain.test", trust: "unsigned", records: exchangers("plain.test") },
    { name: "forged.test", trust: "forged", records: exchangers("forged.test") },
  ] as const;
}

interface PolicyRow {
  readonly why: string;
  readonly policy: string;
  readonly certificate?: string;
  readonly features?: readonly string[];
  readonly maxVersion?: "TLSv1.2";
  readonly brokenTls?: true;
}

const FINGERPRINT = (hash(LEAF.raw).toUpperCase().match(/../g) ?? []).join(":");
const POLICY_ROWS: readonly PolicyRow[] = [
  { why: "none", policy: "none" },
  { why: "may", policy: "may" },
  { why: "may, a handshake that fails", policy: "may", brokenTls: true },
  { why: "encrypt", policy: "encrypt" },
  { why: "encrypt, not offered", policy: "encrypt", features: [] },
  { why: "encrypt, a handshake that fails", policy: "encrypt", brokenTls: true },
  { why: "encrypt, a version that the host has not", policy: "encrypt protocols=TLSv1.3", maxVersion: "TLSv1.2" },
  { why: "verify, another name", policy: "verify" },
  { why: "secure, another name", policy: "secure" },
  { why: "secure, its name", policy: "secure match=mx.example.test" },
  { why: "secure, one of several names", policy: "secure match=a.test:mx.example.test" },
  { why: "secure, a parent", policy: "secure match=.example.test" },
  { why: "secure, a parent without dot", policy: "secure match=example.test" },
  { why: "secure, a wildcard", policy: "secure match=a.b.wild.test" },
  { why: "secure, the common name beside DNS names", policy: "secure match=ignored.test" },
  { why: "secure, the common name alone", policy: "secure match=cn.example.test", certificate: "cn.pem" },
  { why: "secure, expired", policy: "secure match=mx.example.test", certificate: "expired.pem" },
  { why: "secure, a client's certificate", policy: "secure match=mx.example.test", certificate: "purpose.pem" },
  {
    why: "secure, a trust anchor that is no root",
    policy: "secure match=mx.example.test tafile=SERVERS/intermediate.pem",
  },
  { why: "fingerprint", policy: `fingerprint match=${FINGERPRINT}` },
  {
    why: "fingerprint of another",
    policy:
      "fingerprint match=00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
  },
  { why: "a level that does not exist", policy: "must" },
  { why: "an attribute that does not exist", policy: "secure matsch=x" },
  { why: "match at a level without", policy: "encrypt match=x" },
];

describe("TLS policies as a real Postfix keeps them", {
  concurrency: false,
  timeout: 180_000,
  skip: !hasPostfix() && "not installed, or not root",
}, () => {
  const peers: FakePeer[] = [];
  let server: TestServer;
  let postfix: TestPostfix;
  let smtp = 0;

  before(async () => {
    for (const { features = ["STARTTLS"], certificate = "mx.pem", maxVersion, brokenTls } of POLICY_ROWS) {
      const more = { ...(maxVersion && { maxVersion }), ...(brokenTls && { brokenTls }) };
      peers.push(await FakePeer.start({ features, certificate: pem(certificate), ...more }));
    }
    const mainCf = `${COMMON}smtp_tls_policy_maps = texthash:DIR/policy
smtp_tls_fingerprint_digest = sha256
smtp_tls_loglevel = 1
smtp_tls_CAfile = ${join(SERVERS, "root.pem")}
`;
    smtp = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.6\n${mainCf}`,
      masterCf: `127.0.0.1:${smtp} inet n - n - - smtpd\n`,
    });
    postfix = new TestPostfix(await freePort(), { mainCf });
    for (const { directory } of [server, postfix]) writeTables(directory);
    await Promise.all([server.start(), postfix.start()]);
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    postfix?.stop();
    for (const peer of peers) await peer.stop();
  });

  function writeTables(directory: string): void {
    const lines = (line: (row: PolicyRow, port: number | undefined, i: number) => string) =>
      POLICY_ROWS.map((row, i) => `${line(row, peers[i]?.port, i)}\n`).join("");
    writeFileSync(
      join(directory, "transport"),
      lines((_row, port, i) => `row${i}.test smtp:[127.0.0.1]:${port}`),
    );
    const policy = lines((row, port) => `[127.0.0.1]:${port} ${row.policy.replace("SERVERS", SERVERS)}`);
    writeFileSync(join(directory, "policy"), policy);
    const path = join(directory, "main.cf");
    writeFileSync(path, readFileSync(path, "latin1").replaceAll("DIR", directory));
  }

  /** Outcome, and what the log said of TLS, without times, ports and what Node does not tell. */
  async function judged(log: () => string, i: number): Promise<readonly string[]> {
    const done = new RegExp(`to=<user@row${i}\\.test>.*dsn=([\\d.]+), status=(\\w+ \\(.*\\))`);
    for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const found = done.exec(log());
      if (found === null) continue;
      const about = log()
        .split("\n")
        .filter(
          (line) => line.includes(`[127.0.0.1]:${peers[i]?.port}: `) && /TLS connection|verification failed/.test(line),
        )
        .map((line) => line.replace(/^.*?smtp\[\d+\]: /, "").replace(/ \(\d+\/\d+ bits\).*/, ""));
      return [`${found[1]} ${found[2]}`, ...about].map((line) => line.replaceAll(`:${peers[i]?.port}`, ":PORT"));
    }
    throw new Error(`No outcome of row ${i}:\n${log()}`);
  }

  for (const [i, row] of POLICY_ROWS.entries()) {
    test(row.why, async () => {
      await send(smtp, [`user@row${i}.test`]);
      await send(postfix.port, [`user@row${i}.test`]);
      const theirs = await judged(() => postfix.log(), i);
      assert.deepEqual(await judged(() => server.log(), i), theirs);
    });
  }
});
