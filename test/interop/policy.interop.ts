/** check_policy_service with real policy servers, over TCP and unix sockets: postgrey greylists a stranger's first attempt
 *  and lets the second one through; policyd-rate-limit counts the recipients of a login. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { daemonDirectory, hasPolicyDaemons, PolicyDaemon } from "../testbed/policy-daemon.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const LOGIN = "alice@example.org";
const PASSWORD = "correct horse";
const DELAY_SECONDS = 2;
const LIMIT = 3;

describe("real policy servers", {
  concurrency: false,
  timeout: 120_000,
  skip: !hasPolicyDaemons() && "not installed",
}, () => {
  const ports = new Map<string, number>();
  const daemons: PolicyDaemon[] = [];
  let server: TestServer;

  before(async () => {
    for (const name of ["grey-inet", "grey-unix", "rate-inet", "rate-unix"]) ports.set(name, await freePort());
    const [greyPort, ratePort] = [await freePort(), await freePort()];
    const [greyDirectory, rateDirectory] = [daemonDirectory(), daemonDirectory()];
    const [greySocket, rateSocket] = [join(greyDirectory, "socket"), join(rateDirectory, "socket")];
    daemons.push(
      await PolicyDaemon.postgrey(greyPort, DELAY_SECONDS, daemonDirectory()),
      await PolicyDaemon.postgrey(greySocket, DELAY_SECONDS, greyDirectory),
      await PolicyDaemon.rateLimit(ratePort, LIMIT, daemonDirectory()),
      await PolicyDaemon.rateLimit(rateSocket, LIMIT, rateDirectory),
    );
    const mx = (name: string, service: string) => `${ports.get(name)} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service ${service} }
`;
    const submission = (name: string, service: string) => `${ports.get(name)} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o { smtpd_recipient_restrictions = check_policy_service ${service}, permit_sasl_authenticated, reject }
`;
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
local_transport = discard:
default_transport = discard:
mynetworks =
smtpd_sasl_type = postern
smtpd_policy_service_timeout = 10s
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination`,
      masterCf:
        mx("grey-inet", `inet:127.0.0.1:${greyPort}`) +
        mx("grey-unix", `unix:${greySocket}`) +
        submission("rate-inet", `inet:127.0.0.1:${ratePort}`) +
        submission("rate-unix", `unix:${rateSocket}`),
    });
    await server.addUser(LOGIN, PASSWORD);
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
  });

  async function greeted(service: string): Promise<Conversation> {
    const client = await Conversation.open(ports.get(service) ?? 0);
    await client.say("EHLO client.example");
    return client;
  }

  const mail = { from: "bob@example.net", to: "friend@example.org", content: "Subject: hello\r\n\r\nx" };

  for (const service of ["grey-inet", "grey-unix"]) {
    test(`${service}: postgrey defers the first attempt and lets the second one in after the delay`, async () => {
      const first = await greeted(service);
      const refused = await first.send(mail);
      first.close();
      assert.match(
        refused,
        /^450 4\.2\.0 <friend@example\.org>: Recipient address rejected: Greylisted, see http:\/\/postgrey\.schweikert\.ch\/help\/example\.org\.html$/,
      );
      const soon = await greeted(service);
      assert.match(await soon.send(mail), /^450 4\.2\.0 /, "too soon");
      soon.close();
      await sleep(DELAY_SECONDS * 1000 + 1200); // postgrey counts whole seconds
      const second = await greeted(service);
      assert.match(await second.send(mail), /^250 2\.0\.0 Ok: queued as /);
      second.close();
    });
  }

  for (const service of ["rate-inet", "rate-unix"]) {
    test(`${service}: policyd-rate-limit stops a login at its limit`, async () => {
      const client = await greeted(service);
      assert.match(await client.authPlain(LOGIN, PASSWORD), /^235 /);
      assert.match(await client.say("MAIL FROM:<alice@example.org>"), /^250 /);
      for (let i = 1; i <= LIMIT; i++) assert.match(await client.say(`RCPT TO:<r${i}@example.com>`), /^250 /, `${i}`);
      assert.equal(
        await client.say("RCPT TO:<over@example.com>"),
        "450 4.7.1 <over@example.com>: Recipient address rejected: Rate limit reach, retry later",
      );
      client.close();
    });
  }

  test("none of it made Postern complain", () => assert.doesNotMatch(server.log(), /problem talking|no answer from/));
});
