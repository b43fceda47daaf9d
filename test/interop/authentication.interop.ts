/** SPF, DKIM and ARC with programs that are not ours: the test suite of RFC 7208; signatures of a real OpenDKIM verified here, and ours by it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadLibrary } from "../../src/authentication/library.ts";
import { Questions } from "../../src/authentication/questions.ts";
import { checkSpf } from "../../src/authentication/spf.ts";
import { systemClock } from "../../src/base/clock.ts";
import { createDns } from "../../src/dns/create.ts";
import { ZoneServer } from "../../src/dns/testdata/zone-server.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { hasSpfSuite, readSpfSuite, type SpfTest } from "./spf-suite.ts";

/** Names with characters that the resolver does not ask for (docs/authentication-results.md). */
const ODD_NAMES: ReadonlySet<string> = new Set([
  ...[
    "a-colon-domain",
    "a-colon-domain-ip4mapped",
    "mx-colon-domain",
    "mx-colon-domain-ip4mapped",
    "macro-mania-in-domain",
  ],
]);

describe("the test suite of RFC 7208", {
  timeout: 120_000,
  skip: !hasSpfSuite() && "python3-spf is not installed",
}, () => {
  for (const { description, tests, zone } of hasSpfSuite() ? readSpfSuite() : []) {
    test(`SPF-01: ${description}: ${tests.length} tests`, async () => {
      const server = await ZoneServer.start(zone);
      const dns = createDns({
        clock: systemClock,
        hostsText: "",
        servers: [`127.0.0.1:${server.port}`],
        timeoutMs: 2000,
      });
      try {
        const wrong: string[] = [];
        for (const one of tests) {
          const result = await resultOf(one, dns);
          const want = ODD_NAMES.has(one.name) ? ["permerror"] : one.results;
          if (!want.includes(result)) wrong.push(`${one.name}: ${result} instead of ${want.join(" or ")}`);
        }
        assert.deepEqual(wrong, []);
      } finally {
        dns.close();
        await server.stop();
      }
    });
  }
});

/** Of MAIL FROM, or of HELO where there is none. */
async function resultOf({ host, helo, mailfrom }: SpfTest, dns: ReturnType<typeof createDns>): Promise<string> {
  const { spf } = await loadLibrary();
  const open = () => new Questions({ dns, clock: systemClock, timeoutMs: 20_000 });
  const from = { clientAddress: host, helo, sender: mailfrom, login: undefined, trusted: false };
  const checks = await checkSpf(from, { spf, open, timeoutMs: 20_000, hostname: "mx.test" });
  const identity = mailfrom === "" ? "helo" : "mailfrom";
  return checks.find((check) => check.identity === identity)?.result ?? "none";
}

const hasOpenDkim = process.getuid?.() === 0 && existsSync("/usr/sbin/opendkim");

