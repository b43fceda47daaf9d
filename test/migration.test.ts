/** test/migration.test.ts: configurations as they stand in /etc/postfix, of the kinds that sites have (testdata/sites): what
 *  `check` says of them, and what becomes of mail under those that start. POSTERN_UPDATE_GOLDEN writes each check.txt anew. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const SITES = join(import.meta.dirname, "testdata/sites");
const ALIASES =
  "root: alice@far.test\npostmaster: root\nabuse: root\nsecurity: root\nhostmaster: root\nwebmaster: root\nalice: alice@far.test\n";

/** The files of a site in the directory of a server, as `change` has them; what they name elsewhere is there, too. */
function lay(site: string, server: TestServer, change: (text: string, name: string) => string): void {
  const root = join(SITES, site);
  const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of names) {
    const path = join(parentPath, name);
    if (name === "check.txt") continue;
    const text = change(readFileSync(path, "utf8"), name)
      .replaceAll("/etc/postfix/", `${server.directory}/`)
      .replaceAll(/\/etc\/(aliases|mailname)/g, `${server.directory}/$1`)
      .replaceAll("/var/spool/postfix", `${server.directory}/postfix`)
      .replace(/^mail_owner = postfix$/m, "mail_owner = nobody");
    const target = join(server.directory, path.slice(root.length));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  const { keyPem, certificatePem } = makeSelfSigned(["mail.example.org"], Date.now());
  server.write("key.pem", keyPem);
  server.write("cert.pem", certificatePem);
  server.write("mailname", "example.org\n");
  server.write("aliases", ALIASES);
  for (const name of ["incoming", "active", "deferred"])
    mkdirSync(join(server.directory, "postfix", name), { recursive: true });
  const main = readFileSync(join(server.directory, "main.cf"), "utf8");
  if (!/^mail_owner =/m.test(main)) server.append("main.cf", "mail_owner = nobody\n");
}

for (const site of readdirSync(SITES)) {
  test(`check says of the site ${site} what its check.txt says`, async () => {
    await using server = new TestServer({ mainCf: "", masterCf: "" });
    lay(site, server, (text) => text);
    const { stdout, stderr } = await server.run(["check"]);
    const told = `${stdout}${stderr}`
      .replaceAll(server.directory, "/etc/postfix")
      .replace(/uid \d+\)/, "uid of nobody)");
    const reference = join(SITES, site, "check.txt");
    if (process.env["POSTERN_UPDATE_GOLDEN"]) writeFileSync(reference, told);
    assert.equal(told, readFileSync(reference, "utf8"));
  });
}

interface Row {
  readonly site: string;
  /** Lines of main.cf behind the site's; SINK is the port of the next hop. */
  readonly set: string;
  /** STARTTLS comes first. */
  readonly tls?: boolean;
  readonly dialogue: readonly (readonly [command: string, reply: string])[];
  readonly content: string;
  /** What the next hop is asked, and what it gets. */
  readonly asked: readonly string[];
  readonly arrived: readonly RegExp[];
  readonly logged?: readonly RegExp[];
  readonly why: string;
}

const FROM_ALICE = "From: Alice <alice@example.org>\r\nSubject: hi\r\n\r\nbody";
const TO_SINK = "relayhost = [127.0.0.1]:SINK\nsmtp_tls_security_level = may\n";

