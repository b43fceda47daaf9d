/** test/instances.test.ts: several servers on one machine, each with its own configuration and queue; they relay to one another,
 *  and none takes what is another's. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually } from "./testbed/eventually.ts";
import { startToEnd } from "./testbed/foreground.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("instances", { concurrency: false, timeout: 120_000 }, () => {
  let one: TestServer;
  let two: TestServer;

  /** One that delivers `domain` itself, and gives all else to the other. */
  const instance = (name: string, domain: string, { port, other }: { port: number; other: number }) => {
    const server = new TestServer({
      mainCf: `compatibility_level = 3.10
multi_instance_name = ${name}
multi_instance_enable = yes
relayhost = [127.0.0.1]:${other}
mydestination = ${domain}
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject`,
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    const maildirs = join(server.directory, "mail");
    mkdirSync(maildirs);
    chmodSync(maildirs, 0o777);
    server.append("main.cf", `postern_local_maildir = ${maildirs}/$user/\n`);
    return server;
  };
  before(async () => {
    const [a, b] = [await freePort(), await freePort()];
    one = instance("postern-one", "one.test", { port: a, other: b });
    two = instance("postern-two", "two.test", { port: b, other: a });
    await Promise.all([one.start(), two.start()]);
  });
  after(async () => {
    await one?.[Symbol.asyncDispose]();
    await two?.[Symbol.asyncDispose]();
  });

  const mailOf = (server: TestServer, user: string) => {
    const directory = join(server.directory, "mail", user, "new");
    return readdirSync(directory).map((name) => readFileSync(join(directory, name), "latin1"));
  };

  test("each relays to the other, and logs under its own name", async () => {
    const send = (server: TestServer, to: string) =>
      server.run(["sendmail", "-f", "al@example.net", to], `Subject: for ${to}\n\nbody\n`);
    assert.equal((await send(one, "ann@two.test")).code, 0);
    assert.equal((await send(two, "bob@one.test")).code, 0);
    await eventually(async () => {
      assert.match(mailOf(two, "ann").join(), /^Subject: for ann@two\.test$/m);
      assert.match(mailOf(one, "bob").join(), /^Subject: for bob@one\.test$/m);
    });
    assert.match(one.log(), /postern-one\/smtp\[\d+\]: \w+: to=<ann@two\.test>, .*status=sent/);
    assert.match(two.log(), /postern-two\/smtpd\[\d+\]: /);
    assert.doesNotMatch(one.log() + two.log(), /postfix\//);
  });

  test("a command speaks with the instance of its configuration", async () => {
    const pid = async (server: TestServer) => /PID: (\d+)/.exec((await server.run(["status"])).stdout)?.[1];
    assert.deepEqual([await pid(one), await pid(two)], [String(one.pid), String(two.pid)]);
    await two.stop();
    assert.equal((await one.run(["status"])).code, 0);
    assert.equal((await two.run(["status"])).code, 1);
    await two.start();
  });

  test("a second one on the queue directory or the data directory of the first is refused", async () => {
    const third = instance("postern-three", "three.test", { port: await freePort(), other: await freePort() });
    try {
      const data = join(one.directory, "spool");
      third.append("main.cf", `data_directory = ${data}\n`);
      const shared = await startToEnd(third.directory);
      assert.equal(shared.code, 78);
      assert.match(shared.said.join("\n"), /Another master runs with data_directory ".*"; give each instance its own$/);
      third.append("main.cf", `queue_directory = ${data}\n`);
      assert.match(
        (await startToEnd(third.directory)).said.join("\n"),
        /Another master runs on queue_directory ".*"; stop it first$/,
      );
    } finally {
      await third[Symbol.asyncDispose]();
    }
  });

  test("check tells what takes the place of postmulti", async () => {
    const { stdout, stderr } = await one.run(["check"]);
    assert.match(
      stdout + stderr,
      /warning: parameter multi_instance_enable is known to Postfix but has no effect here; start each instance by itself: postern -c DIR start$/m,
    );
    assert.doesNotMatch(stdout + stderr, /multi_instance_name/);
  });
});
