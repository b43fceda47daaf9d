/** test/sendmail.test.ts: mail from programs of this machine, as they send it: the sendmail command under its own name, with the
 *  server up and down, from other users, and with the server killed while it takes the mail in. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { asAddress } from "../src/mail/address.ts";
import { DropFile } from "../src/pickup/drop-file.ts";
import { formatSubmission } from "../src/pickup/submission.ts";
import { readableCheckout } from "./testbed/checkout.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { OTHER, OTHER_UID } from "./testbed/other-user.ts";
import { freePort, TestServer } from "./testbed/server.ts";

interface Ran {
  readonly code: number;
  readonly said: string;
}

describe("sendmail", { concurrency: false, timeout: 120_000 }, () => {
  let taken: string[] = [];
  let server: TestServer;
  let hopPort: number;
  let hop: NextHop | undefined;
  let programs: string;

  before(async () => {
    hopPort = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${hopPort}
mydestination =
mynetworks =
always_bcc = archive@x.test
header_checks = regexp:$config_directory/header_checks
minimal_backoff_time = 300s
maximal_backoff_time = 300s
transport_retry_time = 300s`,
      masterCf: `${await freePort()} inet n - n - - smtpd\npickup unix n - n 1 1 pickup\n  -o { sender_canonical_maps = inline:{ { nick@mail.example.org = nick@canonical.test } } }\n`,
    });
    server.write("header_checks", "/^Subject: refused/ REJECT not this\n");
    programs = mkdtempSync(join(tmpdir(), "postern-programs-"));
    chmodSync(programs, 0o755);
    symlinkSync(join(readableCheckout(), "bin/postern.js"), join(programs, "sendmail"));
    hop = await openHop();
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
    rmSync(programs, { recursive: true, force: true });
  });

  const openHop = () => startNextHop({ port: hopPort, taken: (content) => taken.push(content) });

  /** As a program does it: by name, with its own environment. */
  const sendmail = (args: readonly string[], input: string, user: { uid?: number | undefined } = {}): Promise<Ran> =>
    new Promise((resolve) => {
      const env = { PATH: process.env.PATH, MAIL_CONFIG: server.directory };
      const child = spawn(process.execPath, [join(programs, "sendmail"), ...args], {
        env,
        uid: user.uid,
        gid: user.uid,
      });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
      child.stdin.on("error", () => undefined);
      child.stdin.end(input, "latin1");
      child.on("close", (code) => resolve({ code: code ?? -1, said }));
    });
  const copies = (subject: string) => taken.filter((content) => content.includes(`Subject: ${subject}\r\n`)).length;
  const arrived = (subject: string, count = 1) =>
    eventually(async () => assert.ok(copies(subject) >= count, `${subject}\n${server.log()}`));
  const maildrop = () => join(server.directory, "spool/maildrop");

  test("the directory takes files from everybody and lists them to nobody", () => {
    const stats = statSync(maildrop());
    assert.equal(stats.mode & 0o7777, 0o3733);
  });

  test("a message of another user arrives, with his number in Received and in the log; copies and maps apply", async () => {
    const { code, said } = await sendmail(
      ["-F", "Nick", "-f", "nick", "-t"],
      "To: b@x.test\nSubject: up\n\n8bit \xfc\n.\nno\n",
      {
        uid: OTHER_UID,
      },
    );
    assert.deepEqual([code, said], [0, ""]);
    await arrived("up", 1);
    const content = taken.find((text) => text.includes("Subject: up\r\n")) ?? "";
    assert.match(
      content,
      new RegExp(`^Received: by mail\\.example\\.org \\(Postern, from userid ${OTHER.uid}\\)\r\n\tid `),
    );
    // It had no MIME fields, and the next hop takes no 8-bit content.
    await server.logged(
      /smtp\[\d+\]: [0-9A-F]+: converted: 127\.0\.0\.1\[127\.0\.0\.1\] does not take the content as it is\n/,
    );
    assert.match(
      server.log(),
      /cleanup\[\d+\]: [0-9A-F]+: changes: .*MIME-Version added \(8-bit content is called 7bit; transfer_enc/,
    );
    assert.match(content, /\r\nFrom: Nick <nick@canonical\.test>\r\n[^ ]+: quoted-printable\r\n\r\n8bit =FC$/);
    assert.match(server.log(), new RegExp(`postfix/pickup\\[\\d+\\]: [0-9A-F]+: uid=${OTHER.uid} from=<nick>\n`));
    assert.match(server.log(), /qmgr\[\d+\]: [0-9A-F]+: from=<nick@canonical\.test>, size=\d+, nrcpt=2 /);
    await server.logged(/to=<archive@x\.test>/);
  });

  test("what header_checks refuse goes back to the sender; the log says that it came from here", async () => {
    assert.equal((await sendmail(["-f", "al@x.test", "b@x.test"], "Subject: refused\n\nbody\n")).code, 0);
    await server.logged(
      /cleanup\[\d+\]: [0-9A-F]+: reject: header Subject: refused from local; from=<al@x\.test> to=<b@x\.test>: 5\.7\.1 not this\n/,
    );
    await server.logged(/to=<b@x\.test>, relay=none, .* dsn=5\.7\.1, status=bounced \(not this\)\n/);
    await eventually(async () => assert.ok(taken.some((content) => content.includes("Subject: Undelivered Mail"))));
  });

  test("-bv: the next hop is asked and gets nothing; the answer comes by mail", async () => {
    const { code, said } = await sendmail(["-bv", "-f", "al@x.test", "asked@x.test"], "not read");
    assert.deepEqual([code, said], [0, "Mail Delivery Status Report will be mailed to <al@x.test>.\n"]);
    await server.logged(/to=<asked@x\.test>, relay=127\.0\.0\.1\[.* status=deliverable \(250 /);
    await eventually(async () => {
      const report = taken.find((content) => content.includes("Subject: Mail Delivery Status Report\r\n")) ?? "";
      assert.match(report, /\r\n<asked@x\.test>: delivery via 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: 250 /);
      assert.match(report, /\r\nAction: deliverable\r\n/);
    });
    const probes = taken.filter((content) => /^Subject: probe\r$/m.test(content.split("\r\n\r\n")[0] ?? ""));
    assert.deepEqual(probes, [], "no message was sent");
  });

  test("-bs: SMTP on standard input and output, with the server's limits and reports", async () => {
    const commands = [
      ...["EHLO client", "MAIL FROM:<al@x.test> ENVID=e1", "RCPT TO:<b@x.test> NOTIFY=SUCCESS", "RCPT TO:<c@x.test>"],
      ...["DATA", "Subject: over smtp", "", "..dot", ".", "MAIL FROM:<al@x.test> SIZE=99999999", "ETRN x.test", "QUIT"],
    ];
    const { code, said } = await sendmail(["-bs"], `${commands.join("\r\n")}\r\n`, { uid: OTHER_UID });
    assert.equal(code, 0);
    const replies = said.split("\r\n").filter((line) => line !== "" && !line.startsWith("250-"));
    const wanted = ["220", "250", "250", "250", "250", "354", "250", "552", "502", "221"];
    assert.deepEqual(
      replies.map((line) => line.slice(0, 3)),
      wanted,
      said,
    );
    const id = /queued as (\w+)/.exec(said)?.[1];
    await arrived("over smtp");
    await server.logged(new RegExp(`: uid=${OTHER.uid} from=<al@x\\.test> orig_id=${id}\n`));
    const content = taken.find((text) => text.includes("Subject: over smtp\r\n")) ?? "";
    assert.match(
      content,
      /^Received: by [^\r]*\r\n\tid [^\r]*\r\nReceived: from client \(localhost \[127\.0\.0\.1\]\)\r\n/,
    );
    assert.match(content, /\r\n\r\n\.dot$/);
  });

  const refused = [
    { args: ["-t"], input: "Subject: x\n\n", code: 65, said: /: No recipient addresses found in message header\n$/ },
    {
      args: [],
      input: "x\n",
      code: 64,
      said: /: Recipient addresses must be specified on the command line or via the -t option\n$/,
    },
    { args: ["a@b@"], input: "x\n", code: 65, said: /: bad recipient address syntax: "a@b@"\n$/ },
    { args: ["-bQ"], input: "", code: 64, said: /^sendmail: fatal: unsupported: -bQ\n$/ },
    { args: ["-C", "/nonexistent", "b@x.test"], input: "x\n", code: 75, said: /fatal: open \/nonexistent\/main\.cf: / },
    {
      args: ["-f", "al@x.test", "b@x.test"],
      input: "0123456789abcde\n".repeat(640_001),
      code: 65,
      said: /: message file too big\n$/,
    },
  ];
  for (const { args, input, code, said } of refused) {
    test(`exit ${code}: sendmail ${args.join(" ")}`, async () => {
      const ran = await sendmail(args, input);
      assert.equal(ran.code, code);
      assert.match(ran.said, said);
      assert.deepEqual(readdirSync(maildrop()), []);
    });
  }

  test("authorized_submit_users: exit 77, with Postfix's words, also of who writes the file himself", async () => {
    server.append("main.cf", "authorized_submit_users =\n");
    await server.run(["reload"]);
    const { code, said } = await sendmail(["b@x.test"], "Subject: not allowed\n\n", { uid: OTHER_UID });
    assert.equal(code, 77);
    assert.match(said, new RegExp(`^sendmail: fatal: User \\S+\\(${OTHER.uid}\\) is not allowed to submit mail\n$`));
    dropOne("not allowed");
    await server.logged(/pickup\[\d+\]: warning: [0-9A-F]+: User \S+\(\d+\) is not allowed to submit mail: removed\n/);
    server.append("main.cf", "authorized_submit_users = static:anyone\n");
    await server.run(["reload"]);
  });

  const dropOne = (subject: string) => {
    const file = new DropFile(maildrop());
    const submission = { sender: asAddress("tester"), recipients: [asAddress("b@x.test")] };
    file.write(formatSubmission(submission) ?? Buffer.alloc(0));
    file.write(Buffer.from(`Subject: ${subject}\n\nbody\n`));
    file.complete();
  };

  test("mail that is sent while the server is down waits for it", async () => {
    await server.stop();
    assert.equal((await sendmail(["-f", "al@x.test", "b@x.test"], "Subject: down\n\n", { uid: OTHER_UID })).code, 0);
    assert.equal(readdirSync(maildrop()).length, 1);
    await server.start();
    await arrived("down");
  });

  test("killed at any moment: every message arrives, none of them twice", async () => {
    await hop?.close();
    const COUNT = 60;
    for (let i = 0; i < COUNT; i++) dropOne(`kill ${i} `);
    for (let round = 0; round < 2; round++) {
      const before = readdirSync(maildrop()).length;
      server.kill("SIGKILL");
      await server.ended();
      await server.start();
      // Into the middle of it: as soon as the first of these files has gone.
      await eventually(async () => assert.ok(before === 0 || readdirSync(maildrop()).length < before));
    }
    await eventually(async () => {
      assert.deepEqual(readdirSync(maildrop()), []);
      assert.deepEqual(readdirSync(join(server.directory, "spool/pickup")), ["corrupt"]);
    });
    taken = [];
    hop = await openHop();
    assert.equal((await server.run(["flush"])).code, 0);
    // always_bcc is a recipient of the same message, in the same transaction.
    await eventually(async () => {
      await server.run(["flush"]);
      for (let i = 0; i < COUNT; i++) assert.equal(copies(`kill ${i} `), 1, `message ${i}`);
    }, 30_000);
    assert.equal(JSON.stringify((await server.run(["postqueue", "-j"])).stdout), '""');
  });
});
