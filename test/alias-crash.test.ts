/** test/alias-crash.test.ts: workers are killed while they expand aliases. What was accepted reaches everybody behind the alias, and no
 *  message is expanded twice: what it is forwarded as has one queue id, however often it is tried. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const KILLS = 4;
/** Sent before the first kill, between two, and after the last. */
const BATCH = 25;
/** Larger than what the database holds itself: half of the messages lie in files. */
const LARGE = "z".repeat(70).concat("\r\n").repeat(1200);

describe("aliases and crashes", { concurrency: false, timeout: 90_000 }, () => {
  const taken: string[] = [];
  let hop: NextHop;
  let server: TestServer;
  let port: number;

  before(async () => {
    hop = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
myorigin = example.org
relayhost = [127.0.0.1]:${hop.port}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    server.write("aliases", "all: some, y@far.test\nsome: x@far.test, z@far.test\n");
    server.append(
      "main.cf",
      `alias_maps = texthash:${join(server.directory, "aliases")}\nlocal_recipient_maps = $alias_maps\n`,
    );
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await hop?.close();
  });

  /** The subject of a message that was accepted; undefined if the server died of it, or was not there. */
  async function send(subject: string, body: string): Promise<string | undefined> {
    try {
      const client = await Conversation.open(port);
      await client.say("EHLO client.example");
      const content = `Subject: ${subject}\r\n\r\n${body}`;
      const reply = await client.send({ from: "s@from.test", to: "all@example.org", content });
      client.close();
      return reply.startsWith("250 ") ? subject : undefined;
    } catch {
      return undefined;
    }
  }

  test("nothing is lost, nothing is expanded twice", async () => {
    const accepted: string[] = [];
    for (let round = 0; round <= KILLS; round++) {
      const batch = Array.from({ length: BATCH }, (_, i) => send(`message ${round}.${i}.`, i % 2 === 0 ? LARGE : "x"));
      if (round < KILLS) {
        // As soon as one of the batch is through: most others are under way.
        await Promise.race(batch);
        for (const pid of await server.workerPids()) process.kill(pid, "SIGKILL");
      }
      for (const subject of await Promise.all(batch)) if (subject !== undefined) accepted.push(subject);
      await eventually(async () => assert.equal((await server.workerPids()).length, 1));
    }
    assert.ok(accepted.length > BATCH, `${accepted.length} were accepted`);
    // Whoever was being expanded at three of the kills is held, as any message that workers seem to die of (queue/recovery.ts).
    await server.run(["postsuper", "-H", "ALL"]);
    await eventually(async () => {
      for (const subject of accepted)
        assert.ok(
          taken.some((content) => content.includes(`Subject: ${subject}`)),
          subject,
        );
      assert.match((await server.run(["mailq"])).stdout, /Mail queue is empty/);
    }, 40_000);
    for (const subject of accepted) {
      const copies = taken.filter((content) => content.includes(`Subject: ${subject}`));
      const ids = new Set(copies.map((content) => /\tid (\w+); .*\r\nDelivered-To: all@/.exec(content)?.[1]));
      assert.equal(ids.size, 1, `${subject} was expanded into ${[...ids].join(" ")}`);
    }
    assert.equal((server.log().match(/killed by signal SIGKILL/g) ?? []).length, KILLS);
  });
});
