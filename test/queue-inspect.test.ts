/** test/queue-inspect.test.ts: a shard is damaged on disk: the server goes on with a new one, and an operator gets back what
 *  can be read, once, with the server up and down. */
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const PAGE = 8192;

describe("a damaged shard", { concurrency: false, timeout: 240_000 }, () => {
  const taken: string[] = [];
  let server: TestServer;
  let sink: NextHop | undefined;
  let port: number;
  let sinkPort: number;

  before(async () => {
    [port, sinkPort] = [await freePort(), await freePort()];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sinkPort}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
postern_workers = 1`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.close();
  });

  const send = async (subject: string) => {
    const client = await Conversation.open(port);
    await client.say("EHLO client.example");
    const content = `Subject: ${subject}\r\n\r\nbody`;
    const reply = await client.send({ from: "alice@example.org", to: "bob@elsewhere.test", content });
    client.close();
    const id = /queued as ([0-9A-F]+)$/.exec(reply)?.[1];
    await server.logged(new RegExp(`${id}: .*status=deferred`));
    return id;
  };
  const copies = (subject: string) => taken.filter((content) => content.includes(`Subject: ${subject}\r\n`)).length;
  const inspect = (...words: string[]) => server.run(["queue", "inspect", ...words]);
  /** Overwrites pages of the shard while no server has it, then starts one that finds it so. */
  const damage = async (first: number, pages: number) => {
    await server.stop();
    const fd = openSync(join(server.directory, "spool/queue/shard-00/queue.sqlite"), "r+");
    writeSync(fd, Buffer.alloc(pages * PAGE), 0, pages * PAGE, first * PAGE);
    closeSync(fd);
    await server.start();
    const moved = readdirSync(join(server.directory, "spool/queue/corrupt")).sort().at(-1) ?? "";
    await server.logged(new RegExp(`queue shard ".*shard-00" is corrupt .*: moved to ".*/${moved}"`));
    return moved;
  };

  test("there is none at first", async () => assert.equal((await inspect()).stdout, "No shard was moved aside.\n"));

  test("without one of its pages: everything else is read, queued again, and sent once", async () => {
    for (let n = 0; n < 5; n++) await send(`page${n}`);
    const name = await damage(1, 1);
    await send("new");
    assert.match((await inspect()).stdout, new RegExp(`^${name}  20.* MiB\n$`));
    const told = await inspect(name);
    assert.match(
      told.stdout,
      new RegExp(`^${name}: \\d messages with \\d recipients can be read\npages +\\d+, damaged \\d\n`),
    );
    assert.match(told.stdout, /\nTo put them back into the queue: postern queue inspect .* --recover\n$/);
    const json = JSON.parse((await inspect(name, "--json")).stdout) as {
      messages: number;
      content_lost: { count: number };
    };
    const recovered = await inspect(name, "--recover");
    assert.match(
      recovered.stdout,
      new RegExp(`\n${json.messages} messages are in the queue again\\.\n$`),
      recovered.stderr,
    );
    assert.equal(recovered.code, 1, "something was damaged");
    const again = await inspect(name, "--recover");
    assert.match(
      again.stderr,
      /^postern: queue: ".*" was recovered already, as shard-01; to do it again would send mail twice\n$/,
    );
    sink = await startNextHop({ port: sinkPort, taken: (content) => taken.push(content) });
    await server.run(["flush"]);
    await eventually(async () => assert.equal(taken.length, json.messages + 1));
    for (let n = 0; n < 5; n++) assert.equal(copies(`page${n}`), 1);
    await eventually(async () =>
      assert.deepEqual(readdirSync(join(server.directory, "spool/queue")).sort(), ["corrupt", "shard-00"]),
    );
    await sink.close();
  });

  test("without its first page, with the server down: recovered on hold, released, sent", async () => {
    for (let n = 0; n < 3; n++) await send(`header${n}`);
    const name = await damage(0, 1);
    await server.stop();
    const recovered = await inspect(name, "--recover");
    assert.match(
      recovered.stdout,
      /\nThe list of free pages is lost: [\s\S]*\n\d+ messages are in the queue again, on hold\.\n$/,
    );
    await server.start();
    const held = await server.run(["postqueue", "-j"]);
    for (let n = 0; n < 3; n++) assert.equal(copies(`header${n}`), 0);
    assert.ok(held.stdout.split("\n").filter((line) => line.includes('"queue_name": "hold"')).length >= 3);
    sink = await startNextHop({ port: sinkPort, taken: (content) => taken.push(content) });
    assert.equal((await server.run(["queue", "release", "ALL", "--yes"])).code, 0);
    for (let n = 0; n < 3; n++) await eventually(async () => assert.equal(copies(`header${n}`), 1));
  });

  test("a worker that dies after its adopted shard has drained starts again", async () => {
    await eventually(async () => assert.ok(!readdirSync(join(server.directory, "spool/queue")).includes("shard-01")));
    const [victim] = await server.workerPids();
    process.kill(victim ?? 0, "SIGKILL");
    await server.logged(new RegExp(`worker pid ${victim} killed`));
    await eventually(async () => assert.notEqual((await server.workerPids())[0] ?? victim, victim));
  });

  test("what is no damaged shard is refused", async () => {
    for (const [words, code, text] of [
      [["shard-07"], 1, `".*/corrupt/shard-07" is no shard's directory`],
      [["--recover"], 64, "inspect --recover: name the shard; postern queue inspect lists them"],
      [["--what"], 64, "unknown option --what; see: postern queue help"],
    ] as const) {
      const result = await inspect(...words);
      assert.equal(result.code, code);
      assert.match(result.stderr, new RegExp(`^postern: queue: ${text}\n$`));
    }
  });
});
