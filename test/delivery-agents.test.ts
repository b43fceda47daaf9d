/** test/delivery-agents.test.ts: a running server whose local agent expands aliases: who gets what, under which sender, and what
 *  the log says, for small messages and for those that lie in files. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const ALIASES = `all: alice, x@far.test, y@far.test
boss: alice
list: :include:LIST
owner-list: alice
prog: "|/bin/true", alice
report: "|DIR/script sender report"
`;

/** Writes down what it gets; ends as the recipient says. */
const SCRIPT = `#!/bin/sh
{ id -u; printf '[%s]\\n' "$@"; cat; echo ===; } >> OUT
case "$2" in nobody*) echo "no such user"; exit 67;; full*) echo "4.2.2 mailbox full"; exit 1;; slow*) sleep 30;; esac
`;

/** Who runs commands: as root, somebody who is not mail_owner. */
const COMMAND_USER = process.getuid?.() === 0 ? "daemon" : userInfo().username;

describe("delivery agents", { concurrency: false, timeout: 60_000 }, () => {
  const asked: string[] = [];
  const taken: string[] = [];
  let hop: NextHop;
  let server: TestServer;
  let port: number;
  let maildirs: string;

  before(async () => {
    hop = await startNextHop({
      port: 0,
      asked: (command) => asked.push(command),
      taken: (content) => taken.push(content),
    });
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
myorigin = example.org
relayhost = [127.0.0.1]:${hop.port}
mynetworks = 127.0.0.0/8
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    const { directory } = server;
    mkdirSync(join(directory, "out"));
    chmodSync(join(directory, "out"), 0o777);
    server.write("script", SCRIPT.replace("OUT", `${directory}/out/log`));
    chmodSync(join(directory, "script"), 0o755);
    server.append(
      "master.cf",
      `prog unix - n n - - pipe
  flags=R user=${COMMAND_USER} argv=${directory}/script \${sender} \${user} \${nexthop} { two words }
nouser unix - n n - - pipe user=no-such-account argv=/bin/true\n`,
    );
    server.write("aliases", ALIASES.replace("LIST", `${directory}/list`).replace("DIR", directory));
    server.write("filter", "/^4\\.2\\.2 mailbox/ 4.2.1 the cupboard is full\n");
    server.write("list", "# members\nalice@example.org\nz@far.test\n");
    maildirs = join(directory, "mail");
    mkdirSync(maildirs);
    chmodSync(maildirs, 0o777);
    server.append(
      "main.cf",
      `alias_maps = hash:${directory}/aliases
local_recipient_maps = inline:{alice=1} $alias_maps
relay_domains = prog.test, nouser.test
virtual_mailbox_domains = virtual.test
virtual_mailbox_maps = inline:{ {anna@virtual.test = virtual/anna/} }
virtual_mailbox_base = ${maildirs}
virtual_uid_maps = static:${process.getuid?.() === 0 ? 65534 : process.getuid?.()}
virtual_gid_maps = static:1
transport_maps = inline:{ {prog.test = prog:somewhere} {nouser.test = nouser:} }
prog_time_limit = 1s
allow_mail_to_commands = alias
default_privs = ${COMMAND_USER}
pipe_delivery_status_filter = regexp:${directory}/filter
smtpd_relay_restrictions = permit_mynetworks, reject
postern_local_maildir = ${maildirs}/$user/\n`,
    );
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
  });

  /** Sends one message; resolves to its queue id. */
  const send = async (to: string, body = "body"): Promise<string> => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const content = `Subject: to ${to}\r\nMessage-ID: <${to}@client.example>\r\n\r\n${body}`;
    const reply = await client.send({
      ...{ from: "sender@from.test", to: to.includes("@") ? to : `${to}@example.org`, content },
    });
    client.close();
    const [, id] = /queued as (\w+)/.exec(reply) ?? [];
    assert.ok(id, reply);
    return id;
  };
  /** Files of alice's maildir with this subject. */
  const kept = (subject: string) => {
    const directory = join(maildirs, "alice/new");
    const files = readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
    return files.filter((text) => text.includes(`Subject: ${subject}\n`));
  };

  test("an alias of several: each gets the mail once, with Postfix's log lines", async () => {
    const id = await send("all");
    const line = await server.logged(new RegExp(`local\\[\\d+\\]: ${id}: to=<all@.*forwarded as (\\w+)\\)`));
    const [, next = ""] = /forwarded as (\w+)/.exec(line) ?? [];
    assert.match(line, /relay=local, delay=\S+ delays=\S+ dsn=2\.0\.0, status=sent \(forwarded as \w+\)$/);
    await server.logged(new RegExp(`qmgr\\[\\d+\\]: ${next}: removed`));
    const log = server.log();
    assert.match(log, new RegExp(`cleanup\\[\\d+\\]: ${next}: message-id=<all@client\\.example>`));
    assert.match(
      log,
      new RegExp(`qmgr\\[\\d+\\]: ${next}: from=<sender@from\\.test>, size=\\d+, nrcpt=3 \\(queue active\\)`),
    );
    for (const user of ["alice@example", "x@far", "y@far"]) {
      assert.match(log, new RegExp(`${next}: to=<${user}\\.\\w+>, orig_to=<all@example\\.org>, relay=.*status=sent`));
    }
    assert.equal(
      taken.filter((content) => content.includes("Subject: to all")).length,
      1,
      "one transaction for the host",
    );
    assert.deepEqual(asked.filter((line) => line.startsWith("RCPT")).sort(), [
      "RCPT TO:<x@far.test>",
      "RCPT TO:<y@far.test>",
    ]);
    assert.match(
      taken[0] ?? "",
      new RegExp(
        `Received: by mail\\.example\\.org \\(Postern\\)\\r\\n\\tid ${next}; .*\\r\\nDelivered-To: all@example\\.org\\r\\n`,
      ),
    );
    assert.equal(kept("to all").length, 1);
    assert.match(
      kept("to all")[0] ?? "",
      /^Return-Path: .*\nX-Original-To: all@example\.org\nDelivered-To: alice@example\.org\nReceived: by /,
    );
  });

  test("a large message goes the same way, byte by byte", async () => {
    const body = Array.from({ length: 4000 }, (_, i) => `line ${i} ${"x".repeat(60)}`).join("\r\n");
    taken.length = 0;
    const id = await send("all", body);
    await server.logged(new RegExp(`${id}: removed`));
    await eventually(async () => {
      assert.equal(taken.length, 1);
      assert.ok(taken[0]?.endsWith(body));
      assert.equal(kept("to all").filter((text) => text.endsWith(`${body.replaceAll("\r\n", "\n")}\n`)).length, 1);
    });
    await eventually(async () =>
      assert.deepEqual(readdirSync(join(server.directory, "spool/queue/shard-00/content")), []),
    );
  });

  test("a list has its owner as sender", async () => {
    asked.length = 0;
    const id = await send("list");
    await server.logged(new RegExp(`${id}: removed`));
    await eventually(async () => {
      assert.ok(
        asked.some((line) => line.startsWith("MAIL FROM:<owner-list@example.org>")),
        asked.join("\n"),
      );
      assert.match(kept("to list")[0] ?? "", /^Return-Path: <owner-list@example\.org>\n/);
    });
  });

  test("an alias of one user is delivered at once", async () => {
    const id = await send("boss");
    await server.logged(
      new RegExp(
        `${id}: to=<alice@example\\.org>, orig_to=<boss@example\\.org>, relay=local, .*\\(delivered to maildir\\)`,
      ),
    );
    assert.match(kept("to boss")[0] ?? "", /\nDelivered-To: boss@example\.org\n/);
  });

  test("a pipe service runs its command as the user of master.cf", async () => {
    const id = await send("alice+x@prog.test");
    await server.logged(
      new RegExp(
        `pipe\\[\\d+\\]: ${id}: to=<alice\\+x@prog\\.test>, relay=prog, .*dsn=2\\.0\\.0, status=sent \\(delivered via prog service\\)`,
      ),
    );
    const out = readFileSync(join(server.directory, "out/log"), "utf8");
    const [uid, ...lines] = out.split("\n");
    assert.equal(Number(uid), COMMAND_USER === "daemon" ? 1 : process.getuid?.());
    assert.deepEqual(lines.slice(0, 4), ["[sender@from.test]", "[alice+x]", "[somewhere]", "[two words]"]);
    assert.match(
      out,
      /\nReturn-Path: <sender@from\.test>\nReceived: [\s\S]*\nSubject: to alice\+x@prog\.test\n[\s\S]*\nbody\n===\n$/,
    );
    assert.deepEqual(readdirSync(join(server.directory, "spool/pipe")), []);
  });

  const ENDS = [
    {
      to: "nobody",
      want: "dsn=5\\.1\\.1, status=bounced \\(user unknown\\. Command output: no such user \\)",
      why: "EX_NOUSER",
    },
    {
      to: "full",
      want: "dsn=4\\.2\\.1, status=deferred \\(the cupboard is full\\)",
      why: "a status in its output, told in other words",
    },
    {
      to: "slow",
      want: 'dsn=5\\.3\\.0, status=bounced \\(Command time limit exceeded: "\\S+"\\)',
      why: "a command without end",
    },
  ];
  for (const { to, want, why } of ENDS) {
    test(`a pipe service: ${why}`, async () => {
      const id = await send(`${to}@prog.test`);
      await server.logged(new RegExp(`pipe\\[\\d+\\]: ${id}: to=<${to}@prog\\.test>, relay=prog, .*${want}`));
    });
  }

  test("mail for a pipe service whose user is not there waits, and check has said so", async () => {
    const id = await send("x@nouser.test");
    await server.logged(
      new RegExp(`${id}: to=<x@nouser\\.test>, relay=nouser, .*status=deferred \\(mail system configuration error\\)`),
    );
    await server.logged(/pipe\[\d+\]: warning: service nouser: unknown user name: no-such-account/);
    const { stdout } = await server.run(["check"]);
    assert.match(
      stdout,
      /pipe services that cannot run here, so that mail for them waits: nouser \(unknown user name: no-such-account\)/,
    );
  });

  test("virtual mailboxes are written as the server's user", async () => {
    const id = await send("anna@virtual.test");
    await server.logged(
      new RegExp(
        `virtual\\[\\d+\\]: ${id}: to=<anna@virtual\\.test>, relay=virtual, .*status=sent \\(delivered to maildir\\)`,
      ),
    );
    const [name = ""] = readdirSync(join(maildirs, "virtual/anna/new"));
    assert.match(
      readFileSync(join(maildirs, "virtual/anna/new", name), "latin1"),
      /^Return-Path: <sender@from\.test>\nX-Original-To: anna@virtual\.test\nDelivered-To: anna@virtual\.test\nReceived: /,
    );
  });

  test("a command that is allowed runs as default_privs, also one that is new in the aliases", async () => {
    const id = await send("report");
    await server.logged(
      new RegExp(
        `local\\[\\d+\\]: ${id}: to=<report@example\\.org>, relay=local, .*status=sent \\(delivered to command: \\S+ sender report\\)`,
      ),
    );
    const out = readFileSync(join(server.directory, "out/log"), "utf8");
    assert.match(
      out,
      /\n\[sender\]\n\[report\]\nFrom sender@from\.test {2}[\s\S]*Delivered-To: report@example\.org\n[\s\S]*\nbody\n===\n$/,
    );
    server.append("aliases", `later: "|${server.directory}/script sender nobody"\n`);
    await eventually(async () => {
      const again = await send("later");
      await server.logged(
        new RegExp(`${again}: to=<later@.*status=bounced \\(user unknown\\. Command output: no such user \\)`),
        2000,
      );
    });
  });

  test("a command comes back, and check has said so", async () => {
    const id = await send("prog");
    await server.logged(
      new RegExp(`${id}: to=<prog@.*dsn=5\\.7\\.1, status=bounced \\(mail to command is restricted\\)`),
    );
    await server.logged(new RegExp(`bounce\\[\\d+\\]: ${id}: sender non-delivery notification`));
    const { stdout } = await server.run(["check"]);
    assert.match(stdout, /these aliases lead to commands or files, mail to them is returned: prog;/);
  });
});
