/** test/submission-extensions.test.ts: FUTURERELEASE, DELIVERBY and MT-PRIORITY through a real server with two workers, as its
 *  client, its next hop and its operator meet them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { eventually } from "./testbed/eventually.ts";
import { type NextHop, startNextHop } from "./testbed/next-hop.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("extensions of submission", { concurrency: false, timeout: 120_000 }, () => {
  const taken: string[] = [];
  const asked: string[] = [];
  let server: TestServer;
  let sink: NextHop;
  let port: number;

  before(async () => {
    port = await freePort();
    const keywords = ["DELIVERBY", "MT-PRIORITY", "DSN"];
    sink = await startNextHop({ port: 0, keywords, taken: (c) => taken.push(c), asked: (c) => asked.push(c) });
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sink.port}
mydestination =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = postern
smtpd_relay_restrictions = permit_sasl_authenticated, reject
postern_future_release_quota = 2
postern_priority_tunnel = yes
postern_priority_login_maps = inline:{ alice=4 }
postern_workers = 2`,
      masterCf: `${port} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n`,
    });
    await server.addUser("alice", "secret");
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await sink?.close();
  });

  /** The reply to the first command that is refused, or the last one. */
  const submit = async (parameters: string, subject: string): Promise<string> => {
    const client = await Conversation.open(port);
    try {
      await client.say("EHLO client.example");
      assert.match(await client.authPlain("alice", "secret"), /^235 /);
      const mail = await client.say(`MAIL FROM:<alice@example.org> ${parameters}`);
      if (!mail.startsWith("250")) return mail;
      for (const line of ["RCPT TO:<bob@elsewhere.test>", "DATA"]) await client.say(line);
      return await client.say(`Subject: ${subject}\r\n\r\nbody\r\n.`);
    } finally {
      client.close();
    }
  };
  const idOf = (reply: string): string => {
    const id = /queued as ([0-9A-Za-z]+)$/.exec(reply)?.[1];
    assert.ok(id, reply);
    return id;
  };
  const came = (subject: string) => taken.filter((content) => content.includes(`Subject: ${subject}\r\n`)).length;
  const arrives = (subject: string) => eventually(async () => assert.equal(came(subject), 1));
  const queue = async (...words: string[]) => (await server.run(["queue", ...words])).stdout;

  test("FR-02, FR-08: held mail is listed, stays through flush, requeue and restart, and goes when the operator says so", async () => {
    const id = idOf(await submit("HOLDFOR=86400 BY=172800;N MT-PRIORITY=2", "later"));
    const inHours = idOf(await submit("HOLDUNTIL=2000-01-01T00:00:00Z", "at once"));
    await arrives("at once");
    assert.match(
      await queue("list"),
      new RegExp(
        `${id} +incoming +\\ds +23h59m .*\\n +held until 20[^ ]*Z\\n +deliver by 20[^ ]*Z, else its sender is told; priority 2\\n`,
      ),
    );
    assert.match(await queue("show", id), /\nheld {7}until 20.*\ndeliver by 20.*\npriority {3}2\n/);
    assert.match(await queue("show", id), /\nto {9}bob@elsewhere.test\n {11}by smtp:\S+, next try in 23h59m\n/);
    assert.match(await queue("list", "--json"), /, "deliver_by": \d+, "deliver_by_mode": "N", "priority": 2\}\n/);
    assert.doesNotMatch((await server.run(["postqueue", "-j"])).stdout, /held_until|deliver_by|next_try|priority/);
    assert.doesNotMatch(await queue("list"), new RegExp(inHours));
    await server.run(["postqueue", "-f"]);
    await server.run(["queue", "requeue", id]);
    await server.stop();
    // With the server down, too.
    assert.match((await server.run(["queue", "advance", id, "--at", "30d"])).stderr, /1 message given another time/);
    const until = Number(/"held_until": (\d+)/.exec(await queue("list", "--json"))?.[1]);
    assert.ok(until > Date.now() / 1000 + 29 * 86_400, String(until));
    await server.start();
    assert.equal(came("later"), 0);
    assert.match((await server.run(["queue", "flush", id, "--at", "1h"])).stderr, /--at is for: postern queue advance/);
    assert.match((await server.run(["queue", "advance", id])).stderr, /1 message given another time/);
    await arrives("later");
    await eventually(async () => assert.match(await queue("list"), /^No message/));
  });

  test("FR-06: the quota counts over all workers, and delete frees a place", async () => {
    const [first = "", second = ""] = [
      idOf(await submit("HOLDFOR=3600", "q1")),
      idOf(await submit("HOLDFOR=3600", "q2")),
    ];
    for (let i = 0; i < 4; i++) assert.match(await submit("HOLDFOR=3600", "q3"), /^552 5\.7\.1 /);
    await server.run(["queue", "delete", first]);
    const third = idOf(await submit("HOLDFOR=3600", "q3"));
    const racing = await Promise.all(Array.from({ length: 6 }, () => submit("HOLDFOR=3600", "race")));
    assert.ok(racing.every((reply) => reply.startsWith("552 ")));
    for (const id of [second, third]) await server.run(["queue", "delete", id]);
    const both = await Promise.all(Array.from({ length: 6 }, () => submit("HOLDFOR=3600", "race")));
    assert.ok(both.filter((reply) => reply.startsWith("250 ")).length <= 2, both.join("\n"));
  });

  test("BY-04, PRI-03, PRI-04: time and priority go on to the next hop, and into Received and the log", async () => {
    const id = idOf(await submit("BY=3600;N MT-PRIORITY=9", "urgent"));
    await arrives("urgent");
    const mail = asked.find((command) => /^MAIL .* MT-PRIORITY=4$/.test(command));
    assert.match(mail ?? "", / BY=3[56]\d\d;N MT-PRIORITY=4$/);
    assert.ok(asked.includes("RCPT TO:<bob@elsewhere.test> ORCPT=rfc822;bob@elsewhere.test NOTIFY=FAILURE,DELAY"));
    const content = taken.find((text) => text.includes("Subject: urgent\r\n"));
    assert.match(content ?? "", /\r\n\tfor <bob@elsewhere\.test> PRIORITY 4; /);
    await submit("SIZE=99", "tunnelled\r\nMT-Priority: 3");
    await arrives("tunnelled");
    assert.ok(asked.some((command) => /^MAIL .* MT-PRIORITY=3$/.test(command)));
    assert.ok(!taken.some((text) => text.includes("MT-Priority:")));
    await server.logged(new RegExp(`${id}: client=.*, deliver_by=20[^,]*Z;N, mt_priority=4\\n`));
  });
});
