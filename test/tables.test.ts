/** test/tables.test.ts: table files of a running server: edits count without reload or restart, broken lines are warned about
 *  and skipped, a table that cannot answer is 451, and hostile keys find nothing. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

/** What an operator waits for a change of a file to be seen. */
const SEEN_MS = 4000;

/** One service per table, each with the table under check_sender_access. */
const TABLES = {
  hash: { file: "hash", ref: "hash:hash", one: "a@b.test REJECT one\n", two: "a@b.test REJECT two\n" },
  cdb: { file: "cdb", ref: "proxy:cdb:cdb", one: "a@b.test REJECT one\n", two: "a@b.test REJECT two\n" },
  regexp: { file: "re", ref: "regexp:re", one: "/^a@/ REJECT one\n", two: "/^a@/ REJECT two\n" },
  pcre: { file: "pcre", ref: "pcre:pcre", one: "/^(?!x)a@/ REJECT one\n", two: "/^(?!x)a@/ REJECT two\n" },
  pipe: {
    file: "pipe",
    ref: "pipemap:{regexp:{{/^a@/ a}},texthash:pipe}",
    one: "a REJECT one\n",
    two: "a REJECT two\n",
  },
} as const;
type Name = keyof typeof TABLES;
const NAMES = Object.keys(TABLES) as Name[];

describe("tables of a running server", { concurrency: false, timeout: 60_000 }, () => {
  const ports = new Map<Name, number>();
  let server: TestServer;

  before(async () => {
    for (const name of NAMES) ports.set(name, await freePort());
    const service = (name: Name) => `${ports.get(name)} inet n - n - - smtpd
  -o { smtpd_sender_restrictions = check_sender_access ${TABLES[name].ref} }
`;
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
mynetworks =
smtpd_relay_restrictions = reject_unauth_destination
postern_workers = 1`,
      masterCf: NAMES.map(service).join(""),
      files: Object.fromEntries(NAMES.map((name) => [TABLES[name].file, TABLES[name].one])),
    });
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  /** The answer to RCPT for mail of this sender, without its fixed parts. */
  const ask = async (name: Name, sender = "a@b.test"): Promise<string> => {
    const client = await Conversation.open(ports.get(name) ?? 0);
    await client.say("EHLO client.example");
    const mail = await client.say(`MAIL FROM:<${sender}>`);
    const reply = mail.startsWith("250") ? await client.say("RCPT TO:<bob@example.org>") : mail;
    client.close();
    return reply.replace(/^554 5\.7\.1 .*: Sender address rejected: /, "");
  };
  const within = async (wanted: RegExp, name: Name): Promise<void> => {
    let answer = "";
    for (const end = performance.now() + SEEN_MS; performance.now() < end; await sleep(50)) {
      answer = await ask(name);
      if (wanted.test(answer)) return;
    }
    assert.match(answer, wanted);
  };

  const logged = async (line: RegExp): Promise<void> => {
    const warnings = () =>
      server
        .log()
        .split("\n")
        .filter((text) => text.includes(": warning: "));
    for (const end = performance.now() + SEEN_MS; performance.now() < end; await sleep(30)) {
      if (warnings().some((text) => line.test(text))) return;
    }
    assert.fail(`${line} is not in:\n${warnings().join("\n")}`);
  };

  test("edited files count without a reload", async () => {
    for (const name of NAMES) assert.equal(await ask(name), "one", name);
    for (const name of NAMES) server.write(TABLES[name].file, TABLES[name].two);
    for (const name of NAMES) await within(/^two$/, name);
  });

  test("postmap takes effect without a reload, and so does an edit after it", async () => {
    assert.equal(
      (await server.run(["postmap", "-i", "-r", `hash:${server.directory}/hash`], "a@b.test REJECT index\n")).code,
      0,
    );
    await within(/^index$/, "hash");
    await sleep(20);
    server.write("hash", "a@b.test REJECT edited\n");
    await within(/^edited$/, "hash");
    await logged(
      /warning: database \S+\/hash\.postern-index is older than source file \S+\/hash; the source file is read/,
    );
    const built = await server.run(["postmap", `hash:${server.directory}/hash`]);
    assert.match(built.stdout, /^postmap: built \S+\/hash\.postern-index: 1 entry\n$/);
    rmSync(join(server.directory, "hash"));
    await sleep(1500);
    assert.equal(await ask("hash"), "edited", "the index answers where the text is gone");
  });

  test("a broken line in an edited file is warned about and skipped", async () => {
    server.write("re", "/(/ REJECT never\n/^a@/ REJECT three\n");
    await within(/^three$/, "regexp");
    await logged(/warning: regexp map \S+\/re, line 1: Unmatched \( or \\\(: skipping this rule/);
    server.write("cdb", "lonely\na@b.test REJECT three\n");
    await within(/^three$/, "cdb");
    await logged(/warning: \S+\/cdb, line 1: expected format: key whitespace value -- ignoring this line/);
  });

  test("a table that is gone is 451, and the server goes on when it is back", async () => {
    rmSync(join(server.directory, "pcre"));
    await within(/^451 4\.3\.5 /, "pcre");
    await logged(/warning: pcre:pcre is unavailable\. open \S+\/pcre: No such file or directory/);
    server.write("pcre", "/^(?!x)a@/ REJECT back\n");
    await within(/^back$/, "pcre");
  });

  test("hostile senders find nothing in any table", async () => {
    for (const sender of [
      '"a\\"b"@b.test',
      "%s@b.test",
      "a'--@b.test",
      "*@b.test",
      "$1@b.test",
      "__proto__@b.test",
      '"a@b.test"@c.test',
    ]) {
      for (const name of ["hash", "cdb"] as const) {
        assert.match(await ask(name, sender), /^250 /, `${name}: ${sender}`);
      }
    }
  });
});