describe("OpenDKIM", {
  concurrency: false,
  timeout: 90_000,
  skip: !hasOpenDkim && "not installed, or not root",
}, () => {
  let directory = "";
  let hop: NextHop;
  let names: ZoneServer;
  let server: TestServer;
  /** OpenDKIM signs; we verify; we sign; OpenDKIM verifies. */
  let ports: { theySign: number; weVerify: number; weSign: number; theyVerify: number };
  const daemons: ChildProcess[] = [];
  const taken: string[] = [];

  /** It takes neither configuration nor key from where everybody can write. */
  function startOpenDkim(milter: number, settings: string): void {
    const path = join(directory, `${milter}.conf`);
    writeFileSync(
      path,
      `Socket inet:${milter}@127.0.0.1\nSyslog no\nUserID root\nInternalHosts 192.0.2.1\n${settings}\n`,
    );
    daemons.push(spawn("/usr/sbin/opendkim", ["-f", "-x", path], { stdio: "ignore" }));
  }

  before(async () => {
    directory = mkdtempSync("/run/opendkim-test-");
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content), keywords: ["8BITMIME"] });
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const record = `v=DKIM1; k=rsa; p=${publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
    const pem = String(privateKey.export({ type: "pkcs1", format: "pem" }));
    const key = join(directory, "key.pem");
    writeFileSync(key, pem);
    chmodSync(key, 0o600);
    writeFileSync(join(directory, "zone"), `s._domainkey.x.test ${record}\n`);
    names = await ZoneServer.start({
      "s._domainkey.x.test TXT": {
        answers: [{ type: "TXT", name: "s._domainkey.x.test", ttl: 60, data: record.match(/.{1,255}/g) ?? [] }],
      },
    });
    const [signing, verifying] = [await freePort(), await freePort()];
    ports = {
      theySign: await freePort(),
      weVerify: await freePort(),
      weSign: await freePort(),
      theyVerify: await freePort(),
    };
    startOpenDkim(signing, `Domain x.test\nSelector s\nKeyFile ${key}\nMode s\nMacroList daemon_name=ORIGINATING`);
    startOpenDkim(verifying, `Mode v\nTestDNSData file:${join(directory, "zone")}\nAuthservID opendkim.test`);
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
relay_domains = y.test
mynetworks = 127.0.0.9
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
postern_dns_servers = 127.0.0.1:${names.port}
postern_workers = 1
milter_macro_daemon_name = ORIGINATING
postern_dkim_signing_file = $config_directory/keys
smtpd_forbid_bare_newline = no`,
      masterCf: `${ports.theySign} inet n - n - - smtpd -o smtpd_milters=inet:127.0.0.1:${signing}
${ports.weVerify} inet n - n - - smtpd -o postern_authentication_results=yes
${ports.weSign} inet n - n - - smtpd -o local_header_rewrite_clients=static:all
${ports.theyVerify} inet n - n - - smtpd -o smtpd_milters=inet:127.0.0.1:${verifying} -o milter_macro_daemon_name=x
`,
      files: { keys: "x.test s key.pem\n", "key.pem": pem },
    });
    await server.start();
  });
  after(async () => {
    for (const daemon of daemons) daemon.kill();
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    await names?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** What the next hop gets of it. */
  async function through(port: number, content: string): Promise<string> {
    const before = taken.length;
    await eventually(async () => {
      const client = await Conversation.open(port);
      for (const line of ["EHLO c.test", "MAIL FROM:<a@x.test> BODY=8BITMIME", "RCPT TO:<b@y.test>", "DATA"]) {
        assert.match(await client.say(line), /^[23]/, server.log());
      }
      client.write(Buffer.from(`${content.replace(/^\./gm, "..")}\r\n.\r\n`, "latin1"));
      assert.match(await client.reply(), /^250/);
      client.close();
    });
    await eventually(async () => assert.ok(taken.length > before));
    return taken[before] ?? "";
  }

  const bodies = [
    { name: "plain", body: "hello" },
    { name: "dots, blanks and empty lines at the end", body: ".\r\n..x  \r\n\r\n\r\n" },
    { name: "eight bits", body: "Gr\u00fc\u00dfe" },
    { name: "no body", body: undefined },
    { name: "a megabyte", body: `${"0123456789".repeat(7)}\r\n`.repeat(15_000) },
  ];
  for (const { name, body } of bodies) {
    const head = `From: a@x.test\r\nTo: b@y.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x.test>\r\nSubject: ${name}`;
    const content = body === undefined ? head : `${head}\r\n\r\n${body}`;

    test(`DKIM-01: its signature passes here: ${name}`, async () => {
      const signed = await through(ports.theySign, content);
      assert.match(signed, /^DKIM-Signature: /);
      assert.match(
        await through(ports.weVerify, signed),
        /^Authentication-Results: mail\.example\.org;\r\n\tdkim=pass header\.d=x\.test/,
      );
      const broken = signed.replace("\r\nSubject: ", "\r\nSubject: not ");
      assert.match(
        await through(ports.weVerify, broken),
        /^Authentication-Results: mail\.example\.org;\r\n\tdkim=fail \(bad signature\)/,
      );
    });

    test(`DKIM-01: our signature passes there: ${name}`, async () => {
      const signed = await through(ports.weSign, content);
      assert.match(signed, /^DKIM-Signature: /);
      assert.match(await through(ports.theyVerify, signed), /^Authentication-Results: opendkim\.test;\r\n\tdkim=pass/m);
      const broken = signed.replace("\r\nSubject: ", "\r\nSubject: not ");
      assert.match(await through(ports.theyVerify, broken), /^Authentication-Results: opendkim\.test;\r\n\tdkim=fail/m);
    });
  }
});
