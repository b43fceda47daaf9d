/** test/start.test.ts: a start that cannot succeed says why in one line and ends with the right code; nothing is left
 *  running, and a server that runs already does not notice. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { startToEnd } from "./testbed/foreground.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const EX_CONFIG = 78;
const isRoot = process.getuid?.() === 0;
const smtpdOn = (port: number | string) => `${port} inet n - n - - smtpd\n`;
const REFUSED = "postern: start: The configuration has errors; nothing was started";

/** A server that would start: one port, nothing else to say. */
async function makeServer(mainCf = "", masterCf?: string): Promise<{ server: TestServer; port: number }> {
  const port = await freePort();
  const lines = `compatibility_level = 3.10
relayhost = [127.0.0.1]:9
mydestination = example.org
local_recipient_maps =
postern_workers = 1
${mainCf}`;
  return { server: new TestServer({ mainCf: lines, masterCf: masterCf ?? smtpdOn(port) }), port };
}

/** Replaces the value of a parameter that every test server has. */
function set(server: TestServer, name: string, value: string): void {
  const main = readFileSync(join(server.directory, "main.cf"), "utf8");
  server.write("main.cf", main.replace(new RegExp(`^${name} = .*`, "m"), `${name} = ${value}`));
}

interface BadStart {
  readonly why: string;
  readonly mainCf?: string;
  readonly masterCf?: string;
  readonly spoil?: (server: TestServer) => void;
  readonly says: readonly RegExp[];
  readonly onlyRoot?: true;
}

const badStarts: readonly BadStart[] = [
  {
    why: "several faults are told at once, in order, each with its place",
    mainCf: "smtpd_recipient_limit = many\nsmtpd_tls_security_level = perhaps",
    masterCf: `${smtpdOn("nosuchservice")}`,
    says: [
      /^main\.cf:\d+: error: bad numerical configuration: smtpd_recipient_limit = many$/,
      /^main\.cf:\d+: error: bad configuration: smtpd_tls_security_level = perhaps; specify one of: /,
      /^master\.cf:1: error: unknown service: nosuchservice\/tcp; use a port number/,
    ],
  },
  {
    why: "an open relay",
    mainCf: "mynetworks = 0.0.0.0/0",
    says: [
      /^main\.cf:\d+: error: open relay: permit_mynetworks comes before defer_unauth_destination; mynetworks \(main\.cf:\d+\) holds 0\.0\.0\.0\/0; see: postern verify$/,
    ],
  },
  {
    why: "syntax errors of master.cf are told with the others",
    masterCf: `${smtpdOn("nosuchservice")}2525 inte n - n - - smtpd\n`,
    says: [/^master\.cf:1: error: unknown service: /, /^master\.cf:2: error: bad transport type: inte$/],
  },
  {
    why: "a misspelt restriction, a network that is none",
    mainCf: "smtpd_relay_restrictions = permit_mynetwork, reject\nmynetworks = 127.0.0.1/33",
    says: [/^main\.cf:\d+: error: .*permit_mynetwork/, /^main\.cf:\d+: error: .*127\.0\.0\.1\/33/],
  },
  {
    why: "a key file that does not exist",
    mainCf: "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /nonexistent/site.pem",
    says: [/^main\.cf:\d+: error: open \/nonexistent\/site\.pem: No such file or directory; .*smtpd_tls_chain_files$/],
  },
];

const badPlaces: readonly BadStart[] = [
  {
    why: "queue_directory cannot be made",
    spoil(server) {
      writeFileSync(join(server.directory, "file"), "");
      set(server, "queue_directory", join(server.directory, "file/spool"));
    },
    says: [/^postern: start: Cannot make queue_directory "\S+\/file\/spool": ENOTDIR/],
  },
  {
    why: "workers cannot reach queue_directory",
    onlyRoot: true,
    spoil(server) {
      mkdirSync(join(server.directory, "private"), { mode: 0o700 });
      set(server, "queue_directory", join(server.directory, "private/spool"));
    },
    says: [/^postern: start: The account nobody cannot use queue_directory: EACCES: permission denied, .*private/],
  },
  {
    why: "the queue is Postfix's",
    spoil(server) {
      for (const name of ["incoming", "active", "deferred"]) {
        mkdirSync(join(server.directory, "spool", name), { recursive: true });
      }
    },
    says: [/^postern: start: Queue directory "\S+\/spool" belongs to Postfix: set queue_directory to /],
  },
  {
    why: "mail_owner is no account",
    onlyRoot: true,
    spoil: (server) => set(server, "mail_owner", "no-such-account"),
    says: [/^postern: start: mail_owner = no-such-account: no such account; create it: useradd /],
  },
  {
    why: "mail_owner is root",
    onlyRoot: true,
    spoil: (server) => set(server, "mail_owner", "root"),
    says: [/^postern: start: mail_owner = root is root; name an account without privileges$/],
  },
];

