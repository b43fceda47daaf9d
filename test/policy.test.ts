/** test/policy.test.ts: check_policy_service in a running server, with policy servers made of postern/policy: what an answer
 *  does to a session, what a message looks like to the server, and what happens while nobody answers. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  deferIfPermit,
  dunno,
  type PolicyQuery,
  prepend,
  type RunningPolicy,
  reject,
  replyCode,
  serve,
  testPolicy,
} from "postern/policy";
import { dailyQuota } from "../examples/policy-quota.ts";
import { type DemoSink, startDemoSink } from "../src/net/demo-sink.ts";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const LOGIN = "alice@example.org";

/** One action for each recipient's local part. */
function decide({ protocol_state, recipient }: PolicyQuery): string {
  if (protocol_state !== "RCPT") return dunno();
  switch (recipient.split("@")[0]) {
    case "reject":
      return reject("Not for you");
    case "status":
      return replyCode(550, "Mailbox full", "5.2.2");
    case "wait":
      return deferIfPermit("Greylisted, see https://example.org", "4.2.0");
    case "marked":
      return prepend("X-Policy", "seen");
    case "broken":
      throw new Error("no database");
    default:
      return dunno();
  }
}

describe("check_policy_service", { concurrency: false, timeout: 60_000 }, () => {
  const asked: PolicyQuery[] = [];
  const taken: string[] = [];
  const ports = new Map<string, number>();
  const policies: RunningPolicy[] = [];
  let server: TestServer;
  let sink: DemoSink;
  let restarted: string;

  const handler = (query: PolicyQuery) => {
    asked.push(query);
    return decide(query);
  };

  before(async () => {
    sink = await startDemoSink(0, (content) => taken.push(content));
    for (const name of ["inet", "unix", "down", "open", "quota"]) ports.set(name, await freePort());
    const quiet = { log: () => undefined };
    const inet = await serve(handler, { listen: "127.0.0.1:0", defaultAction: "450 4.3.0 Policy is ill", ...quiet });
    const quota = await serve(dailyQuota(3), { listen: "127.0.0.1:0" });
    restarted = inet.address;
    const down = `inet:127.0.0.1:${await freePort()}`;
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
relayhost = [127.0.0.1]:${sink.port}
mydestination = example.org
mynetworks =
smtpd_sasl_type = postern
smtpd_policy_service_try_limit = 1
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
local_recipient_maps =
local_transport = smtp:[127.0.0.1]:${sink.port}
postern_workers = 1`,
      masterCf: `${ports.get("inet")} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service { ${inet.address}, policy_context=inet } }
  -o { smtpd_data_restrictions = check_policy_service ${inet.address} }
  -o { smtpd_end_of_data_restrictions = check_policy_service ${inet.address} }
${ports.get("unix")} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service unix:private/policy }
${ports.get("down")} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service ${down} }
${ports.get("open")} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service { ${down}, default_action=DUNNO } }
${ports.get("quota")} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes
  -o { smtpd_data_restrictions = check_policy_service ${quota.address} }
