/** Our client logs in at a real Postfix whose passwords a real Dovecot checks: each mechanism that both have. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createWorld } from "../../src/smtp/testdata/world.ts";
import { hasDovecot, TestDovecot } from "../testbed/dovecot.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort } from "../testbed/server.ts";

const skip = !(hasPostfix() && hasDovecot()) && "Postfix or Dovecot not installed, or not root";

describe("login at Postfix and Dovecot", { concurrency: false, timeout: 60_000, skip }, () => {
  let dovecot: TestDovecot;
  let postfix: TestPostfix;

  before(async () => {
    const port = await freePort();
    dovecot = new TestDovecot({ sockets: [], port, users: { alice: "secret" } });
    await dovecot.start();
    postfix = new TestPostfix(await freePort(), {
      mainCf: `mynetworks =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${port}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtp_tls_security_level = none
default_transport = discard`,
    });
    await postfix.start();
  });
  after(async () => {
    postfix?.stop();
    await dovecot?.remove();
  });

  async function outcomeOf(mechanism: string, login: string): Promise<string> {
    const world = createWorld({
      nexthop: `[127.0.0.1]:${postfix.port}`,
      settings: {
        smtp_sasl_auth_enable: "yes",
        smtp_sasl_password_maps: "inline:pw",
        smtp_sasl_security_options: "",
        smtp_sasl_mechanism_filter: mechanism,
      },
      tables: { "inline:pw": { "127.0.0.1": login } },
    });
    try {
      const [outcome] = await world.deliver({ recipients: ["someone@elsewhere.test"] });
      return `${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`;
    } finally {
      await world.agent.close();
    }
  }

  for (const mechanism of ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]) {
    test(`${mechanism}: logs in, and the relay takes the mail`, async () => {
      assert.match(await outcomeOf(mechanism, "alice:secret"), /^sent 2\.0\.0 250 2\.0\.0 Ok: queued as /);
      assert.match(postfix.log(), new RegExp(`sasl_method=${mechanism}, sasl_username=alice`, "i"));
    });

    test(`${mechanism}: a wrong password keeps the mail`, async () => {
      assert.match(
        await outcomeOf(mechanism, "alice:wrong"),
        /^deferred 4\.7\.8 SASL authentication failed; server \S+ said: 535 5\.7\.8 /,
      );
    });
  }
});