function assertSaid(said: readonly string[], expected: readonly RegExp[]): void {
  assert.equal(said.length, expected.length, said.join("\n"));
  for (const [index, pattern] of expected.entries()) assert.match(said[index] ?? "", pattern);
}

for (const bad of badStarts) {
  test(`check exits 1 and start-fg 78: ${bad.why}`, async () => {
    const { server } = await makeServer(bad.mainCf, bad.masterCf);
    await using _ = server;
    const [check, start] = await Promise.all([server.run(["check"]), startToEnd(server.directory)]);
    assert.equal(check.code, 1);
    assertSaid(check.stdout.split("\n").slice(0, -2), bad.says);
    assert.match(check.stdout, new RegExp(`\npostern: check: ${bad.says.length} errors, 0 warnings\n$`));
    assert.equal(start.code, EX_CONFIG);
    assertSaid(start.said, [...bad.says, new RegExp(`^${REFUSED}$`)]);
    assert.equal(server.log(), "", "nothing was touched");
  });
}

for (const bad of badPlaces) {
  test(`start-fg exits 78: ${bad.why}`, { skip: bad.onlyRoot && !isRoot && "needs root" }, async () => {
    const { server } = await makeServer();
    await using _ = server;
    bad.spoil?.(server);
    const { code, said } = await startToEnd(server.directory);
    assertSaid(said, bad.says);
    assert.equal(code, EX_CONFIG);
  });
}

test("start-fg exits 1 when the port is in use, and leaves the queue free", async () => {
  const { server, port } = await makeServer();
  await using _ = server;
  const other = net.createServer().listen(port, "127.0.0.1");
  const { code, said } = await startToEnd(server.directory);
  await new Promise((done) => other.close(done));
  assertSaid(said, [new RegExp(`^postern: start: Cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use$`)]);
  assert.equal(code, 1);
  await server.start();
});

describe("a server that runs", { concurrency: false }, () => {
  let server: TestServer;
  let port: number;
  before(async () => {
    ({ server, port } = await makeServer());
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  test("does not notice a second start on its queue, which exits 78", async () => {
    const client = await Conversation.open(port);
    const pids = await server.workerPids();
    const second = await startToEnd(server.directory);
    assertSaid(second.said, [/^postern: start: Another master runs on queue_directory "\S+"; stop it first$/]);
    assert.equal(second.code, EX_CONFIG);
    assert.match(await client.say("NOOP"), /^250 /, "the open session goes on");
    client.close();
    (await Conversation.open(port)).close();
    assert.deepEqual(await server.workerPids(), pids, "control socket and workers are the same");
    assert.equal(readFileSync(join(server.directory, "spool/pid/postern.pid"), "utf8"), `${server.pid}\n`);
  });

  test("nor a second start on its port with another queue, which exits 1", async () => {
    const other = await makeServer("", smtpdOn(port));
    await using _ = other.server;
    const { code, said } = await startToEnd(other.server.directory);
    assert.match(said.join("\n"), /^postern: start: Cannot listen on \S+: the port is in use$/);
    assert.equal(code, 1);
    (await Conversation.open(port)).close();
  });

  test("ends with 0 on SIGTERM, silently, and frees port and pid file", async () => {
    await server.stop();
    assert.deepEqual(await startToEnd(server.directory, { stop: true }), {
      code: 0,
      stdout: "postern: ready\n",
      said: [],
    });
    await assert.rejects(Conversation.open(port));
    assert.throws(() => readFileSync(join(server.directory, "spool/pid/postern.pid")), { code: "ENOENT" });
    assert.match(server.log(), /postfix\/master\[\d+\]: terminating on signal 15\n/);
  });

  test("a queue of another version is refused, not converted, and the master ends with 1", async () => {
    const file = join(server.directory, "spool/queue/shard-00/queue.sqlite");
    const version = (change: string) => {
      const db = new DatabaseSync(file);
      if (change) db.exec(change);
      const { user_version: found } = db.prepare("PRAGMA user_version").get() as { user_version: number };
      db.close();
      return found;
    };
    version("PRAGMA user_version = 7");
    const { code, said } = await startToEnd(server.directory);
    assertSaid(said, [
      /^postern: start: Queue database "\S+" has version 7, this program needs version \d+: start the /,
    ]);
    assert.equal(code, 1);
    assert.equal(version(""), 7);
  });
});
