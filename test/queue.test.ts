/** test/queue.test.ts: mail that cannot go at once, as an operator meets it: deferred, looked at, held, flushed, bounced;
 *  with the server up and down, with fewer workers than before, and after a worker was killed. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import PostalMime from "postal-mime";
import { askControl } from "../src/net/control-socket.ts";
import { Conversation } from "./testbed/conversation.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const WAIT_MS = 15_000;
const REFUSED = /^connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused$/;

interface Listed {
  readonly queue_name: string;
  readonly queue_id: string;
  readonly sender: string;
  readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[];
}

describe("the queue", { concurrency: false, timeout: 90_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let port: number;
  let sinkPort: number;
  let sink: NextHop | undefined;
  let refusing: NextHop;
  let maildirs: string;

  before(async () => {
    [port, sinkPort, refusing] = [
      await freePort(),
      await freePort(),
      await startNextHop({ port: 0, refusal: "550 5.1.1 No such user here" }),
    ];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sinkPort}
transport_maps = inline:{ { refused.test = smtp:[127.0.0.1]:${refusing.port} } }
mydestination = example.org
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
minimal_backoff_time = 300s
maximal_backoff_time = 300s
transport_retry_time = 300s`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    maildirs = join(server.directory, "mail");
    mkdirSync(maildirs);
    chmodSync(maildirs, 0o777);
    server.write("virtual", "");
    server.append("main.cf", `virtual_alias_maps = texthash:${server.directory}/virtual\n`);
    server.append("main.cf", `postern_local_maildir = ${maildirs}/$user/\npostern_workers = 2\n`);
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.close();
    await refusing?.close();
  });

  /** Resolves to the queue id. */
  const send = async (subject: string, to = "bob@elsewhere.test") => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const content = `Subject: ${subject}\r\nMessage-ID: <${subject}@example.org>\r\n\r\nbody of ${subject}`;
    const reply = await client.send({ from: "alice@example.org", to, content });
    client.close();
    const queueId = /^250 2\.0\.0 Ok: queued as ([0-9A-F]+)$/.exec(reply)?.[1];
    assert.ok(queueId, reply);
    return queueId;
  };
  const list = async (): Promise<readonly Listed[]> => {
    const { code, stdout, stderr } = await server.run(["postqueue", "-j"]);
    assert.equal(code, 0, stderr);
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Listed);
  };
  const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
    for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(50)) if (await holds()) return;
    throw new Error(`Never: ${what}\n${server.log()}`);
  };
  /** Asked without a command line, since it is asked often. */
  const isEmpty = async () => {
    const args = { op: "list", ids: "ALL" };
    const path = join(server.directory, "spool/public/control");
    return ((await askControl(path, { op: "queue", args })) as readonly unknown[]).length === 0;
  };
  const copies = (subject: string) =>
    taken.filter((content) => new RegExp(`\r\nbody of ${subject}(?:\r\n)?$`).test(content)).length;
  const arrived = (subject: string) => until(`${subject} arrives`, () => copies(subject) > 0);
  const deferred = (id: string) => server.logged(new RegExp(`${id}: .*status=deferred`));
  const openSink = async () => {
    sink = await startNextHop({ port: sinkPort, taken: (content) => taken.push(content) });
  };
  const closeSink = async () => {
    await sink?.close();
    sink = undefined;
  };

  let first: string;

  test("mail for a next hop that is down is deferred, and the log says why", async () => {
    first = await send("first");
    await deferred(first);
    assert.match(
      server.log(),
      new RegExp(
        `postfix/smtp\\[\\d+\\]: ${first}: to=<bob@elsewhere\\.test>, relay=none, delay=[\\d.]+, delays=[\\d./]+, ` +
          `dsn=4\\.4\\.1, status=deferred \\(connect to 127\\.0\\.0\\.1\\[127\\.0\\.0\\.1\\]:${sinkPort}: Connection refused\\)`,
      ),
    );
  });

  /** The same must be true whether the master is asked or the shards are read in place. */
  const operatorsView = async (commands: readonly (readonly string[])[]) => {
    const [found, ...others] = await list();
    assert.deepEqual(others, []);
    assert.equal(found?.queue_name, "deferred");
    assert.equal(found.queue_id, first);
    assert.equal(found.sender, "alice@example.org");
    assert.equal(found.recipients[0]?.address, "bob@elsewhere.test");
    assert.match(found.recipients[0]?.delay_reason ?? "", REFUSED);
    for (const command of commands) {
      const { code, stdout } = await server.run(command);
      assert.equal(code, 0);
      assert.match(
        stdout,
        new RegExp(
          `^-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n${first} .* alice@example\\.org\n` +
            " *\\(connect to 127\\.0\\.0\\.1\\[127\\.0\\.0\\.1\\]:\\d+: Connection refused\\)\n" +
            " +bob@elsewhere\\.test\n\n-- 0 Kbytes in 1 Request\\.\n$",
        ),
      );
    }
    const cat = await server.run(["postcat", "-q", first]);
    assert.equal(cat.code, 0, cat.stderr);
    assert.match(cat.stdout, /^\*\*\* ENVELOPE RECORDS deferred\/.*\n[\s\S]*\nsender: alice@example\.org\n/);
    assert.match(cat.stdout, /\nrecipient: bob@elsewhere\.test\n[\s\S]*\nSubject: first\n[\s\S]*\n\nbody of first\n/);
    assert.match(cat.stdout, /\nReceived: from client\.example .*\n\tby mail\.example\.org \(Postern\)/);
  };
  const holdAndRelease = async () => {
    const held = await server.run(["postsuper", "-h", first]);
    assert.equal(held.stderr, `postsuper: ${first}: placed on hold\npostsuper: Placed on hold: 1 message\n`);
    assert.match((await server.run(["mailq"])).stdout, new RegExp(`\n${first}! `));
    const released = await server.run(["postsuper", "-H", first]);
    assert.equal(
      released.stderr,
      `postsuper: ${first}: released from hold\npostsuper: Released from hold: 1 message\n`,
    );
  };
  const deleteOne = async (id: string) => {
    const gone = await server.run(["postsuper", "-d", id]);
    assert.equal(gone.stderr, `postsuper: ${id}: removed\npostsuper: Deleted: 1 message\n`);
    assert.equal(gone.code, 0);
    const cat = await server.run(["postcat", "-q", id]);
    assert.equal(cat.code, 1);
    assert.match(cat.stderr, new RegExp(`^postern: postcat: open queue file ${id}: No such file or directory\n$`));
  };

  test("with the server up: mailq, postqueue, postcat", () => operatorsView([["mailq"], ["postqueue", "-p"]]));
  test("with the server up: postsuper -h and -H", holdAndRelease);
  test("with the server up: postsuper -d; a message that does not exist is no error", async () => {
    const id = await send("deleted");
    await deferred(id);
    await deleteOne(id);
    const again = await server.run(["postsuper", "-d", id]);
    assert.deepEqual([again.code, again.stderr], [0, ""]);
    const bad = await server.run(["postsuper", "-d", "../etc"]);
    assert.deepEqual([bad.code, bad.stderr], [0, "postsuper: warning: invalid mail queue id: ../etc\n"]);
  });

  test("with the server up: postern queue finds by conditions, requeues, shows the shape", async () => {
    const id = await send("conditions", "carol@conditions.test");
    await deferred(id);
    const which = ["--to", "*@CONDITIONS.*", "--reason", "connection refused", "--from", "example.org"];
    const dry = await server.run(["queue", "delete", ...which, "--dry-run"]);
    assert.match(dry.stderr, /would delete 1 message; nothing was changed/);
    server.write("virtual", "carol@conditions.test dave@conditions.test\n");
    // The server looks at its tables once a second: that would be too late.
    assert.equal((await server.run(["reload"])).code, 0);
    const requeued = await server.run(["queue", "requeue", ...which]);
    assert.match(requeued.stderr, /1 message requeued/);
    const said = await server.logged(
      new RegExp(`postfix/pickup\\[\\d+\\]: ${id}: to=<carol@.*status=sent \\(requeued as \\w+\\)`),
    );
    const next = /requeued as (\w+)/.exec(said)?.[1] ?? "";
    await server.logged(new RegExp(`${next}: to=<dave@conditions\\.test>, orig_to=<carol@.*status=deferred`));
    assert.match((await server.run(["queue", "shape", ...which.slice(0, 2)])).stdout, /\n *conditions\.test 1 1 /);
    // What the store counts is what is counted from a list of it.
    for (const by of [[], ["-s"], ["--queue", "hold,deferred"]]) {
      const counted = await server.run(["queue", "shape", ...by]);
      assert.equal(counted.code, 0, counted.stderr);
      assert.equal(counted.stdout, (await server.run(["queue", "shape", ...by, "--newer", "999w"])).stdout);
      assert.match(counted.stdout, /\n +TOTAL [1-9]/);
    }
    assert.match((await server.run(["queue", "delete", next])).stderr, /1 message deleted/);
    assert.equal((await server.run(["queue", "list", "--to", "conditions.test"])).stdout, "No message.\n");
    assert.equal((await server.run(["queue", "delete"])).code, 64);
  });

  test("postern trace tells of it what the queue and the log know", async () => {
    const { code, stdout } = await server.run(["trace", first]);
    assert.equal(code, 0);
    assert.match(
      stdout,
      new RegExp(`^${first} {2}in the queue \\(deferred\\), for \\d+s; waiting: 1 of its recipients\\n\\n`),
    );
    assert.match(
      stdout,
      /\narrived +\w+ +\d+ [\d:]+ {2}smtpd: client=localhost\[127\.0\.0\.1\]\nfrom +<alice@example\.org>, \d+ bytes\n/,
    );
    assert.match(
      stdout,
      /\nchanges +nothing was touched\ndeliveries .* deferred <bob@elsewhere\.test> by none: connect to /,
    );
    assert.match(stdout, /\nwaiting +<bob@elsewhere\.test>: connect to 127\.0\.0\.1/);
    const told = JSON.parse((await server.run(["trace", "--json", first])).stdout);
    assert.deepEqual([told.touched, told.queue.queueId, told.envelope.sender], [false, first, "alice@example.org"]);
  });

  test("with the server down: the same", async () => {
    const second = await send("second");
    await deferred(second);
    await server.stop();
    await deleteOne(second);
    await holdAndRelease();
    await operatorsView([["mailq"]]);
    assert.equal((await server.run(["flush"])).code, 69);
    await server.start();
  });

  test("held mail stays when the queue is flushed", async () => {
    await server.run(["postsuper", "-h", first]);
    await openSink();
    await send("passing");
    await arrived("passing");
    assert.equal((await server.run(["postqueue", "-f"])).code, 0);
    await sleep(200);
    assert.deepEqual(
      (await list()).map((entry) => [entry.queue_id, entry.queue_name]),
      [[first, "hold"]],
    );
    await closeSink();
    await server.run(["postsuper", "-H", first]);
  });

  test("flush delivers what waited, once the next hop is back", async () => {
    // Enough connections that both workers get some.
    const waiting: string[] = [];
    for (let n = 0; n < 8; n++) waiting.push(await send(`waiting${n}`));
    for (const id of waiting) await deferred(id);
    await openSink();
    assert.equal((await server.run(["flush"])).code, 0);
    for (const name of ["first", ...waiting.keys()]) await arrived(name === "first" ? name : `waiting${name}`);
    await until("the queue is empty", isEmpty);
    assert.equal((await server.run(["mailq"])).stdout, "Mail queue is empty\n");
  });

  test("a refusal for good becomes a bounce that the sender can read (TRC-09)", async () => {
    const id = await send("refused", "nobody@refused.test");
    await server.logged(
      new RegExp(`${id}: .*status=bounced \\(host 127\\.0\\.0\\.1\\[127\\.0\\.0\\.1\\]:?\\d* said: 550`),
    );
    const inbox = join(maildirs, "alice/new");
    const files = () => {
      try {
        return readdirSync(inbox);
      } catch {
        return [];
      }
    };
    await until("the bounce arrives", () => files().length > 0);
    assert.equal(files().length, 1);
    const bounce = await PostalMime.parse(readFileSync(join(inbox, files()[0] ?? "")), {
      forceRfc822Attachments: true,
    });
    assert.equal(bounce.subject, "Undelivered Mail Returned to Sender");
    assert.match(bounce.from?.address ?? "", /^MAILER-DAEMON@mail\.example\.org$/i);
    assert.equal(bounce.to?.[0]?.address, "alice@example.org");
    assert.match(bounce.text ?? "", /<nobody@refused\.test>: [\s\S]*550[\s-]5\.1\.1\s+No\s+such\s+user\s+here/);
    assert.deepEqual(
      bounce.attachments.map((part) => part.mimeType),
      ["message/delivery-status", "message/rfc822"],
    );
    const text = (n: number) => Buffer.from(bounce.attachments[n]?.content as ArrayBuffer).toString("latin1");
    assert.match(
      text(0),
      /Final-Recipient: rfc822; nobody@refused\.test\r?\n[\s\S]*Action: failed\r?\nStatus: 5\.1\.1\r?\n/,
    );
    const original = await PostalMime.parse(text(1));
    assert.equal(original.messageId, "<refused@example.org>");
    await until("the queue is empty", isEmpty);
  });

  test("kill -9 of a worker: it is started again, and mail goes on", async () => {
    const [victim, other] = await server.workerPids();
    assert.ok(victim && other);
    process.kill(victim, "SIGKILL");
    await server.logged(new RegExp(`process worker pid ${victim} killed by signal SIGKILL`));
    const listed = await server.run(["postqueue", "-p"]);
    assert.deepEqual([listed.code, listed.stderr], [0, ""], "asked meanwhile, it waits for the worker");
    await until("there are two workers again", async () => {
      const pids = await server.workerPids().catch((): readonly number[] => []);
      return pids.length === 2 && !pids.includes(victim) && pids.includes(other);
    });
    for (let n = 0; n < 6; n++) await send(`revived${n}`);
    for (let n = 0; n < 6; n++) await arrived(`revived${n}`);
  });

  test("started with one worker, the other one's mail is delivered too, and its shard is gone", async () => {
    await closeSink();
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) ids.push(await send(`adopted${n}`));
    for (const id of ids) await deferred(id);
    const shards = () => readdirSync(join(server.directory, "spool/queue")).filter((name) => /^shard-\d+$/.test(name));
    assert.deepEqual(shards().sort(), ["shard-00", "shard-01"]);
    await server.stop();
    server.append("main.cf", "postern_workers = 1\n");
    await openSink();
    await server.start();
    assert.equal((await server.run(["flush"])).code, 0);
    for (let n = 0; n < 12; n++) await arrived(`adopted${n}`);
    await until("the queue is empty", isEmpty);
    await until("the adopted shard is removed", () => shards().join() === "shard-00");
    for (let n = 0; n < 12; n++) assert.equal(copies(`adopted${n}`), 1);
  });

  test("a worker that has adopted and drained a shard is started again after kill -9", async () => {
    const [victim] = await server.workerPids();
    assert.ok(victim);
    process.kill(victim, "SIGKILL");
    await until("there is a worker again", async () => {
      const pids = await server.workerPids().catch((): readonly number[] => []);
      return pids.length === 1 && !pids.includes(victim);
    });
    await send("afterwards");
    await arrived("afterwards");
  });
});
