/** test/spawn.test.ts: spawn services of a running server: a policy server that master.cf starts for each connection. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Conversation } from "./testbed/conversation.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const isRoot = process.getuid?.() === 0;
/** An account that is neither root nor mail_owner. */
const account = isRoot ? "daemon" : userInfo().username;

/** Refuses every recipient with its user, its configuration directory and what it was asked. */
const POLICY = `while read -r line; do
  case $line in
    sender=*) sender=\${line#sender=} ;;
    "") echo "action=550 5.7.1 $(id -un) $(basename "$MAIL_CONFIG") $1 says no to $sender"; echo ;;
  esac
done
`;

describe("spawn", { concurrency: false, timeout: 60_000 }, () => {
  let server: TestServer;
  let port: number;
  let inetPort: number;
  let policyPort: number;

  const masterCf = (greeting: string) => `${port} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service unix:private/policy }
${inetPort} inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:${policyPort} }
policy unix - n n - 0 spawn
  user=${account} argv=/bin/sh ${server.directory}/policy ${greeting}
127.0.0.1:${policyPort} inet n n n - 2 spawn user=${account} argv=/bin/sh ${server.directory}/policy inet
`;

  before(async () => {
    [port, inetPort, policyPort] = [await freePort(), await freePort(), await freePort()];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
local_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_policy_service_max_idle = 1s
postern_workers = 2
${isRoot ? "" : `mail_owner = ${account === "daemon" ? "bin" : "daemon"}`}`,
      masterCf: "",
      files: { policy: POLICY },
    });
    server.write("master.cf", masterCf("first"));
    await server.start();
  });
  after(() => server?.[Symbol.asyncDispose]());

  async function offer(to = port): Promise<string> {
    const client = await Conversation.open(to);
    await client.say("EHLO client.example");
    await client.say("MAIL FROM:<bob@example.net>");
    const reply = await client.say("RCPT TO:<friend@example.org>");
    client.close();
    return reply;
  }
  const answer = (word: string) =>
    `550 5.7.1 <friend@example.org>: Recipient address rejected: ${account} ${server.directory.split("/").at(-1)} ${word} says no to bob@example.net`;

  test("a policy server on a unix socket answers", async () => {
    assert.equal(await offer(), answer("first"));
    const { mode, uid } = statSync(join(server.directory, "spool/private"));
    assert.equal(mode & 0o777, 0o700, "nobody but mail_owner may connect");
    if (isRoot) assert.notEqual(uid, 0);
  });

  test("a policy server on an inet socket answers", async () => {
    assert.equal(await offer(inetPort), answer("inet"));
  });

  test("a reload takes over another command; a broken one is refused", async () => {
    server.write("master.cf", masterCf("second"));
    assert.deepEqual(await server.run(["reload"]), { code: 0, stdout: "", stderr: "" });
    // A connection that a worker keeps still talks to the first command.
    for (const end = Date.now() + 5000; (await offer()) !== answer("second"); ) assert.ok(Date.now() < end);
    server.write("master.cf", masterCf("third").replaceAll(`user=${account}`, "user=nobody-here"));
    const { code, stderr } = await server.run(["reload"]);
    assert.equal(code, 1);
    assert.match(stderr, /master\.cf:5: error: service "policy": unknown user name: nobody-here/);
    assert.match(server.log(), /master\[\d+\]: error: master\.cf:5: service "policy": unknown user name: nobody-here;/);
    assert.equal(await offer(), answer("second"));
  });

  test("the log has no complaint", () =>
    assert.doesNotMatch(server.log(), /warning: (?:command|spawn_command|problem talking|no answer|accept)/));

  test("the commands and the socket end with the server", async () => {
    const socket = join(server.directory, "spool/private/policy");
    assert.ok(statSync(socket).isSocket());
    await server.stop();
    assert.equal(statSync(socket, { throwIfNoEntry: false }), undefined);
  });
});
