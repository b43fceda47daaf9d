/** test/user-rights.test.ts: what users of the machine may do with a running server: list and flush as the lists of users say,
 *  operate it only as members of the operators' group. As root it is another user; else it is who runs the test, who may all. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readableCheckout } from "./testbed/checkout.ts";
import { OTHER, OTHER_UID } from "./testbed/other-user.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("rights of users", { concurrency: false, timeout: 120_000 }, () => {
  let server: TestServer;
  let id: string;

  before(async () => {
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${await freePort()}
mydestination =
mynetworks =
fast_flush_domains = x.test`,
      masterCf: `${await freePort()} inet n - n - - smtpd\n`,
    });
    await server.start();
    assert.equal((await as("sendmail", ["-f", "al@x.test", "b@x.test"])).code, 0);
    id = (await server.logged(/(\w+): to=<b@x\.test>.* status=deferred/)).split(":")[0] ?? "";
  });
  after(() => server?.[Symbol.asyncDispose]());

  const as = (command: string, args: readonly string[], uid = OTHER_UID) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const launcher = join(readableCheckout(), "bin/postern.js");
      const child = spawn(process.execPath, [launcher, "-c", server.directory, command, ...args], { uid, gid: uid });
      const said = { out: "", err: "" };
      child.stdout.on("data", (chunk) => (said.out += chunk));
      child.stderr.on("data", (chunk) => (said.err += chunk));
      child.stdin.end("Subject: x\n\nbody\n");
      child.on("close", (code) => resolve({ code: code ?? -1, ...said }));
    });
  const reload = async (mainCf: string) => {
    server.append("main.cf", mainCf);
    assert.equal((await server.run(["reload"])).code, 0);
  };
  /** For somebody else 77 and the text; who started the server may do all. */
  const denied = async (command: string, args: readonly string[], text: RegExp) => {
    if (OTHER_UID === undefined) return; // it would be done
    const { code, err } = await as(command, args);
    assert.equal(code, 77, err);
    assert.match(err, text);
  };

  test("everybody lists and flushes by default", async () => {
    const { code, out } = await as("mailq", []);
    assert.deepEqual([code, out.includes(id)], [0, true], out);
    assert.match((await as("postqueue", ["-j"])).out, new RegExp(`"queue_id": "${id}"`));
    for (const args of [["-f"], ["-i", id], ["-s", "x.test"]]) assert.equal((await as("postqueue", args)).code, 0);
    assert.deepEqual((await as("sendmail", ["-bp"])).code, 0);
  });

  test("operations are not for everybody: 77", async () => {
    const text = /it is for root, for who started the server, and for postern_operators_group\n$/;
    await denied("postsuper", ["-d", id], text);
    await denied("queue", ["hold", id], text);
    await denied("postcat", ["-q", id], text);
    await denied("status", [], text);
    await denied("stop", [], text);
    assert.match((await server.run(["mailq"])).stdout, new RegExp(id));
  });

  test("authorized_mailq_users, authorized_flush_users: Postfix's words and exit code", async () => {
    await reload(`authorized_mailq_users = !${OTHER.name}, static:anyone\nauthorized_flush_users =\n`);
    const user = `User ${OTHER.name}\\(${OTHER.uid}\\) is not allowed to`;
    await denied("mailq", [], new RegExp(`${user} view the mail queue\n$`));
    await denied("postqueue", ["-f"], new RegExp(`${user} flush the mail queue\n$`));
    await denied("postqueue", ["-i", id], new RegExp(`${user} flush the mail queue\n$`));
    for (const args of [["-p"], ["-f"]]) assert.equal((await server.run(["postqueue", ...args])).code, 0);
    assert.deepEqual(readdirSync(join(server.directory, "spool/maildrop")), []);
    await reload(`authorized_mailq_users = ${OTHER.name}\n`);
    assert.match((await as("mailq", [])).out, new RegExp(id));
  });

  test("where the list cannot be asked, nobody is let in: 1, with the reason", async () => {
    await reload("authorized_mailq_users = fail:broken\n");
    const { code, out } = await as("mailq", []);
    if (OTHER_UID !== undefined) assert.deepEqual([code, out], [1, ""]);
  });

  test("members of postern_operators_group operate it", async () => {
    await server.stop();
    server.append("main.cf", "authorized_mailq_users = static:anyone\n");
    // Who runs the test may be of a group without name.
    if (OTHER.group !== "unknown") server.append("main.cf", `postern_operators_group = ${OTHER.group}\n`);
    await server.start();
    assert.equal((await as("queue", ["hold", id])).code, 0);
    assert.match((await as("mailq", [])).out, new RegExp(`${id}!`));
    assert.equal((await as("status", [])).code, 0);
  });

  test("a stopped server: 69 for who cannot read the queue", async () => {
    await server.stop();
    const { code, err } = await as("mailq", []);
    if (OTHER_UID === undefined) return;
    assert.equal(code, 69);
    assert.match(err, /Queue report unavailable - mail system is down\n$/);
    assert.equal((await as("postqueue", ["-f"])).code, 69);
  });

  test("a group that does not exist stops the start, with what to do", async () => {
    server.append("main.cf", "postern_operators_group = no-such-group\n");
    const { code, stderr } = await server.run(["start-fg"]);
    assert.equal(code, 78);
    assert.match(
      stderr,
      /postern_operators_group = no-such-group: no such group; create it: groupadd --system no-such-group\n/,
    );
  });
});
