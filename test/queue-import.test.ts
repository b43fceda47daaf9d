/** test/queue-import.test.ts: `postern queue import`: nothing is lost, changed or imported twice. With the real postcat:
 *  test/interop/queue-import.interop.ts. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { readableCheckout } from "./testbed/checkout.ts";
import { eventually } from "./testbed/eventually.ts";
import { FakePostfixQueue } from "./testbed/postfix-queue.ts";
import { freePort, TestServer } from "./testbed/server.ts";

let server: TestServer;
let postfix: FakePostfixQueue;
beforeEach(async () => {
  postfix = new FakePostfixQueue();
  server = new TestServer({
    mainCf: `compatibility_level = 3.10\nrelayhost = [127.0.0.1]:${await freePort()}\nmydestination =\nmynetworks =`,
    masterCf: `${await freePort()} inet n - n - - smtpd\n`,
  });
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  postfix.remove();
});

const args = (...more: readonly string[]) => ["queue", "import", postfix.queue, "--postcat", postfix.postcat, ...more];
const list = async () =>
  (await server.run(["postqueue", "-j"])).stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { queue_id: string; queue_name: string; recipients: { address: string }[] });
/** As latin1. */
const content = async (id: string) => (await server.run(["postcat", "-bh", "-q", id])).stdout;

test("messages of all queues come over, byte by byte; a dry run changes nothing", { timeout: 60_000 }, async () => {
  const binary = Buffer.concat([
    Buffer.from("Subject: bin\n\n"),
    Buffer.from([0, 0xff, 13, 65, 10, 10]),
    Buffer.alloc(200_000, "x"),
  ]);
  postfix.add("A000001", { content: binary });
  postfix.add("A000002", {
    queue: "hold",
    records: ["done_recipient: a@x.test", "recipient: b@x.test", "recipient: c@x.test"],
  });
  postfix.add("A000003", { queue: "incoming", content: "no header, and no line end" });
  postfix.add("A000004", { queue: "active", records: ["done_recipient: a@x.test"] });
  postfix.add("A000005");
  chmodSync(join(postfix.queue, "deferred/A/A000005"), 0o600); // still being written
  writeFileSync(join(postfix.queue, "maildrop/x"), "");
  const dry = await server.run(args("--dry-run"));
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /^A000001: would be imported \(deferred, from <al@x\.test>, recipients: 1\)$/m);
  assert.equal(existsSync(join(server.directory, "spool/queue")), false);

  const { code, stdout } = await server.run(args());
  assert.equal(code, 0);
  assert.match(stdout, /^Imported: 3\. Imported before: 0\. Nothing left to deliver: 1\. Not possible: 0\.$/m);
  assert.match(stdout, /maildrop, not looked at: 1 files/);
  const idOf = (id: string) => new RegExp(`^${id}: imported as (\\w+) `, "m").exec(stdout)?.[1] ?? "";
  const queued = await list();
  const held = queued.find(({ queue_id }) => queue_id === idOf("A000002"));
  assert.deepEqual(
    [held?.queue_name, held?.recipients.map(({ address }) => address)],
    ["hold", ["b@x.test", "c@x.test"]],
  );
  assert.equal(queued.length, 3);
  assert.ok((await content(idOf("A000001"))) === `${binary.toString("latin1")}\n`, "the bytes differ");
  assert.match(await content(idOf("A000003")), /^\s+no header, and no line end\n$/);
  if (process.getuid?.() === 0) assert.equal(statSync(join(server.directory, "spool/queue/imported")).uid, 65_534);
  // The server takes it from there: what is due is tried, what is held is not.
  await server.start();
  await server.logged(new RegExp(`${idOf("A000001")}: to=<bob@x\\.test>.*status=deferred`));
});

test("a second run imports what is new, and nothing again, not even what has been deleted", {
  timeout: 60_000,
}, async () => {
  postfix.add("B000001");
  await server.run(args());
  await server.run(["postsuper", "-d", "ALL"]);
  postfix.add("B000002");
  const { stdout } = await server.run(args("--json"));
  const fates = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  assert.deepEqual(fates.map(({ postfix_id, fate }) => [postfix_id, fate]).sort(), [
    ["B000001", "known"],
    ["B000002", "imported"],
  ]);
  assert.equal((await list()).length, 1);
});

