/** ARC with dkimpy (Debian's python3-dkim): it verifies the chains that we seal, and we those that it seals, also mixed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ZoneServer } from "../../src/dns/testdata/zone-server.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const VERIFY = `import dkim, sys
record = open(sys.argv[1] + "/record", "rb").read()
cv, results, reason = dkim.arc_verify(sys.stdin.buffer.read(), dnsfunc=lambda name, timeout=5: record)
print(cv.decode(), reason)`;

/** What it says of the chain it reads in the Authentication-Results field of that host. */
const SEAL = `import dkim, sys
key = open(sys.argv[1] + "/key.pem", "rb").read()
message = sys.stdin.buffer.read()
signer = dkim.ARC(message)
fields = signer.sign(b"s", b"x.test", key, b"mail.example.org", include_headers=[b"from", b"subject"])
sys.stdout.buffer.write(b"".join(fields) + message)`;

const hasDkimpy = existsSync("/usr/lib/python3/dist-packages/dkim");

describe("dkimpy", { concurrency: false, timeout: 60_000, skip: !hasDkimpy && "python3-dkim is not installed" }, () => {
  const directory = mkdtempSync(join(tmpdir(), "arc-test-"));
  let hop: NextHop;
  let names: ZoneServer;
  let server: TestServer;
  let port: number;
  const taken: string[] = [];

  before(async () => {
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content), keywords: ["8BITMIME"] });
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const record = `v=DKIM1; k=rsa; p=${publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
    const pem = String(privateKey.export({ type: "pkcs1", format: "pem" }));
    writeFileSync(join(directory, "record"), record);
    writeFileSync(join(directory, "key.pem"), pem);
    const name = "s._domainkey.x.test";
    const answer = { type: "TXT" as const, name, ttl: 60, data: record.match(/.{1,255}/g) ?? [] };
    names = await ZoneServer.start({ [`${name} TXT`]: { answers: [answer] } });
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
relay_domains = y.test
mynetworks = 127.0.0.9
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
postern_dns_servers = 127.0.0.1:${names.port}
postern_workers = 1
postern_authentication_results = yes
postern_arc_seal = yes
postern_arc_seal_domain = x.test
postern_dkim_signing_file = $config_directory/keys`,
      masterCf: `${port} inet n - n - - smtpd\n`,
      files: { keys: "x.test s key.pem\n", "key.pem": pem },
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    await names?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function through(content: string): Promise<string> {
    const before = taken.length;
    const client = await Conversation.open(port);
    for (const line of ["EHLO c.test", "MAIL FROM:<a@x.test> BODY=8BITMIME", "RCPT TO:<b@y.test>", "DATA"]) {
      assert.match(await client.say(line), /^[23]/, server.log());
    }
    client.write(Buffer.from(`${content.replace(/^\./gm, "..")}\r\n.\r\n`, "latin1"));
    assert.match(await client.reply(), /^250/);
    client.close();
    await eventually(async () => assert.ok(taken.length > before));
    return taken[before] ?? "";
  }

  const python = (program: string, content: string) =>
    execFileSync("/usr/bin/python3", ["-c", program, directory], { input: Buffer.from(content, "latin1") }).toString(
      "latin1",
    );
  /** What comes of a message is without the final line end. */
  const verified = (content: string) => python(VERIFY, `${content}\r\n`).trim();

  const HEAD = "From: a@x.test\r\nTo: b@y.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@x.test>";
  const rows = [
    { name: "plain", content: `${HEAD}\r\nSubject: s\r\n\r\nhello` },
    {
      name: "folded fields, blanks, empty lines",
      content: `${HEAD}\r\nSubject: a\r\n  b \t c \r\n\r\n.x  y \r\n\r\n\r\n`,
    },
    { name: "eight bits", content: `${HEAD}\r\nSubject: s\r\nX-Y: \u00fc\r\n\r\nGr\u00fc\u00dfe` },
    { name: "no body", content: `${HEAD}\r\nSubject: s` },
  ];
  for (const { name, content } of rows) {
    test(`ARC-01: one set of ours, two, and three with one of dkimpy: ${name}`, async () => {
      const one = await through(content);
      assert.match(one, /^ARC-Seal: i=1;/);
      assert.equal(verified(one), "pass success");
      const two = await through(one);
      assert.match(two, /^ARC-Seal: i=2;/);
      assert.equal(verified(two), "pass success");
      const three = python(SEAL, `${two}\r\n`).slice(0, -2);
      assert.match(three, /^ARC-Seal: i=3;/);
      const four = await through(three);
      assert.match(four, /^ARC-Seal: i=4;[\s\S]*^Authentication-Results: mail\.example\.org;[\s\S]*?\tarc=pass/m);
      assert.equal(verified(four), "pass success");
      assert.match(verified(four.replace("Subject: ", "Subject: not ")), /^fail/);
    });
  }
});
