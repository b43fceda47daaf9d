/** test/decisions.test.ts: a running server keeps what it decided about recipients, no more than it is told to. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { parseDecision, type RecordedDecision } from "../src/decisions/decision.ts";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const MAIN = `compatibility_level = 3.10
mydestination = example.org
mynetworks =
local_recipient_maps =
smtpd_sasl_type = postern
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ { later@example.org = 450 not now }, kept@example.org=HOLD }
postern_workers = 1
`;

const REPLAYED = `Recent decisions
  4 replayed: 3 would come out differently, 1 the same, 0 undecided
  1 at 127.0.0.1:PORT: accepted, hold -> rejected
    now   Accepted at RCPT: no restriction refused.
    then  Refused at RCPT because reject (main.cf:16): nothing before it let the client through.
    e.g.  unknown[127.0.0.1] from=<bob@example.net> to=<kept@example.org>
  1 at 127.0.0.1:PORT: deferred -> rejected
    now   Deferred at RCPT because check_recipient_access inline:{ { later@example.org = 450 not now
          }, kept@example.org=HOLD } (main.cf:17): "later@example.org" is listed there as "450 not
          now".
    then  Refused at RCPT because reject (main.cf:16): nothing before it let the client through.
    e.g.  unknown[127.0.0.1] from=<bob@example.net> to=<later@example.org>
  1 at 127.0.0.1:PORT: accepted -> rejected
    now   Accepted at RCPT because of permit_sasl_authenticated (main.cf:16): the client has logged
          in as alice@example.org.
    then  Refused at RCPT because reject (main.cf:16): nothing before it let the client through.
    e.g.  unknown[127.0.0.1] alice@example.org from=<bob@example.net> to=<friend@example.com>

`;

describe("decisions of a running server", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let port: number;
  before(async () => {
    port = await freePort();
    server = new TestServer({
      mainCf: `${MAIN}postern_decision_log_limit = 6`,
      masterCf: `127.0.0.1:${port} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n`,
    });
    await server.addUser("alice@example.org", "secret");
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  const files = () => readdirSync(join(server.directory, "spool")).filter((name) => name.startsWith("decisions"));
  const kept = () =>
    files()
      .flatMap((name) => readFileSync(join(server.directory, "spool", name), "utf8").split("\n"))
      .flatMap((line) => parseDecision(line) ?? []);

  async function offer(recipients: readonly string[], login = false): Promise<void> {
    const client = await Conversation.open(port);
    await client.say("EHLO laptop.example.org");
    if (login) assert.match(await client.authPlain("alice@example.org", "secret"), /^235/);
    await client.say("MAIL FROM:<bob@example.net> SIZE=777");
    for (const recipient of recipients) await client.say(`RCPT TO:<${recipient}>`);
    await client.say("QUIT");
    client.close();
  }

  async function found(recipient: string): Promise<RecordedDecision> {
    for (let i = 0; i < 100; i++, await sleep(50)) {
      const decision = kept().find((candidate) => candidate.recipient === recipient);
      if (decision) return decision;
    }
    throw new Error(`nothing about ${recipient}:\n${server.log()}`);
  }

  test("accepted, deferred, refused and held recipients are kept with their rules", async () => {
    await offer(["kept@example.org", "later@example.org", "far@example.com"]);
    await offer(["friend@example.com"], true);
    const refused = await found("far@example.com");
    const { at, ...rest } = refused;
    assert.ok(Math.abs(Date.now() - at) < 60_000);
    assert.deepEqual(rest, {
      service: `127.0.0.1:${port}`,
      stage: "rcpt",
      client: { address: "127.0.0.1", name: "unknown", reverseName: "unknown", nameStatus: "missing" },
      helo: "laptop.example.org",
      sender: "bob@example.net",
      recipient: "far@example.com",
      size: 777,
      result: "rejected",
      code: 554,
      rule: { text: "reject_unauth_destination", at: "main.cf:16", parameter: "smtpd_relay_restrictions" },
    });
    const held = await found("kept@example.org");
    assert.deepEqual([held.result, held.code, held.effects], ["accepted", 250, ["hold"]]);
    assert.deepEqual(
      [(await found("later@example.org")).result, (await found("later@example.org")).code],
      ["deferred", 450],
    );
    assert.deepEqual((await found("friend@example.com")).login, { method: "PLAIN", username: "alice@example.org" });
  });

  test("postern diff --replay tells which of them would come out differently, and why", async () => {
    const next = join(server.directory, "next");
    mkdirSync(next);
    const main = readFileSync(join(server.directory, "main.cf"), "utf8");
    writeFileSync(
      join(next, "main.cf"),
      main.replace("permit_sasl_authenticated, reject_unauth_destination", "reject"),
    );
    writeFileSync(join(next, "master.cf"), readFileSync(join(server.directory, "master.cf")));
    const { code, stdout } = await server.run(["diff", next, "--replay"]);
    const recent = stdout.slice(stdout.indexOf("Recent decisions"), stdout.indexOf("Not in the new"));
    assert.equal(recent.replaceAll(String(port), "PORT"), REPLAYED);
    assert.equal(code, 0, stdout);
    const json = await server.run(["diff", next, "--replay", "--json"]);
    const { replay } = JSON.parse(json.stdout);
    assert.deepEqual([replay.total, replay.same, replay.groups.length], [4, 1, 3]);
    assert.equal(replay.groups[0].examples[0].after.rule.at, "main.cf:16");
  });

  test("nobody else may read them, and they stay within twice the limit", async () => {
    for (let i = 0; i < 5; i++) await offer([1, 2, 3, 4, 5].map((n) => `u${i}.${n}@example.org`));
    await found("u4.5@example.org");
    assert.ok(kept().length <= 12, `${kept().length} are kept`);
    for (const name of files()) assert.equal(statSync(join(server.directory, "spool", name)).mode & 0o777, 0o600);
  });

  test("a stop keeps what was decided just before it; 0 removes all", async () => {
    await offer(["last@example.org"]);
    await server.stop();
    assert.ok(kept().some(({ recipient }) => recipient === "last@example.org"));
    server.append("main.cf", "postern_decision_log_limit = 0\n");
    await server.start();
    await offer(["after@example.org"]);
    await server.stop();
    assert.deepEqual(files(), []);
  });
});
