/** Milters of Debian in a row: OpenDKIM signs and rspamd judges; OpenDKIM verifies what Postern has signed, and OpenDMARC reads what it
 *  found. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { signingCorpus } from "../testbed/signing-corpus.ts";

const PROGRAMS = ["/usr/sbin/opendkim", "/usr/sbin/opendmarc", "/usr/bin/rspamd"];
const skip = !(process.getuid?.() === 0 && PROGRAMS.every((path) => existsSync(path))) && "not installed, or not root";

/** What rspamd rejects at all times. */
const GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

const rspamdConf = (directory: string, port: number) => `
options {
  filters = ""; tempdir = "${directory}"; hs_cache_dir = "${directory}"; url_tld = "${directory}/tld";
  control_socket = "${directory}/control.sock mode=0600";
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "error"; }
lua = "${directory}/rspamd.lua";
actions { reject = 15; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:${port}"; milter = yes; timeout = 20s; count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
`;

const RSPAMD_LUA = `
rspamd_config:register_symbol({ name = 'SEEN', score = 0.0, group = 'test', callback = function(task)
  local rcpts = task:get_recipients('smtp') or {}
  task:set_milter_reply({
    add_headers = { ['X-Seen'] = string.format('%s %s %d', task:get_from_ip(), task:get_helo(), #rcpts) },
    remove_headers = { ['X-Secret'] = 0 },
  })
  return true
end })
`;

/** Rejects while nobody does. */
function listening(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}