const ROWS: readonly Row[] = [
  {
    site: "internet-site",
    set: TO_SINK,
    dialogue: [
      ["EHLO mx.far.test", "250-mail.example.org"],
      ["HELO mx.far.test", "250 mail.example.org"],
      ["MAIL FROM:<eve@far.test> SIZE=100", "250 2.1.0 Ok"],
      ["RCPT TO:<postmaster>", "250 2.1.5 Ok"],
      [
        "RCPT TO:<nosuch@example.org>",
        "550 5.1.1 <nosuch@example.org>: Recipient address rejected: User unknown in local recipient table",
      ],
    ],
    content: FROM_ALICE,
    asked: ["MAIL FROM:<eve@far.test>", "RCPT TO:<alice@far.test>"],
    arrived: [
      /^Received: by mail\.example\.org \(Postern\)/,
      /\r\nDelivered-To: postmaster@example\.org\r\n/,
      /by mail\.example\.org \(Postern\) with ESMTP id /,
    ],
    logged: [/to=<postmaster@example\.org>, orig_to=<postmaster>, relay=local, .* status=sent \(forwarded as/],
    why: "myorigin is in a file; aliases; HELO behind EHLO is ESMTP all the same",
  },
  {
    site: "header-cleanup",
    set: TO_SINK,
    dialogue: [
      ["EHLO laptop", "250-mail.example.org"],
      ["MAIL FROM:<alice@example.org>", "250 2.1.0 Ok"],
      ["RCPT TO:<bob@far.test>", "250 2.1.5 Ok"],
    ],
    content: `User-Agent: x\r\n${FROM_ALICE}`,
    asked: ["MAIL FROM:<alice@example.org>", "RCPT TO:<bob@far.test>"],
    arrived: [/^From: Alice <alice@example\.org>\r\nSubject: hi\r\n/],
    why: "a cleanup service of its own takes the traces of clients away",
  },
  {
    site: "satellite",
    set: TO_SINK,
    dialogue: [
      ["EHLO localhost", "250-web1.example.org"],
      ["MAIL FROM:<www-data@web1.example.org>", "250 2.1.0 Ok"],
      ["RCPT TO:<cust@far.test>", "250 2.1.5 Ok"],
    ],
    content: "From: Root <root@web1.example.org>\r\nTo: www@web1.example.org\r\nX-Mailer: x\r\nSubject: hi\r\n\r\nbody",
    asked: ["MAIL FROM:<web@example.org>", "RCPT TO:<cust@far.test>"],
    arrived: [/^From: Web one <noreply@example\.org>\r\nTo: noreply@example\.org\r\nSubject: hi\r\n/],
    why: "canonical and generic maps, header checks of the client",
  },
  {
    site: "amavis",
    set: "content_filter = smtp-amavis:[127.0.0.1]:SINK\nmailbox_command =\n",
    dialogue: [
      ["EHLO mx.far.test", "250-mx1.example.org"],
      ["MAIL FROM:<eve@far.test>", "250 2.1.0 Ok"],
      ["RCPT TO:<root@example.org>", "250 2.1.5 Ok"],
    ],
    content: FROM_ALICE,
    asked: ["MAIL FROM:<eve@far.test>", "RCPT TO:<root@example.org>"],
    arrived: [/^Received: from mx\.far\.test /],
    logged: [/smtp-amavis\/smtp\[|smtp\[\d+\]: \w+: to=<root@example\.org>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, /],
    why: "mail goes to the filter, addresses as they came",
  },
  {
    site: "postscreen",
    set: "",
    tls: true,
    dialogue: [
      ["EHLO mx.far.test", "250-mx.example.org"],
      ["MAIL FROM:<eve@far.test>", "250 2.1.0 Ok"],
      [
        "RCPT TO:<no@example.net>",
        "550 5.1.1 <no@example.net>: Recipient address rejected: User unknown in relay recipient table",
      ],
      ["RCPT TO:<a@b.example.com>", "550 5.1.2 <a@b.example.com>: Recipient address rejected: no such host here"],
      ["RCPT TO:<any@example.com>", "250 2.1.5 Ok"],
    ],
    content: FROM_ALICE,
    asked: ["MAIL FROM:<eve@far.test>", "RCPT TO:<any@example.com>"],
    arrived: [/^Received: from mx\.far\.test /, /by mx\.example\.org \(Postern\) with ESMTPS id /],
    why: "port 25 is served, by smtpd; key and certificate in two files; relay recipients, transports",
  },
  {
    site: "printers",
    set: `${TO_SINK}mailbox_size_limit = 0\n`,
    dialogue: [
      ["HELO", "250 scanrelay.corp.example.org"],
      ["MAIL FROM: scanner@corp.example.org", "250 2.1.0 Ok"],
      ["RCPT TO: <boss@corp.example.org>", "250 2.1.5 Ok"],
      ["RCPT TO:<x@far.test>", "554 5.7.1 <x@far.test>: Recipient address rejected: Scanners send inside only"],
    ],
    content: "Subject: scan\r\n\r\nbody",
    asked: [
      "MAIL FROM:<scanner@corp.example.org>",
      "RCPT TO:<audit@corp.example.org>",
      "RCPT TO:<boss@corp.example.org>",
    ],
    arrived: [/^Received: from scanner /, /\r\nFrom: scanner@corp\.example\.org\r\n/],
    why: "commands are mended by a filter; a copy; missing headers are added",
  },
  {
    site: "sender-relay",
    set: `${TO_SINK}sender_dependent_relayhost_maps = inline:{ {@contoso.example=[localhost]:SINK} }\nsender_dependent_default_transport_maps =\nsmtp_sasl_auth_enable = no\n`,
    dialogue: [
      ["EHLO app", "250-relay.example.org"],
      ["MAIL FROM:<alice@contoso.example>", "250 2.1.0 Ok"],
      ['RCPT TO:<"quo ted"@far.test>', "250 2.1.5 Ok"],
    ],
    content: FROM_ALICE,
    asked: ["MAIL FROM:<alice@contoso.example>", 'RCPT TO:<"quo ted"@far.test>'],
    arrived: [/\r\nSubject: hi\r\n/],
    logged: [/relay=localhost\[127\.0\.0\.1\]:\d+, /],
    why: "the relay host goes by the sender",
  },
  {
    site: "lists",
    set: TO_SINK,
    dialogue: [
      ["EHLO mx.far.test", "250-lists.example.org"],
      ["MAIL FROM:<eve@far.test>", "250 2.1.0 Ok"],
      [
        "RCPT TO:<nosuch@lists.example.org>",
        "550 5.1.1 <nosuch@lists.example.org>: Recipient address rejected: User unknown in local recipient table",
      ],
      [
        "RCPT TO:<y@v.lists.example.org>",
        "550 5.1.1 <y@v.lists.example.org>: Recipient address rejected: User unknown in virtual alias table",
      ],
      ["RCPT TO:<test-request@lists.example.org>", "250 2.1.5 Ok"],
      ["RCPT TO:<z@lists2.example.org>", "250 2.1.5 Ok"],
    ],
    content: FROM_ALICE,
    asked: ["MAIL FROM:<eve@far.test>", "RCPT TO:<test-request@lists.example.org>"],
    arrived: [/\r\nSubject: hi\r\n/],
    logged: [
      /lmtp\[\d+\]: \w+: to=<test-request@lists\.example\.org>, .* status=sent /,
      /pipe\[\d+\]: \w+: to=<z@lists2\.example\.org>, relay=sympa, .* status=/,
    ],
    why: "lists by regular expressions to LMTP and to a command",
  },
];

for (const row of ROWS) {
  test(`mail under the site ${row.site}: ${row.why}`, async () => {
    const contents: string[] = [];
    const asked: string[] = [];
    const hop = await startNextHop({
      port: 0,
      taken: (content) => contents.push(content),
      asked: (command) => asked.push(command.replace(/(>) .*/, "$1")),
    });
    await using server = new TestServer({ mainCf: "", masterCf: "" });
    const port = await freePort();
    lay(row.site, server, (text, name) =>
      name === "master.cf" ? onePort(text, port) : text.replaceAll("2525", String(hop.port)),
    );
    server.append("main.cf", ownPlaces(server.directory) + row.set.replaceAll("SINK", String(hop.port)));
    try {
      await server.start();
      const client = await Conversation.open(port);
      if (row.tls) {
        await client.say("EHLO mx.far.test");
        assert.match(await client.startTls(), /^220 /);
      }
      for (const [command, reply] of row.dialogue) {
        assert.equal((await client.say(command)).slice(0, reply.length), reply, command);
      }
      assert.match(await client.say("DATA"), /^354 /);
      assert.match(await client.say(`${row.content}\r\n.`), /^250 2\.0\.0 Ok: queued as /);
      client.close();
      await eventually(async () => assert.ok(contents.length > 0));
      assert.deepEqual(asked, row.asked);
      for (const pattern of row.arrived) assert.match(contents[0] ?? "", pattern);
      for (const pattern of row.logged ?? []) await server.logged(pattern);
    } finally {
      await hop.close();
    }
  });
}

/** The first inet service on `port`, the others left out. */
function onePort(master: string, port: number): string {
  const services = master.split(/\n(?=\S)/);
  const first = services.findIndex((service) => /^\S+\s+inet\s/.test(service));
  return services
    .filter((service, i) => i === first || !/^\S+\s+inet\s/.test(service))
    .map((service, i) => (i === first ? service.replace(/^\S+/, `127.0.0.1:${port}`) : service))
    .join("\n");
}

function ownPlaces(directory: string): string {
  return `queue_directory = ${directory}/spool
data_directory = ${directory}/spool
maillog_file = ${directory}/maillog
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
`;
}
