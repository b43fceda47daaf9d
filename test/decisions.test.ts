/** test/decisions.test.ts: a running server keeps what it decided about recipients, no more than it is told to. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
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
postern_workers = 2
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
