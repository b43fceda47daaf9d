/** test/explain.test.ts: `postern explain --last` and `postern explain ID` against a running server with two workers: what it
 *  refused is told with trace and reply, nothing more than postern_refusal_log_limit is kept, and reloads change that. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const LIMIT = 3;

describe("postern explain at a running server", { concurrency: false, timeout: 90_000 }, () => {
  let server: TestServer;
  let port: number;

  before(async () => {
    port = await freePort();
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:9
mydestination = example.org
local_recipient_maps = texthash:$config_directory/recipients
mynetworks =
postern_workers = 2
postern_refusal_log_limit = ${LIMIT}
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 100
smtpd_peername_lookup = no
smtpd_reject_footer = \\c. Contact the postmaster
smtpd_sender_restrictions = check_sender_access texthash:$config_directory/senders
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination`,
      masterCf: `${port} inet n - n - - smtpd\n`,
      files: { recipients: "bob x\n", senders: "spam@far.test HANGUP\n" },
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  /** One session that has every recipient refused; resolves to the replies. */
  async function refuse(recipients: readonly string[], from = "eve@far.test"): Promise<readonly string[]> {
    const client = await Conversation.open(port);
    await client.say("EHLO h.test");
    await client.say(`MAIL FROM:<${from}>`);
    const replies: string[] = [];
    for (const recipient of recipients) replies.push(await client.say(`RCPT TO:<${recipient}>`));
    await client.say("QUIT");
    return replies;
  }

  /** The id in the explain line behind the refusal of a recipient. */
  async function idOf(recipient: string): Promise<string> {
    const found = await server.logged(new RegExp(`<${recipient}>: [^\\n]*\\n[^\\n]* explain: id=\\d+\\.\\d+`));
    return /id=(\S+)/.exec(found)?.[1] ?? "";
  }

  test("a refusal is told by its id, with its trace, as the client saw it", async () => {
    const [reply] = await refuse(["one@example.net"]);
    const id = await idOf("one@example.net");
    const { code, stdout, stderr } = await server.run(["explain", id]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const [head = "", ...rest] = stdout.split("\n");
    assert.match(head, new RegExp(`^${id}  \\w{3} \\w{3} .* RCPT at service ${port}$`));
    const table = `texthash:${server.directory}/senders`;
    const flat = rest.join("\n").replace(/\s+/g, " ");
    for (const want of [
      "client unknown[127.0.0.1], HELO h.test, clear text, not logged in from=<eve@far.test> to=<one@example.net>",
      `goes on check_sender_access ${table} "eve@far.test", "far.test",`,
      "goes on permit_mynetworks mynetworks 127.0.0.1 -> not found",
      "REJECT reject_unauth_destination address class of one@example.net -> default",
      `reply ${reply}`,
      "example.net is not ours and the client has not logged in.",
    ]) {
      assert.ok(flat.includes(want), `${want}\nis not in\n${stdout}`);
    }
    assert.match(reply ?? "", /Relay access denied\. Contact the postmaster$/);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 100, line);
  });

  test("--last tells the last ones over all workers, oldest first, and no more than are kept", async () => {
    const names = ["a", "b", "c", "d", "e"];
    for (const name of names) await refuse([`${name}@example.net`]);
    const { stdout } = await server.run(["explain", "--last", "100", "--json"]);
    const told = JSON.parse(stdout) as { recipient: string; sentence: string; atMs: number; steps: unknown[] }[];
    assert.ok(told.length >= LIMIT && told.length <= 2 * LIMIT, `${told.length} refusals`);
    assert.deepEqual(
      told.slice(-LIMIT).map(({ recipient }) => recipient),
      ["c@example.net", "d@example.net", "e@example.net"],
    );
    assert.deepEqual(
      told.map(({ atMs }) => atMs),
      told.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
    );
    assert.match(told.at(-1)?.sentence ?? "", /^Refused at RCPT because reject_unauth_destination \(main\.cf:\d+\): /);
    assert.ok(told.every(({ steps }) => steps.length > 0));
    const one = await server.run(["explain", "--last"]);
    assert.equal(one.stdout.match(/ RCPT at service /g)?.length, 1);
    assert.ok(one.stdout.includes("to=<e@example.net>"));
  });

  test("each refusal of one session has its own trace", async () => {
    await refuse(["nobody@example.org", "two@example.net"]);
    const first = await server.run(["explain", await idOf("nobody@example.org")]);
    const second = await server.run(["explain", await idOf("two@example.net")]);
    assert.match(first.stdout, /example\.org is ours, and no table\s+lists nobody@example\.org\./);
    assert.match(second.stdout, /example\.net is not ours/);
    assert.ok(!second.stdout.includes("smtpd_reject_unlisted_recipient"));
  });

  for (const c of [
    { to: "four@example.net", why: "relay access denied" },
    { to: "nobody2@example.org", why: "unknown user" },
    { to: "a%b.test@example.org", why: "a route of its own" },
  ]) {
    test(`the same client imagined gets the same reply for the same reasons: ${c.why}`, async () => {
      const [reply] = await refuse([c.to]);
      const real = JSON.parse((await server.run(["explain", "--last", "--json"])).stdout)[0];
      const who = ["--client", "127.0.0.1", "--helo", "h.test", "--from", "eve@far.test", "--to", c.to];
      const { stdout } = await server.run(["explain", "--service", String(port), ...who, "--json"]);
      const imagined = JSON.parse(stdout);
      const { explanation, reply: told } = imagined.acts.at(-1);
      assert.deepEqual(told, [reply]);
      assert.deepEqual(explanation.steps, real.steps);
      assert.ok(real.steps.length > 2);
      assert.equal(imagined.sentence, real.sentence);
    });
  }

  test("a client that was hung up on is told without a reply", async () => {
    const client = await Conversation.open(port);
    await client.say("EHLO h.test");
    await client.say("MAIL FROM:<spam@far.test>");
    client.write("RCPT TO:<bob@example.org>\r\n");
    await client.closed();
    const { stdout } = await server.run(["explain", "--last"]);
    assert.match(stdout, /reply {5}\(the connection is closed without a reply\)/);
    assert.match(stdout, /Hung up at RCPT because check_sender_access/);
  });

  test("an id that is not kept is said with exit 1", async () => {
    const { code, stdout, stderr } = await server.run(["explain", "1.1"]);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
    assert.match(stderr, /^postern: explain: no refusal 1\.1 is kept; postern_refusal_log_limit says how many are\n$/);
  });

  test("with postern_refusal_log_limit = 0 nothing is kept, from the reload on", async () => {
    server.write("main.cf", `${(await server.run(["postconf", "-n"])).stdout}postern_refusal_log_limit = 0\n`);
    assert.equal((await server.run(["reload"])).code, 0);
    await refuse(["three@example.net"]);
    const { stdout } = await server.run(["explain", "--last", "9", "--json"]);
    assert.deepEqual(JSON.parse(stdout), []);
  });
});
