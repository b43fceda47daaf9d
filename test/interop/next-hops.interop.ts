/** Other people's servers as next hops: Exim over TLS, and OpenSMTPD, whose Debian package offers a STARTTLS that fails: as
 *  with Postfix, such mail waits for minimal_backoff_time, then goes in clear. What Postern relays arrives unchanged, each recipient has its own outcome, and what a hop lacks is refused with its reason. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeSelfSigned } from "../../src/net/self-signed.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { hasPeer, LaidOver } from "../testbed/laid-over.ts";
import { freePort } from "../testbed/server.ts";
import { type Site, startSite } from "../testbed/submission-site.ts";

const NOBODY = 65_534;
const EIGHT_BIT = Buffer.from("Größe 試験\r\n.dot\r\n..dots\r\n.\t\r\n\r\n", "utf8").toString("latin1");

interface Peer {
  readonly name: string;
  readonly package: string;
  /** Writes its configuration, and starts it; mail goes to a maildir at `mail`. */
  start(port: number): Promise<LaidOver>;
  /** What `relay=` is followed by for a good recipient. */
  readonly accepted: RegExp;
  readonly tls: "used" | "fails";
  readonly smtputf8: boolean;
  /** What becomes of the recipient refused@. */
  readonly refused: string;
}

function eximConfiguration(directory: string, port: number): string {
  return `primary_hostname = exim.example.net
exim_user = nobody
exim_group = nogroup
keep_environment =
spool_directory = ${directory}/spool
log_file_path = ${directory}/spool/%slog
pid_file_path = ${directory}/spool/pid
local_interfaces = 127.0.0.1.${port}
tls_advertise_hosts = *
tls_certificate = ${directory}/chain.pem
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_hosts =
acl_smtp_rcpt = acl_rcpt
begin acl
acl_rcpt:
  deny local_parts = refused
       message = 5.1.1 No such user here
  accept domains = peer.example.net
begin routers
all:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = ${directory}/spool/mail
  maildir_format
  user = nobody
  group = nogroup
`;
}

const EXIM: Peer = {
  name: "Exim",
  package: "exim4-daemon-light",
  async start(port) {
    const peer = new LaidOver({
      package: this.package,
      accounts: ["Debian-exim"],
      command: (directory) => ["/usr/sbin/exim4", "-C", `${directory}/exim.conf`, "-bdf"],
      port,
    });
    const { keyPem, certificatePem } = makeSelfSigned(["exim.example.net"], Date.now());
    writeFileSync(join(peer.directory, "exim.conf"), eximConfiguration(peer.directory, port));
    writeFileSync(join(peer.directory, "chain.pem"), keyPem + certificatePem);
    mkdirSync(join(peer.directory, "spool"));
    chownSync(join(peer.directory, "spool"), NOBODY, NOBODY);
    await peer.start();
    return peer;
  },
  accepted: /dsn=2\.0\.0, status=sent \(250 OK id=[\w-]+\)/,
  tls: "used",
  smtputf8: true,
  refused:
    "dsn=5.1.1, status=bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1 No such user here (in reply to RCPT TO command))",
};

function openSmtpdConfiguration(directory: string, port: number): string {
  return `pki peer cert "${directory}/cert.pem"
pki peer key "${directory}/key.pem"
table users { "nobody" = "nobody" }
listen on 127.0.0.1 port ${port} tls pki peer hostname "open.example.net"
action keep maildir "${directory}/spool/mail" virtual <users>
match from any for domain "peer.example.net" action keep
`;
}

const OPENSMTPD: Peer = {
  name: "OpenSMTPD",
  package: "opensmtpd",
  async start(port) {
    const peer = new LaidOver({
      package: this.package,
      accounts: ["opensmtpd", "opensmtpq"],
      directories: ["/var/lib/opensmtpd/empty", "/var/spool/smtpd"],
      command: (directory) => ["/usr/sbin/smtpd", "-d", "-f", `${directory}/smtpd.conf`],
      port,
    });
    const data = join(import.meta.dirname, "../testdata");
    for (const kind of ["cert", "key"]) {
      const file = join(peer.directory, `${kind}.pem`);
      copyFileSync(join(data, `load-${kind}.pem`), file);
      chmodSync(file, 0o600);
    }
    writeFileSync(join(peer.directory, "smtpd.conf"), openSmtpdConfiguration(peer.directory, port));
    mkdirSync(join(peer.directory, "spool"));
    chownSync(join(peer.directory, "spool"), NOBODY, NOBODY);
    await peer.start();
    return peer;
  },
  accepted: /dsn=2\.0\.0, status=sent \(250 2\.0\.0 [0-9a-f]+ Message accepted for delivery\)/,
  tls: "fails",
  smtputf8: false,
  refused:
    "dsn=5.2.4, status=bounced (host 127.0.0.1[127.0.0.1] said: 524 5.2.4 Mailing list expansion problem: <refused@peer.example.net> (in reply to RCPT TO command))",
};