`,
    });
    mkdirSync(join(server.directory, "spool/private"), { recursive: true });
    chmodSync(join(server.directory, "spool"), 0o755);
    const listen = join(server.directory, "spool/private/policy");
    policies.push(inet, quota, await serve(handler, { listen, socketMode: 0o666, ...quiet }));
    await server.addUser(LOGIN, "secret");
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    for (const policy of policies) await policy.close();
    await sink?.close();
  });

  async function greeted(service: string): Promise<Conversation> {
    const client = await Conversation.open(ports.get(service) ?? 0);
    await client.say("EHLO laptop.example.org");
    return client;
  }

  /** The reply to one recipient. */
  async function offer(service: string, recipient: string): Promise<string> {
    const client = await greeted(service);
    await client.say("MAIL FROM:<bob@example.net> SIZE=1234");
    const reply = await client.say(`RCPT TO:<${recipient}>`);
    client.close();
    return reply;
  }

  for (const service of ["inet", "unix"]) {
    for (const [who, want, why] of [
      ["reject", "554 5.7.1 <reject@example.org>: Recipient address rejected: Not for you", "REJECT"],
      ["status", "550 5.2.2 <status@example.org>: Recipient address rejected: Mailbox full", "code, status and text"],
      [
        "wait",
        "450 4.2.0 <wait@example.org>: Recipient address rejected: Greylisted, see https://example.org",
        "DEFER_IF_PERMIT",
      ],
      ["friend", "250 2.1.5 Ok", "DUNNO at the end of the list"],
    ] as const) {
      test(`${service}: ${why}`, async () => assert.equal(await offer(service, `${who}@example.org`), want));
    }
  }

  test("a refusal is logged as any other, with its rule", async () => {
    await server.logged(
      /NOQUEUE: reject: RCPT from \S+\[127\.0\.0\.1\]: 554 5\.7\.1 <reject@example\.org>: Recipient address rejected: Not for you; from=<bob@example\.net> to=<reject@example\.org>/,
    );
    await server.logged(
      /explain: id=\S+ rule=master\.cf:\d+ parameter=smtpd_recipient_restrictions restriction=<check_policy_service /,
    );
  });

  test("a handler that fails gives the policy server's own default", async () => {
    assert.equal(
      await offer("inet", "broken@example.org"),
      "450 4.3.0 <broken@example.org>: Recipient address rejected: Policy is ill",
    );
  });

  test("PREPEND adds a header field, and one message is one instance at every state", async () => {
    asked.length = 0;
    const client = await greeted("inet");
    const message = { from: "bob@example.net", to: "marked@example.org", content: "Subject: first\r\n\r\nx" };
    assert.match(await client.send(message), /^250 2\.0\.0 Ok: queued as /);
    await client.say("MAIL FROM:<bob@example.net> SIZE=99");
    await client.say("RCPT TO:<one@example.org>");
    await client.say("RCPT TO:<two@example.org>");
    await client.say("DATA");
    assert.match(await client.say("Subject: second\r\n\r\nx\r\n."), /^250 /);
    client.close();
    const seen = asked.map(
      (q) => `${q.protocol_state} ${q.recipient} ${q.recipientCount} ${q.queue_id === "" ? "" : "id"}`,
    );
    assert.deepEqual(seen, [
      "RCPT marked@example.org 0 ",
      "DATA marked@example.org 1 id",
      "END-OF-MESSAGE marked@example.org 1 id",
      "RCPT one@example.org 0 ",
      "RCPT two@example.org 0 id",
      "DATA  2 id",
      "END-OF-MESSAGE  2 id",
    ]);
    const instances = asked.map(({ instance }) => instance);
    assert.match(instances[0] ?? "", /^[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+\.0$/);
    assert.deepEqual(
      [new Set(instances.slice(0, 3)).size, new Set(instances.slice(3)).size, new Set(instances).size],
      [1, 1, 2],
    );
    const [first] = asked;
    assert.deepEqual(
      [
        first?.protocol_name,
        first?.client_address,
        first?.helo_name,
        first?.sender,
        first?.policy_context,
        first?.server_port,
      ],
      ["ESMTP", "127.0.0.1", "laptop.example.org", "bob@example.net", "inet", String(ports.get("inet"))],
    );
    assert.match(first?.mail_version ?? "", /^\d/);
    assert.equal(asked[3]?.size, "99", "as declared");
    assert.notEqual(asked[6]?.size, "99", "as it was");
    for (let i = 0; i < 200 && taken.length < 2; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.match(taken.find((content) => content.includes("Subject: first")) ?? "", /^X-Policy: seen\r?$/m);
  });

  test("no policy server: 451 4.3.5, with Postfix's warnings, and the session goes on", async () => {
    const client = await greeted("down");
    await client.say("MAIL FROM:<bob@example.net>");
    assert.equal(
      await client.say("RCPT TO:<a@example.org>"),
      "451 4.3.5 <a@example.org>: Recipient address rejected: Server configuration problem",
    );
    assert.equal(await client.say("NOOP"), "250 2.0.0 Ok");
    client.close();
    await server.logged(/warning: connect to 127\.0\.0\.1:\d+: Connection refused/);
    await server.logged(/warning: problem talking to server 127\.0\.0\.1:\d+: Connection refused/);
    await server.logged(
      /warning: no answer from policy server inet:.*: Connection refused; default action applies: 451 4\.3\.5/,
    );
  });

  test("no policy server: default_action of the restriction", async () => {
    assert.equal(await offer("open", "a@example.org"), "250 2.1.5 Ok");
  });

  test("a policy server that was restarted is found again, without a failed request", async () => {
    const listen = restarted.replace("inet:", "");
    await policies.shift()?.close();
    policies.unshift(await serve(handler, { listen, log: () => undefined }));
    assert.match(await offer("inet", "reject@example.org"), /^554 5\.7\.1 /);
    assert.doesNotMatch(server.log(), new RegExp(`problem talking to server ${listen}`));
  });

  test("examples/policy-quota.ts counts the recipients of a login", async () => {
    const client = await greeted("quota");
    assert.match(await client.authPlain(LOGIN, "secret"), /^235 /);
    const send = async (...recipients: string[]) => {
      await client.say("MAIL FROM:<alice@example.org>");
      for (const recipient of recipients) assert.match(await client.say(`RCPT TO:<${recipient}>`), /^250 /);
      const reply = await client.say("DATA");
      return reply.startsWith("354") ? client.say("Subject: x\r\n\r\nx\r\n.") : reply;
    };
    assert.match(await send("a@example.net", "b@example.net"), /^250 /);
    assert.equal(
      await send("c@example.net", "d@example.net"),
      "450 4.7.1 <DATA>: Data command rejected: Quota of 3 recipients a day is used up",
    );
    await client.say("RSET");
    assert.match(await send("c@example.net"), /^250 /, "one was left");
    client.close();
  });
});

test("dailyQuota() begins anew at midnight, for each login on its own", async () => {
  let now = Date.UTC(2026, 0, 1, 23, 59);
  const handler = dailyQuota(2, () => now);
  const ask = (sasl_username: string, recipient_count: string) =>
    testPolicy(handler, { protocol_state: "DATA", sasl_username, recipient_count });
  assert.equal(await ask("alice", "2"), "DUNNO");
  assert.match(await ask("alice", "1"), /^DEFER 4\.7\.1 /);
  assert.equal(await ask("bob", "2"), "DUNNO");
  assert.equal(await ask("", "100"), "DUNNO", "nobody's mail is not counted");
  now += 60_000;
  assert.equal(await ask("alice", "2"), "DUNNO");
});
