/** The log of a running server: rotation; a log moved away, mode and form after a reload. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("the mail log", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let port: number;
  const path = (name: string) => `${server.directory}/${name}`;
  const rotated = () => readdirSync(server.directory).filter((name) => name.startsWith("maillog."));
  const connect = async (name: string) => {
    const client = await Conversation.open(port);
    await client.say(`EHLO ${name}`);
    await client.say("MAIL FROM:<a@b.test>");
    await client.say(`RCPT TO:<${name}@c.test>`);
    client.close();
    await server.logged(new RegExp(`<${name}@c\\.test>`));
  };

  before(async () => {
    port = await freePort();
    server = new TestServer({
      mainCf: "compatibility_level = 3.6\nmynetworks =\npostern_workers = 1",
      masterCf: `${port} inet n - n - - smtpd\n`,
    });
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  test("logrotate renames it, the server goes on in a new one, and the old one is compressed", async () => {
    await connect("before");
    const { code, stderr } = await server.run(["logrotate"]);
    assert.equal(code, 0, stderr);
    const [old, ...more] = rotated();
    assert.deepEqual(more, []);
    assert.match(old ?? "", /^maillog\.\d{8}-\d{6}\.gz$/);
    assert.match(gunzipSync(readFileSync(path(old ?? ""))).toString(), /<before@c\.test>/);
    await connect("after");
    assert.doesNotMatch(server.log(), /<before@/);
    assert.equal(statSync(path("maillog")).mode & 0o777, 0o600);
  });

  test("logrotate never writes over an older log, and says where a log stays that was not compressed", async () => {
    server.append("main.cf", "maillog_file_rotate_suffix = 1\nmaillog_file_compressor = /no/such\n");
    const first = await server.run(["logrotate"]);
    assert.equal(first.code, 1);
    assert.match(
      first.stderr,
      /^postern: logrotate: maillog_file_compressor: spawn \/no\/such ENOENT; the log is kept as .*maillog\.1\n$/,
    );
    await connect("again");
    const second = await server.run(["logrotate"]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /maillog\.1 exists already; nothing was done\n$/);
    assert.match(server.log(), /<again@/);
  });

  test("a reload opens a log again that was moved away, with the new mode and in the new form", async () => {
    renameSync(path("maillog"), path("moved"));
    server.append("main.cf", "maillog_file_permissions = 0640\npostern_log_format = json\n");
    const { code, stderr } = await server.run(["reload"]);
    assert.equal(code, 0, stderr);
    assert.ok(existsSync(path("moved")));
    await connect("json");
    assert.equal(statSync(path("maillog")).mode & 0o777, 0o640);
    const lines = server
      .log()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const refused = lines.find(({ text }) => text.includes("<json@c.test>"));
    assert.deepEqual(Object.keys(refused).slice(0, 6), ["time", "host", "tag", "id", "severity", "text"]);
    assert.match(
      refused.text,
      /^NOQUEUE: reject: RCPT from localhost\[127\.0\.0\.1\]: 454 4\.7\.1 <json@c\.test>: Relay access denied;/,
    );
  });
});