test("what cannot be read is named and left, and the rest comes over: exit 1", { timeout: 60_000 }, async () => {
  postfix.add("C000001", { records: ["from_the_future: 1", "recipient: b@x.test"] });
  postfix.add("C000002");
  postfix.add("C000003", { content: `X: ${"y".repeat(1_300_000)}\n\n` });
  rmSync(join(postfix.directory, "printed/C000002-bh"));
  postfix.add("C000004");
  const { code, stdout } = await server.run(args());
  assert.equal(code, 1);
  assert.match(stdout, /^C000001: NOT imported \(deferred\): record "from_the_future" is not known$/m);
  assert.match(stdout, /^C000002: NOT imported \(.*\): cat: .*C000002-bh/m);
  assert.match(stdout, /^C000003: NOT imported \(.*\): the header is too long$/m);
  assert.equal((await list()).length, 1);
  // Mended, it comes at the next run.
  postfix.add("C000002");
  assert.match((await server.run(args())).stdout, /^C000002: imported as /m);
});

test("killed between commit and note: the queue knows; if it has gone meanwhile, nobody guesses", {
  timeout: 60_000,
}, async () => {
  postfix.add("F000001");
  await server.run(args());
  const journal = join(server.directory, "spool/queue/imported");
  const begun = readFileSync(journal, "latin1").replace(/^done .*\n/m, "");
  writeFileSync(journal, begun);
  assert.match((await server.run(args())).stdout, /^F000001: was imported before /m);
  assert.equal((await list()).length, 1);
  await server.run(["postsuper", "-d", "ALL"]);
  writeFileSync(journal, begun);
  const { code, stdout } = await server.run(args());
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^F000001: NOT imported \(.*\): it may have been imported before, as \w+: look for that id in the log; /m,
  );
});

test("killed at any moment and run again: everything once", { timeout: 120_000 }, async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `D${String(i).padStart(6, "0")}`);
  for (const id of ids) postfix.add(id, { records: [`recipient: ${id}@x.test`] });
  const journal = join(server.directory, "spool/queue/imported");
  const lines = () => (existsSync(journal) ? readFileSync(journal, "latin1").split("\n").length - 1 : 0);
  for (let round = 0; round < 3; round++) {
    const before = lines();
    const launcher = join(readableCheckout(), "bin/postern.js");
    const child = spawn(process.execPath, [launcher, "-c", server.directory, ...args()], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    // Behind "begin", behind "done", and so on.
    await eventually(async () => assert.ok(lines() > before + round || child.exitCode !== null));
    child.kill("SIGKILL");
    await ended;
  }
  const { code, stdout } = await server.run(args());
  assert.equal(code, 0, stdout);
  const recipients = (await list()).flatMap((entry) => entry.recipients.map(({ address }) => address));
  assert.deepEqual(
    recipients.sort(),
    ids.map((id) => `${id}@x.test`),
  );
});

test("not while our server runs", { timeout: 60_000 }, async () => {
  postfix.add("E000001");
  await server.start();
  const { code, stderr } = await server.run(args());
  assert.equal(code, 1);
  assert.match(stderr, /shard-00" is in use by another process: the server is running/);
});

const refused = [
  { why: "no directory", args: ["queue", "import"], code: 64, said: /name one queue directory of Postfix/ },
  { why: "an unknown option", args: ["queue", "import", "/x", "--force"], code: 64, said: /unknown option --force/ },
  { why: "another directory", args: ["queue", "import", "/proc"], code: 1, said: /is no queue directory of Postfix/ },
];
for (const row of refused) {
  test(`refused: ${row.why}`, async () => {
    const { code, stderr } = await server.run(row.args);
    assert.equal(code, row.code);
    assert.match(stderr, row.said);
  });
}
