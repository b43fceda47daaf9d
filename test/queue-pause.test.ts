/** test/queue-pause.test.ts: defer_transports and `postern queue pause`, as an operator meets them: with the server up, over
 *  a restart, with a killed worker, with the server down. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { askControl } from "../src/net/control-socket.ts";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("paused destinations", { concurrency: false, timeout: 240_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let sink: NextHop;
  let port: number;

  before(async () => {
    port = await freePort();
    sink = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sink.port}
transport_maps = inline:{ { later.test = later:[127.0.0.1]:${sink.port} } }
defer_transports = later
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
postern_workers = 2`,
      masterCf: `${port} inet n - n - - smtpd\nlater unix - - n - - smtp\n`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.close();
  });

  const send = async (subject: string, to = "bob@elsewhere.test") => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const reply = await client.send({ from: "alice@example.org", to, content: `Subject: ${subject}\r\n\r\nbody` });
    client.close();
    const queueId = /^250 2\.0\.0 Ok: queued as ([0-9A-F]+)$/.exec(reply)?.[1];
    assert.ok(queueId, reply);
    return queueId;
  };
  const deferred = (id: string, why: string) =>
    server.logged(
      new RegExp(`postfix/error\\[\\d+\\]: ${id}: to=.*relay=none.*dsn=4\\.3\\.2, status=deferred \\(${why}`),
    );
  const arrived = (subject: string) =>
    eventually(async () =>
      assert.equal(taken.filter((content) => content.includes(`Subject: ${subject}\r\n`)).length, 1),
    );
  const queue = (...words: string[]) => server.run(["queue", ...words]);

  test("defer_transports defers, and flush lets the mail go", async () => {
    const id = await send("deferred", "bob@later.test");
    await deferred(id, "deferred transport\\)");
    assert.equal((await server.run(["postqueue", "-f"])).code, 0);
    await arrived("deferred");
  });

  const lane = () => `smtp:[127.0.0.1]:${sink.port}`;

  test("pause takes effect on all workers, is listed, and flush does not lift it", async () => {
    const paused = await queue("pause", lane());
    assert.deepEqual([paused.code, paused.stderr], [0, `postern: queue: ${lane()} paused\n`]);
    assert.match(server.log(), /master\[\d+\]: deliveries to smtp:\[127\.0\.0\.1\]:\d+ paused by the operator\n/);
    for (let n = 0; n < 6; n++) await deferred(await send(`paused${n}`), "delivery paused by the operator: smtp:");
    assert.equal((await server.run(["flush"])).code, 0);
    assert.match((await queue("list")).stdout, /\n6 messages\.\nPaused: smtp:\[127\.0\.0\.1\]:\d+, since \d+s\.\n$/);
    assert.match((await queue("shape")).stdout, /\nPaused: smtp:/);
    assert.match(
      (await queue("pause", "--json")).stdout,
      /^\{"lane":"smtp:\[127\.0\.0\.1\]:\d+","paused_since":\d+\}\n$/,
    );
    assert.equal((await queue("pause", lane())).stderr, `postern: queue: ${lane()} was paused already\n`);
    assert.equal(taken.length, 1);
  });

  test("a worker that was killed, and a new start, know it", async () => {
    const [victim] = await server.workerPids();
    process.kill(victim ?? 0, "SIGKILL");
    await server.logged(new RegExp(`worker pid ${victim} killed`));
    await eventually(async () => assert.equal((await server.workerPids()).length, 2));
    for (let n = 6; n < 12; n++) await deferred(await send(`paused${n}`), "delivery paused by the operator: smtp:");
    await server.stop();
    assert.match((await queue("pause")).stdout, /^Paused: smtp:/);
    await server.start();
    for (let n = 12; n < 16; n++) await deferred(await send(`paused${n}`), "delivery paused by the operator: smtp:");
    assert.equal(taken.length, 1);
  });

  test("resume sends at once what waited for it", async () => {
    const resumed = await queue("resume", lane());
    assert.equal(resumed.stderr, `postern: queue: ${lane()} resumed, 16 recipients due now\n`);
    for (let n = 0; n < 16; n++) await arrived(`paused${n}`);
    assert.equal((await queue("list")).stdout, "No message.\n");
  });

  test("with the server down: pause and resume hold for the next start", async () => {
    await server.stop();
    assert.equal((await queue("pause", "smtp")).stderr, "postern: queue: smtp paused\n");
    await server.start();
    await deferred(await send("down"), "delivery paused by the operator: smtp\\)");
    await server.stop();
    assert.equal((await queue("resume", "smtp")).stderr, "postern: queue: smtp resumed, 1 recipient due now\n");
    await server.start();
    await arrived("down");
  });

  test("what cannot be paused is refused", async () => {
    for (const [words, text] of [
      [["pause", "smpt:x.test"], 'pause: master.cf has no transport "smpt"'],
      [["pause", "smtp:a b"], 'pause: "smtp:a b" is not TRANSPORT or TRANSPORT:NEXTHOP, as in smtp:example.com'],
      [["resume"], "resume: say which: TRANSPORT or TRANSPORT:NEXTHOP"],
      [["pause", "--all"], "unknown option --all; see: postern queue help"],
    ] as const) {
      const { code, stderr } = await queue(...words);
      assert.deepEqual([code, stderr], [64, `postern: queue: ${text}\n`]);
    }
    const path = join(server.directory, "spool/public/control");
    await assert.rejects(askControl(path, { op: "lanes", args: { op: "pause", lane: "a b" } }), /is not TRANSPORT/);
  });

  test("a damaged list of paused destinations is no list of none", async () => {
    await server.stop();
    const path = join(server.directory, "spool/paused");
    const good = readFileSync(path);
    writeFileSync(path, "{");
    await assert.rejects(
      server.start(),
      /start-fg ended with 78: .*Cannot read ".*\/paused", which names paused dest.*remove it/,
    );
    writeFileSync(path, good);
    await server.start();
  });
});
