/** test/lanes.test.ts: limits that hold over all workers: two real workers, a next hop that counts. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./testbed/conversation.ts";
import { CountingSink } from "./testbed/counting-sink.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const DELAY_MS = 20;
const MESSAGES = 24;

describe("two workers", { concurrency: false, timeout: 90_000 }, () => {
  let sink: CountingSink;
  let server: TestServer;
  let port: number;
  let capped: number;

  before(async () => {
    sink = await CountingSink.start(DELAY_MS);
    [port, capped] = [await freePort(), await freePort()];
    const route = (name: string) => `{${name}.test=${name}:[127.0.0.1]:${sink.port}}`;
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
mynetworks = 127.0.0.0/8
transport_maps = inline:{${["alone", "two", "slow", "many"].map(route).join(", ")}}
two_destination_concurrency_limit = 2
slow_destination_rate_delay = 1s
postern_workers = 2`,
      masterCf: `${port} inet n - n - - smtpd
${capped} inet n - n - 3 smtpd
alone unix - - n - 1 smtp
two unix - - n - - smtp
slow unix - - n - - smtp
many unix - - n - - smtp
`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.[Symbol.asyncDispose]();
  });
  afterEach(() => sink.reset());

  /** Sends over as many connections as there are messages, at the same time, so that both workers get some. */
  async function send(domain: string, count: number): Promise<void> {
    const one = async (n: number) => {
      const client = await Conversation.open(port);
      await client.say("EHLO client.example");
      const to = `u${n}@${domain}`;
      const reply = await client.send({ from: "me@example.org", to, content: `Subject: ${n}\r\n\r\nx` });
      assert.match(reply, /^250 /);
      client.close();
    };
    await Promise.all(Array.from({ length: count }, (_, n) => one(n)));
  }

  /** Sends until each worker has had mail: who accepts a connection is up to the kernel. Resolves to the number sent. */
  async function sendToBoth(domain: string): Promise<number> {
    const from = server.log().length;
    for (let sent = MESSAGES; sent <= 10 * MESSAGES; sent += MESSAGES) {
      await send(domain, MESSAGES);
      const lines = server.log().slice(from);
      const workers = new Set(Array.from(lines.matchAll(/qmgr\[(\d+)\]: .*queue active/g), ([, pid]) => pid));
      if (workers.size > 1) return sent;
    }
    throw new Error("One worker took everything");
  }

  test("maxproc 1 of a transport: never more than one delivery in all", async () => {
    await sink.took(await sendToBoth("alone.test"));
    assert.equal(sink.mostBusy, 1);
  });

  test("a concurrency limit below twice the workers is exact", async () => {
    await sink.took(await sendToBoth("two.test"));
    assert.equal(sink.mostBusy, 2);
  });

  test("a limit that is large enough is divided: more than one worker's start is used", async () => {
    await sink.took(await sendToBoth("many.test"));
    assert.ok(sink.mostBusy > 2 && sink.mostBusy <= 20, `${sink.mostBusy}`);
  });

  test("a rate delay holds between any two deliveries, also after a worker was killed", async () => {
    await send("slow.test", 4);
    await sink.took(2);
    const [victim] = await server.workerPids();
    process.kill(victim ?? 0, "SIGKILL");
    await sink.took(4, 30_000);
    const gaps = sink.began.slice(1).map((at, i) => at - (sink.began[i] ?? 0));
    assert.equal(sink.mostBusy, 1);
    assert.ok(
      gaps.every((gap) => gap >= 950),
      gaps.map(Math.round).join(" "),
    );
  });

  test("a reload changes what holds", async () => {
    server.append("main.cf", "many_destination_concurrency_limit = 1\n");
    assert.equal((await server.run(["reload"])).code, 0);
    await sink.took(await sendToBoth("many.test"));
    assert.equal(sink.mostBusy, 1);
  });

  test("maxproc of an inet service: more connections wait for the end of a session, whichever worker has it", async () => {
    const greeted: Conversation[] = [];
    const opening = Array.from({ length: 12 }, () =>
      Conversation.open(capped).then((client) => {
        greeted.push(client);
      }),
    );
    for (let done = 0; done < 12; done += 3) {
      for (const end = Date.now() + 5000; greeted.length < 3 && Date.now() < end; ) await sleep(10);
      await sleep(100);
      assert.equal(greeted.length, 3, `after ${done} sessions`);
      for (const client of greeted.splice(0)) assert.match(await client.say("QUIT"), /^221 /);
    }
    await Promise.all(opening);
  });
});
