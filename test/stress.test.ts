/** test/stress.test.ts: a service whose sessions are all in use is under stress (STRESS_README): the defaults that hang on
 *  $stress change for new sessions, and policy servers are told. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { dunno, type PolicyQuery, type RunningPolicy, serve } from "postern/policy";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

describe("stress", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let policy: RunningPolicy;
  const asked: PolicyQuery[] = [];
  const ports = { two: 0, own: 0 };

  before(async () => {
    ports.two = await freePort();
    ports.own = await freePort();
    policy = await serve(
      (query) => {
        asked.push(query);
        return dunno();
      },
      { listen: "127.0.0.1:0" },
    );
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
postern_workers = 1
smtpd_error_sleep_time = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_sender_restrictions = check_policy_service ${policy.address}
smtpd_delay_reject = no
smtpd_client_restrictions = \${stress?{reject}:{permit}}`,
      masterCf: `${ports.two} inet n - n - 2 smtpd
${ports.own} inet n - n - 1 smtpd -o stress=
`,
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await policy?.close();
  });

  test("the session that takes the last place is under stress, the one before it is not", async () => {
    const calm = await Conversation.open(ports.two);
    assert.match(calm.greeting, /^220 /);
    const stressed = await Conversation.open(ports.two);
    assert.match(stressed.greeting, /^554 5\.7\.1 .*Client host rejected/, "a list with $stress");
    await server.logged(/warning: service "\d+" has reached its process limit "2": new clients may experience/);
    for (let i = 0; i < 3; i++) assert.match(await calm.say("NONSENSE"), /^500 /, "20 errors are allowed");
    assert.match(await stressed.say("NONSENSE"), /^(?:503|421) /);
    calm.close();
    stressed.close();
  });

  test("the policy server is told of it", async () => {
    server.append("main.cf", "smtpd_client_restrictions =\n");
    assert.equal((await server.run(["reload"])).code, 0);
    asked.length = 0;
    const client = await Conversation.open(ports.two);
    await client.say("EHLO client.example");
    assert.match(await client.say("MAIL FROM:<bob@example.net>"), /^250 /);
    assert.equal(asked[0]?.stress, "yes", "for a thousand seconds");
    assert.match(await client.say("NONSENSE"), /^500 /);
    assert.match(await client.say("NOOP"), /^421 4\.7\.0 .* too many errors/, "one error is allowed");
    client.close();
  });

  test("-o stress= keeps a service out of it", async () => {
    asked.length = 0;
    const client = await Conversation.open(ports.own);
    await client.say("EHLO client.example");
    assert.match(await client.say("MAIL FROM:<bob@example.net>"), /^250 /);
    assert.equal(asked[0]?.stress, "");
    client.close();
  });
});