for (const peer of [EXIM, OPENSMTPD]) {
  const skip = !hasPeer(peer.package) && "not unpacked, or not root";
  describe(`Postern relays to ${peer.name}`, { concurrency: false, timeout: 120_000, skip }, () => {
    let site: Site;
    let running: LaidOver;

    before(async () => {
      const port = await freePort();
      running = await peer.start(port);
      const mainCf =
        "mynetworks = 127.0.0.0/8\nsmtp_tls_security_level = may\nsmtp_tls_loglevel = 1\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\ntransport_retry_time = 1s\nqueue_run_delay = 1s";
      site = await startSite({ relayhost: `[127.0.0.1]:${port}`, mainCf });
    });
    after(async () => {
      await site?.stop();
      await running?.stop();
    });

    /** Resolves to the queue id. */
    const send = async (to: readonly string[], content: string, parameters = "BODY=8BITMIME") => {
      const client = await Conversation.open(site.smtp);
      const ask = async (command: string) => assert.match(await client.say(command), /^(?:250|354)[ -]/, command);
      await ask("EHLO client.example");
      await ask(`MAIL FROM:<alice@example.org> ${parameters}`);
      for (const recipient of to) await ask(`RCPT TO:<${recipient}>`);
      await ask("DATA");
      client.write(Buffer.from(`${content.replace(/^\./gm, "..")}.\r\n`, "latin1"));
      const reply = await client.reply();
      client.close();
      const id = /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1];
      assert.ok(id, reply);
      return id;
    };
    const content = (subject: string, body: string) =>
      `From: alice@example.org\r\nTo: nobody@peer.example.net\r\nSubject: ${subject}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r
Message-ID: <${subject}@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r\n\r\n${body}`;
    /** The recipient's last line in the log. */
    const final = (id: string, user: string) =>
      site.server.logged(new RegExp(`${id}: to=<${user}@peer.*status=(?:sent|bounced).*`));
    const kept = () => {
      const directory = join(running.directory, "spool/mail/new");
      return readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
    };

    const bodies = [
      { name: "ascii", body: "plain\r\n" },
      { name: "eight-bit-and-dots", body: EIGHT_BIT },
      { name: "large", body: `${"x".repeat(76)}\r\n`.repeat(20_000) },
      { name: "long-lines", body: `${"y".repeat(900)}\r\n`.repeat(3) },
    ];
    for (const { name, body } of bodies) {
      test(`a message arrives, not a byte changed: ${name}`, async () => {
        const sent = content(name, body);
        const id = await send(["nobody@peer.example.net"], sent);
        assert.match(await final(id, "nobody"), peer.accepted);
        await eventually(async () => {
          const got = kept().find((text) => text.includes(`Subject: ${name}\n`));
          assert.equal(got?.slice(got.indexOf("From: alice")), sent.replaceAll("\r\n", "\n"));
        });
      });
    }

    test(peer.tls === "used" ? "the connection was encrypted" : "after the failed handshake it goes in clear", () => {
      const log = site.server.log();
      if (peer.tls === "used")
        assert.match(log, /Untrusted TLS connection established to 127\.0\.0\.1\[127\.0\.0\.1\]/);
      else assert.match(log, /status=deferred \(Cannot start TLS: handshake failure\)[\s\S]*status=sent/);
    });

    test("each recipient has its own outcome", async () => {
      const id = await send(["nobody@peer.example.net", "refused@peer.example.net"], content("partly", "x\r\n"));
      assert.match(await final(id, "nobody"), peer.accepted);
      const refused = await final(id, "refused");
      assert.ok(refused.includes(peer.refused), refused);
      await site.server.logged(new RegExp(`${id}: sender non-delivery notification: \\w+`));
    });

    test("an address that needs SMTPUTF8 goes where it is offered, and comes back from elsewhere", async () => {
      const utf8 = Buffer.from("Grüße", "utf8").toString("latin1");
      const id = await send(["nobody@peer.example.net"], content(`utf8-${utf8}`, "x\r\n"), "BODY=8BITMIME SMTPUTF8");
      const line = await final(id, "nobody");
      if (peer.smtputf8) assert.match(line, peer.accepted);
      else assert.match(line, /dsn=5\.6\.7, status=bounced \(SMTPUTF8 is required, but was not offered by host/);
    });
  });
}
