/** `postern autoconfig` beside a running server: what it prints, and where the server is not what the documents say. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { autoconfig } from "../src/cli/autoconfig.ts";
import { runCommand } from "./testbed/captured-terminal.ts";
import { type Site, startSite } from "./testbed/submission-site.ts";

let site: Site;
let out: string;
const run = (...args: string[]) => runCommand(autoconfig, args, { configDirectory: site.server.directory });

before(async () => {
  site = await startSite({ mainCf: "postern_autoconfig_imap = imap.example.org\n" });
  out = mkdtempSync(join(tmpdir(), "postern-autoconfig-"));
});
after(async () => {
  await site?.stop();
  rmSync(out, { recursive: true });
});

test("DISC-01: --live finds a server that is what the documents say", async () => {
  const { code, out: text } = await run("example.org", "--live");
  assert.equal(code, 0, text);
  const lines = text.split("\n").filter((line) => line.startsWith("ok "));
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", new RegExp(`${site.submissions}, TLS, AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN\\)$`));
  assert.match(lines[1] ?? "", new RegExp(`${site.submission}, STARTTLS, AUTH `));
  assert.match(text, /self-signed certificate .*: programs will warn/);
});

test("--live --json holds the same", async () => {
  const { code, out: text } = await run("example.org", "--live", "--json");
  assert.equal(code, 0);
  const found = JSON.parse(text);
  assert.deepEqual(
    found.map(({ port, security }: { port: number; security: string }) => `${port} ${security}`),
    [`${site.submissions} tls`, `${site.submission} starttls`],
  );
  assert.deepEqual(found[0].mechanisms, ["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"]);
});

test("DISC-01: SRV records carry the ports of master.cf; one document alone comes bare", async () => {
  const { code, out: text } = await run("example.org", "--format", "srv");
  assert.equal(code, 0);
  assert.match(text, new RegExp(`^_submissions\\._tcp\\.example\\.org\\. IN SRV 0 1 ${site.submissions} mail`, "m"));
  assert.doesNotMatch(text, /==>/);
});

test("--out writes all documents; the PACC record is not printed twice", async () => {
  const { code, out: text, err } = await run("Example.ORG.", "--user", "alice@example.org", "--out", out);
  assert.equal(code, 0);
  assert.match(err, /no PACC document: PACC knows only submission on port 465/);
  const names = ["autodiscover.json", "autodiscover.xml", "config-v1.1.xml", "example.org.mobileconfig", "srv.zone"];
  assert.deepEqual(readdirSync(out).sort(), names);
  assert.equal(text.trim().split("\n").length, names.length);
  assert.match(readFileSync(join(out, "autodiscover.xml"), "utf8"), /<LoginName>alice@example\.org<\/LoginName>/);
});

const USAGE = [
  { args: [], says: /expected one DOMAIN/ },
  { args: ["localhost"], says: /"localhost" is no domain name/ },
  { args: ["a.test", "b.test"], says: /expected one DOMAIN/ },
  { args: ["a.test", "--format", "ispdb"], says: /unknown format "ispdb"/ },
  { args: ["a.test", "--user", "alice"], says: /--user: no mail address/ },
  { args: ["a.test", "--user", "alice@b.test"], says: /"alice@b\.test" is no address of a\.test/ },
  { args: ["a.test", "--json"], says: /--json needs --live/ },
  { args: ["a.test", "--live", "--out", "x"], says: /--out has no meaning with --live/ },
  { args: ["a.test", "--imap", "imap"], says: /--imap: no HOST\[:PORT\]: "imap"/ },
  { args: ["a.test", "--imap", "b.test", "--pop3", "b.test:0"], says: /--pop3: no HOST\[:PORT\]: "b\.test:0"/ },
  { args: ["a.test", "--nonsense"], says: /Unknown option '--nonsense'/ },
];
for (const { args, says } of USAGE) {
  test(`autoconfig ${args.join(" ")}: usage`, async () => {
    const { code, err } = await run(...args);
    assert.equal(code, 64);
    assert.match(err, says);
  });
}

test("DISC-05: --imap and --pop3 stand in for what main.cf says of reading mail, so Apple's format is possible", async () => {
  const format = ["example.org", "--format", "mobileconfig"];
  const given = await run(...format, "--pop3", "Pop.Example.ORG:110");
  assert.deepEqual([given.code, given.err], [0, ""]);
  assert.match(given.out, /<string>EmailTypePOP<\/string>/);
  assert.match(given.out, /<key>IncomingMailServerHostName<\/key>\s*<string>pop\.example\.org<\/string>/);
  assert.match(given.out, /<key>IncomingMailServerPortNumber<\/key>\s*<integer>110<\/integer>/);
  const imap = await run(...format, "--imap", "a.example.org", "--imap", "b.example.org", "--pop3", "c.example.org");
  assert.match(imap.out, /<string>EmailTypeIMAP<\/string>/);
  assert.match(
    imap.out,
    /HostName<\/key>\s*<string>a\.example\.org<\/string>\s*<key>.*PortNumber<\/key>\s*<integer>993</,
  );
  site.server.append("main.cf", "postern_autoconfig_imap =\n");
  const none = await run(...format);
  site.server.append("main.cf", "postern_autoconfig_imap = imap.example.org\n");
  assert.deepEqual([none.code, none.out], [1, ""]);
  assert.equal(
    none.err,
    "postern: autoconfig: no .mobileconfig: Apple's format wants a server to read mail at; " +
      "set postern_autoconfig_imap, or give --imap HOST\n",
  );
});

test("a format that has no document is exit 1, a site without submission a fault of its configuration", async () => {
  assert.equal((await run("example.org", "--format", "pacc")).code, 1);
  const master = readFileSync(join(site.server.directory, "master.cf"), "utf8");
  site.server.write("master.cf", `${site.smtp} inet n - n - - smtpd\n`);
  const { code, err } = await run("example.org");
  site.server.write("master.cf", master);
  assert.equal(code, 78);
  assert.match(err, /no service of master\.cf takes submissions with AUTH and TLS/);
});

test("DISC-01: --live tells where the server differs", async () => {
  site.server.append(
    "main.cf",
    "postern_autoconfig_host = smtp.example.org\nsmtpd_sasl_mechanism_filter = !login, static:all\n",
  );
  const renamed = await run("example.org", "--live");
  assert.equal(renamed.code, 1);
  assert.match(renamed.out, /^wrong {4}\d+ as smtp\.example\.org/m);
  assert.match(
    renamed.out,
    /error: has a certificate that is not for smtp\.example\.org but for\s+DNS:mail\.example\.org/,
  );
  await site.server.stop();
  const stopped = await run("example.org", "--live");
  assert.equal(stopped.code, 1);
  assert.match(stopped.out, /error: does not answer: Connection refused/);
});
