/** The duplicate guard over two workers, kills and restarts: a message whose reply nobody read is queued once (RFC 1047, SUB-29), and who may send as
 *  whom by DATA and by BDAT. One server. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type DemoSink, startDemoSink } from "../src/net/demo-sink.ts";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { LOGIN, PASSWORD, type Site, startSite } from "./testbed/submission-site.ts";

const CLIENTS = 12;

/** A next hop that says nothing: deliveries to it are under way until it is closed. */
async function startSilentHop() {
  const clients: net.Socket[] = [];
  const server = net.createServer((socket) => clients.push(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const client of clients) client.destroy();
    });
  return { port: (server.address() as net.AddressInfo).port, clients, close };
}

describe("mail that is sent again", () => {
  let site: Site;
  let sink: DemoSink;
  let silent: Awaited<ReturnType<typeof startSilentHop>>;
  let answering: DemoSink | undefined;
  const taken: string[] = [];

  before(async () => {
    sink = await startDemoSink(0, (content) => taken.push(content));
    silent = await startSilentHop();
    site = await startSite({
      relayhost: `[127.0.0.1]:${sink.port}`,
      mainCf: `postern_workers = 2
postern_duplicate_guard = suppress
postern_header_from_login_mismatch = reject
smtpd_sender_login_maps = inline:{${LOGIN}=${LOGIN}}
transport_maps = inline:{{later@x.test = smtp:[127.0.0.1]:1}, {slow@x.test = smtp:[127.0.0.1]:${silent.port}}}
`,
    });
  });

  after(async () => {
    await site?.stop();
    await sink?.close();
    await (answering ?? silent)?.close();
  });

  async function logIn(): Promise<Conversation> {
    const client = await Conversation.open(site.submissions, { tls: true });
    await client.say("EHLO laptop");
    assert.match(await client.authPlain(LOGIN, PASSWORD), /^235 /);
    return client;
  }

  const contentOf = (subject: string, from = LOGIN) => `From: ${from}\r\nSubject: ${subject}\r\n\r\nbody`;

  /** The id it is queued under. Nothing is said after the reply. */
  async function send(subject: string, how: { to?: string; quit?: boolean } = {}): Promise<string> {
    const client = await logIn();
    const reply = await client.send({ from: LOGIN, to: how.to ?? "b@x.test", content: contentOf(subject) });
    if (how.quit) await client.say("QUIT");
    client.close();
    return /^250 2\.0\.0 Ok: queued as (\w+)$/.exec(reply)?.[1] ?? assert.fail(reply);
  }

  const copies = (subject: string) => taken.filter((content) => content.includes(`Subject: ${subject}\r\n`)).length;

  test("a reply that was not read: the first id again, and one delivery", async () => {
    const first = await send("lost");
    await eventually(async () => assert.equal(copies("lost"), 1));
    assert.equal(await send("lost"), first);
    assert.equal(await send("lost"), first, "and again");
    await site.server.logged(
      new RegExp(
        `: discard: END-OF-MESSAGE from .*: same message as ${first}, whose reply was not read: postern_duplicate_guard; ` +
          "from=<alice@example.org> to=<b@x.test> proto=ESMTP helo=<laptop> sasl_method=PLAIN sasl_username=alice@example.org",
      ),
    );
    assert.notEqual(await send("another"), first);
    await eventually(async () => assert.equal(copies("another"), 1));
    assert.equal(copies("lost"), 1);
  });

  test("a reply that was read: sent again, it is another message", async () => {
    const first = await send("read", { quit: true });
    assert.notEqual(await send("read", { quit: true }), first);
    await eventually(async () => assert.equal(copies("read"), 2));
  });

  test("SUB-29: by BDAT as by DATA", async () => {
    const content = `${contentOf("chunks")}\r\n`;
    const bdat = async () => {
      const client = await logIn();
      await client.say(`MAIL FROM:<${LOGIN}>`);
      await client.say("RCPT TO:<b@x.test>");
      client.write(`BDAT ${content.length} LAST\r\n${content}`);
      const reply = await client.reply();
      client.close();
      return reply;
    };
    const first = await bdat();
    assert.match(first, /^250 2\.0\.0 Ok: \d+ bytes queued as \w+$/);
    assert.equal(await bdat(), first);
    assert.equal(await send("chunks"), first.split(" ").at(-1));
  });

  test("SUB-24, SUB-29: From of somebody else is refused by DATA and by BDAT, and claims nothing", async () => {
    const want = `550 5.7.1 <ceo@example.org>: Sender address rejected: not owned by user ${LOGIN}`;
    const client = await logIn();
    const content = contentOf("forged", "ceo@example.org");
    assert.equal(await client.send({ from: LOGIN, to: "b@x.test", content }), want);
    assert.equal(await client.send({ from: LOGIN, to: "b@x.test", content }), want);
    await client.say(`MAIL FROM:<${LOGIN}>`);
    await client.say("RCPT TO:<b@x.test>");
    client.write(`BDAT ${content.length} LAST\r\n${content}`);
    assert.equal(await client.reply(), want);
    client.close();
  });

  test("the master killed, the queue alone knows what was being queued: there, there and delivered at once, not there", async () => {
    const delivered = await send("delivered");
    await eventually(async () => assert.equal(copies("delivered"), 1));
    const waiting = await send("waiting", { to: "later@x.test" });
    const underWay = await send("under way", { to: "slow@x.test" });
    await eventually(async () => assert.equal(silent.clients.length, 1));
    const never = await send("never");
    await eventually(async () => assert.equal(copies("never"), 1));
    await site.server.logged(new RegExp(`${never}: removed`));
    const workers = await site.server.workerPids();
    site.server.kill("SIGKILL");
    // Left alone they would first give back what is under way.
    for (const pid of workers) process.kill(pid, "SIGKILL");
    await site.server.ended();
    // As if it had been killed between the commit and the notice of it, and before the commit.
    const journal = join(site.server.directory, "spool/duplicates");
    const isPending = (line: string) => [waiting, underWay, never].some((id) => line.includes(` ${id} `));
    const pending = (line: string) => (isPending(line) ? "?" : "+");
    const lines = readFileSync(journal, "latin1").replace(/^\+.*$/gm, (line) => pending(line) + line.slice(1));
    writeFileSync(journal, lines);
    await silent.close();
    answering = await startDemoSink(silent.port, (content) => taken.push(content));
    await site.server.start();
    await eventually(async () => assert.equal(copies("under way"), 1));
    assert.equal(await send("under way", { to: "slow@x.test" }), underWay);
    assert.equal(await send("delivered"), delivered);
    assert.equal(await send("waiting", { to: "later@x.test" }), waiting);
    assert.notEqual(await send("never"), never);
  });

  test("workers killed while clients send: each message is queued under one id, however often it is sent", async () => {
    const ids = new Map<string, Set<string>>();
    const persist = async (subject: string): Promise<void> => {
      for (const end = Date.now() + 30_000; Date.now() < end; ) {
        const id = await send(subject).catch(() => undefined);
        if (id === undefined) continue;
        ids.set(subject, (ids.get(subject) ?? new Set()).add(id));
        return;
      }
    };
    const subjects = Array.from({ length: CLIENTS }, (_, i) => `storm${i}`);
    const batch = subjects.map(persist);
    await Promise.race(batch);
    for (const pid of await site.server.workerPids()) process.kill(pid, "SIGKILL");
    await Promise.all(batch);
    await Promise.all(subjects.map(persist));
    for (const subject of subjects) assert.equal(ids.get(subject)?.size, 1, subject);
    await eventually(async () => assert.ok(subjects.every((subject) => copies(subject) > 0)));
    for (const subject of subjects) {
      const arrived = taken.filter((content) => content.includes(`Subject: ${subject}\r\n`));
      const received = new Set(arrived.map((content) => / id (\w+)\r\n/.exec(content)?.[1]));
      assert.deepEqual(received, ids.get(subject), subject);
    }
  });

  test("postern_duplicate_guard = mark: queued, and said in header and log", async () => {
    site.server.append("main.cf", "postern_duplicate_guard = mark\n");
    assert.equal((await site.server.run(["reload"])).code, 0);
    const first = await send("marked");
    assert.notEqual(await send("marked"), first);
    await eventually(async () => assert.equal(copies("marked"), 2));
    assert.equal(taken.filter((content) => content.includes(`\r\nX-Postern-Duplicate-Of: ${first}\r\n`)).length, 1);
    await site.server.logged(new RegExp(`: warning: END-OF-MESSAGE from .*: same message as ${first}, whose reply`));
  });
});