describe("real Milters in a row", { concurrency: false, timeout: 240_000, skip }, () => {
  let directory = "";
  let hop: NextHop;
  let server: TestServer;
  const daemons: ChildProcess[] = [];
  /** By subject. */
  const taken = new Map<string, string>();
  /** Services: Milters that sign and judge, our own signatures, and the same made 7-bit before. */
  const port = { judged: 0, signed: 0, sevenBit: 0, verified: 0, verified7: 0 };
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const own = { r: generateKeyPairSync("rsa", { modulusLength: 2048 }), e: generateKeyPairSync("ed25519") };
  const rsaRecord = (key: typeof publicKey) =>
    `v=DKIM1; k=rsa; p=${key.export({ type: "spki", format: "der" }).toString("base64")}`;
  const zone = new Map([
    ["d._domainkey.x.test", rsaRecord(publicKey)],
    ["r._domainkey.x.test", rsaRecord(own.r.publicKey)],
    [
      "e._domainkey.x.test",
      `v=DKIM1; k=ed25519; p=${own.e.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("base64")}`,
    ],
  ]);
  const start = (program: string, ...args: readonly string[]) => {
    daemons.push(spawn(program, args, { stdio: "ignore" }));
  };
  const file = (name: string, text: string | Buffer) => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };

  /** The ports of the Milters. */
  async function startDaemons() {
    const milter = {
      sign: await freePort(),
      verify: await freePort(),
      rspamd: await freePort(),
      dmarc: await freePort(),
    };
    const common = "Syslog no\nUserID root\nInternalHosts 192.0.2.1\n";
    const key = file("d.pem", privateKey.export({ type: "pkcs1", format: "pem" }));
    const signing = `Socket inet:${milter.sign}@127.0.0.1\nDomain x.test\nSelector d\nKeyFile ${key}\nMode s\nMacroList daemon_name=ORIGINATING\n`;
    const dns = file("zone", [...zone].map(([name, record]) => `${name} ${record}\n`).join(""));
    const verifying = `Socket inet:${milter.verify}@127.0.0.1\nMode v\nAlwaysAddARHeader yes\nAuthservID dkim.test\nTestDNSData file:${dns}\n`;
    start("/usr/sbin/opendkim", "-f", "-x", file("sign.conf", signing + common));
    start("/usr/sbin/opendkim", "-f", "-x", file("verify.conf", verifying + common));
    file("rspamd.lua", RSPAMD_LUA);
    // The list of Debian takes half a minute to compile.
    file("tld", "test\n");
    start(
      "/usr/bin/rspamd",
      "-f",
      "-i",
      "-u",
      "root",
      "-g",
      "root",
      "-c",
      file("rspamd.conf", rspamdConf(directory, milter.rspamd)),
    );
    const dmarc = `Socket inet:${milter.dmarc}@127.0.0.1\nAuthservID dmarc.test\nTrustedAuthservIDs dkim.test\nIgnoreHosts ${file("none", "")}\nSyslog false\nUserID root\n`;
    start("/usr/sbin/opendmarc", "-f", "-c", file("dmarc.conf", dmarc));
    return milter;
  }

  async function startServer(milter: Awaited<ReturnType<typeof startDaemons>>): Promise<void> {
    for (const name of Object.keys(port)) port[name as keyof typeof port] = await freePort();
    file("keys/r.pem", own.r.privateKey.export({ type: "pkcs8", format: "pem" }));
    file("keys/e.pem", own.e.privateKey.export({ type: "pkcs8", format: "pem" }));
    const keys = file("keys/list", "x.test r r.pem\nx.test e e.pem\n");
    const line = (number: number, ...options: readonly string[]) =>
      `${number} inet n - n - - smtpd\n${options.map((option) => `  -o ${option}\n`).join("")}`;
    const signed = `postern_dkim_signing_file=${keys}`;
    const verified = [
      `smtpd_milters=inet:127.0.0.1:${milter.verify},inet:127.0.0.1:${milter.dmarc}`,
      "local_header_rewrite_clients=",
      "milter_macro_daemon_name=VERIFYING",
    ];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hop.port}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_header_rewrite_clients = permit_mynetworks
message_size_limit = 100000000
milter_macro_daemon_name = ORIGINATING
smtpd_client_message_rate_limit = 0`,
      masterCf: [
        line(port.judged, `smtpd_milters=inet:127.0.0.1:${milter.sign},inet:127.0.0.1:${milter.rspamd}`),
        line(port.signed, signed, `content_filter=smtp:[127.0.0.1]:${port.verified}`),
        line(
          port.sevenBit,
          signed,
          "force_mime_input_conversion=yes",
          `content_filter=smtp:[127.0.0.1]:${port.verified7}`,
        ),
        line(port.verified, ...verified),
        line(port.verified7, ...verified, "smtpd_discard_ehlo_keywords=8bitmime,chunking"),
      ].join(""),
    });
    await server.start();
  }

  before(async () => {
    // Not below /tmp: OpenDKIM takes neither configuration nor key from where everybody can write.
    directory = mkdtempSync("/run/milters-test-");
    mkdirSync(join(directory, "keys"));
    hop = await startNextHop({
      port: 0,
      keywords: ["8BITMIME"],
      taken: (content) => taken.set(/^Subject: (.*)\r$/m.exec(content)?.[1] ?? "", content),
    });
    const milter = await startDaemons();
    await startServer(milter);
    for (const number of Object.values(milter)) {
      await eventually(() => listening(number), 60_000);
    }
  });
  after(async () => {
    for (const daemon of daemons) daemon.kill();
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** The replies to the end of each message. */
  async function send(
    to: number,
    contents: readonly string[],
    how: "DATA" | "BDAT" = "DATA",
  ): Promise<readonly string[]> {
    const client = await Conversation.open(to);
    await client.say("EHLO c");
    const replies: string[] = [];
    for (const content of contents) {
      for (const command of ["MAIL FROM:<a@x.test> BODY=8BITMIME", "RCPT TO:<b@y.test>"]) {
        assert.match(await client.say(command), /^250/, server.log());
      }
      const bytes = Buffer.from(content, "latin1");
      if (how === "BDAT") client.write(Buffer.concat([Buffer.from(`BDAT ${bytes.length} LAST\r\n`), bytes]));
      else {
        assert.match(await client.say("DATA"), /^354/);
        const end = content.endsWith("\r\n") ? ".\r\n" : "\r\n.\r\n";
        client.write(Buffer.from(content.replace(/^\./gm, "..") + end, "latin1"));
      }
      replies.push(await client.reply());
    }
    client.close();
    return replies;
  }

  const arrived = async (subject: string): Promise<string> => {
    await eventually(async () => assert.ok(taken.has(subject), `${subject}\n${server.log().slice(-3000)}`), 30_000);
    return taken.get(subject) ?? "";
  };

  test("OpenDKIM, then rspamd: both see the message, and what both change arrives", async () => {
    const content =
      "From: a@x.test\r\nSubject: two\r\nX-Secret: 1\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nhello\r\n";
    assert.match((await send(port.judged, [content]))[0] ?? "", /^250/);
    const text = await arrived("two");
    assert.match(text, /^X-Seen: 127\.0\.0\.1 c 1\r$/m);
    assert.doesNotMatch(text, /X-Secret/);
    const { results } = await dkimVerify(Buffer.from(text, "latin1"), {
      resolver: async (name: string) => [[zone.get(name) ?? ""]],
    });
    assert.deepEqual(
      results.map(({ status }) => status.result),
      ["pass"],
    );
  });

  test("what rspamd rejects is refused with its words, and nobody gets it", async () => {
    const content = `From: a@x.test\r\nSubject: spam\r\n\r\n${GTUBE}\r\n`;
    assert.match((await send(port.judged, [content]))[0] ?? "", /^5\d\d 5\.7\.1 /);
    await server.logged(
      /milter-reject: END-OF-MESSAGE from localhost\[127\.0\.0\.1\]: 5\.7\.1 .*; from=<a@x\.test> to=<b@y\.test> proto=ESMTP helo=<c>/,
    );
    assert.ok(!taken.has("spam"));
  });

  const CORPUS = signingCorpus("x.test");
  const WAYS: readonly {
    readonly name: string;
    readonly to: keyof typeof port;
    readonly how: "DATA" | "BDAT";
    readonly of: typeof CORPUS;
  }[] = [
    { name: "DATA", to: "signed", how: "DATA", of: CORPUS },
    { name: "BDAT", to: "signed", how: "BDAT", of: CORPUS },
    {
      name: "quoted-printable for a hop without 8BITMIME",
      // What its header does not call 8bit is not converted before it is signed.
      ...{ to: "sevenBit", how: "BDAT", of: CORPUS.filter((one) => !one.name.includes("that nothing names")) },
    },
  ];

  for (const { name, to, how, of } of WAYS) {
    test(`DKIM-04, DKIM-02, 8BIT-02: OpenDKIM and mailauth verify ${of.length} messages: ${name}`, async () => {
      taken.clear();
      for (const reply of await send(
        port[to],
        of.map(({ content }) => content),
        how,
      ))
        assert.match(reply, /^250/);
      for (const { name: subject } of of) assertVerified(await arrived(subject), subject);
      for (const { name: subject } of of) {
        const content = Buffer.from(taken.get(subject) ?? "", "latin1");
        const { results } = await dkimVerify(content, { resolver: async (asked: string) => [[zone.get(asked) ?? ""]] });
        assert.deepEqual(
          results.map(({ status }) => status.result),
          ["pass", "pass"],
          subject,
        );
      }
    });
  }

  test("DKIM-04: 50 MiB", async () => {
    const body = `${"0123456789 abcdef".repeat(4)}  \r\n`.repeat(750_000);
    const content = `From: a@x.test\r\nSubject: huge\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <h@x.test>\r\n\r\n${body}`;
    assert.ok(content.length > 50 * 1024 * 1024);
    assert.match((await send(port.signed, [content], "BDAT"))[0] ?? "", /^250/);
    assertVerified(await arrived("huge"), "huge");
  });

  /** OpenDKIM found both signatures good, and OpenDMARC has read that. */
  function assertVerified(text: string, subject: string): void {
    const found = [...text.matchAll(/^Authentication-Results: dkim\.test;[\s\S]*?\r\n(?=\S)/gm)].join("");
    assert.equal(found.match(/dkim=pass/g)?.length, 2, `${subject}: ${found}`);
    assert.match(text, /^Authentication-Results: dmarc\.test; dmarc=/m, subject);
  }
});
