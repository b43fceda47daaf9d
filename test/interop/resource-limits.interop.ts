/** test/interop/resource-limits.interop.ts: files of a running worker may not grow, or it may open no more of them: mail is
 *  refused for now, what was accepted stays, and the service returns by itself. Needs prlimit(1). */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { type NextHop, startNextHop } from "../testbed/next-hop.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const LARGE = `${"x".repeat(70)}\r\n`.repeat(4000);

describe("limits of a worker", { concurrency: false, timeout: 120_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let sink: NextHop;
  let port: number;
  let worker: number;
  let accepted = 0;

  before(async () => {
    port = await freePort();
    sink = await startNextHop({ port: 0, taken: (content) => taken.push(content) });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sink.port}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.start();
    [worker = 0] = await server.workerPids();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.close();
  });

  /** Soft limits, which the worker's own account may set: root may lack the capability. */
  const limit = (option: string) => {
    const { uid, gid } = statSync(`/proc/${worker}/task`);
    execFileSync("prlimit", ["--pid", String(worker), option], uid === process.getuid?.() ? {} : { uid, gid });
  };
  /** The reply that ends the message. */
  const send = async (client: Conversation, body: string) => {
    const reply = await client.send({
      from: "alice@example.org",
      to: "bob@elsewhere.test",
      content: `Subject: x\r\n\r\n${body}`,
    });
    if (reply.startsWith("250")) accepted++;
    return reply;
  };
  const open = async () => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    return client;
  };
  const returns = async () => {
    for (const body of ["small", LARGE]) {
      await eventually(async () => assert.match(await send(await open(), body), /^250 2\.0\.0 Ok: queued as /));
    }
    await eventually(async () => assert.equal(taken.length, accepted));
    assert.deepEqual(await server.workerPids(), [worker], "the same worker");
  };

  test("at first all is well", returns);

  for (const { why, body, reply } of [
    { why: "the database", body: "small", reply: /^45[12] 4\.3\.[01] / },
    { why: "a body file", body: LARGE, reply: /^45[12] 4\.3\.[01] / },
  ]) {
    test(`files that cannot grow: ${why}`, async () => {
      limit("--fsize=1024:");
      const client = await open();
      for (let n = 0; n < 3; n++) assert.match(await send(client, body), reply);
      limit("--fsize=unlimited:");
      await returns();
      assert.match(server.log(), /postfix\/queue\[\d+\]: (?:error: )?queue shard 0 in ".*" failed: /);
    });
  }

  test("no more files can be opened", async () => {
    const clients = [await open(), await open()];
    const used = new Set(readdirSync(`/proc/${worker}/fd`).map(Number));
    let lowestFree = 0;
    while (used.has(lowestFree)) lowestFree++;
    limit(`--nofile=${lowestFree}:`);
    for (const client of clients) assert.match(await send(client, LARGE), /^451 4\.3\.0 /);
    limit("--nofile=1024:");
    await returns();
  });
});
