/** smtpd_sasl_type = dovecot with a real Dovecot, over each spelling of smtpd_sasl_path: logins, refusals, and Dovecot's end
 *  and return while Postern runs. Each spelling is a service of its own of one Postern, whose workers are not root. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Conversation } from "../testbed/conversation.ts";
import { hasDovecot, TestDovecot } from "../testbed/dovecot.ts";
import { logIn, MECHANISMS } from "../testbed/login.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const ALICE = { login: "alice@example.org", password: "correct horse" };
const WRONG = { login: ALICE.login, password: "wrong" };
const MESSAGE = { from: ALICE.login, to: "someone@example.org", content: "Subject: x\r\n\r\nx" };
const GOOD = "235 2.7.0 Authentication successful";
const ACCESS_DENIED = `554 5.7.1 <${MESSAGE.to}>: Recipient address rejected: Access denied`;

/** Connected and greeted; closed at the end of the scope. */
async function connect(port: number): Promise<Conversation & Disposable & { readonly ehlo: string }> {
  const client = await Conversation.open(port);
  const ehlo = await client.say("EHLO client.example");
  return Object.assign(client, { ehlo, [Symbol.dispose]: () => client.close() });
}

async function loggedIn(port: number): Promise<string> {
  using client = await connect(port);
  return await logIn(client, "PLAIN", ALICE);
}

describe("a real Dovecot", { concurrency: false, timeout: 120_000, skip: !hasDovecot() && "not installed" }, () => {
  let server: TestServer;
  let dovecot: TestDovecot;
  const services = new Map<string, number>();

  before(async () => {
    const [unix, relative, inet, dovecotPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ] as const;
    server = new TestServer({ mainCf: "", masterCf: "" });
    const absolute = join(server.directory, "auth-client");
    const paths = [
      [unix, `unix:${absolute}`, "absolute"],
      [relative, "private/auth", "relative"],
      [inet, `inet:127.0.0.1:${dovecotPort}`, "inet"],
    ] as const;
    for (const [port, , name] of paths) services.set(name, port);
    server.append(
      "main.cf",
      `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
local_transport = discard:
mynetworks =
smtpd_sasl_type = dovecot
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
`,
    );
    server.write(
      "master.cf",
      paths.map(([port, path]) => `${port} inet n - n - - smtpd\n  -o smtpd_sasl_path=${path}\n`).join(""),
    );
    mkdirSync(join(server.directory, "spool/private"), { recursive: true });
    dovecot = new TestDovecot({
      sockets: [absolute, join(server.directory, "spool/private/auth")],
      port: dovecotPort,
      users: { [ALICE.login]: ALICE.password },
    });
    await server.start();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await dovecot?.remove();
  });

  const each = (title: string, run: (port: number) => Promise<void>) => {
    for (const name of ["absolute", "relative", "inet"]) {
      test(`${name} path: ${title}`, () => run(services.get(name) ?? 0));
    }
  };

  each("before Dovecot runs nobody gets in", async (port) => {
    using client = await connect(port);
    assert.match(await logIn(client, "PLAIN", ALICE), /^(?:454 4\.7\.0|50\d 5\.5\.\d) /);
    assert.equal(await client.send(MESSAGE), ACCESS_DENIED);
  });

  test("Dovecot starts, and each service finds it by itself", async () => {
    await dovecot.start();
    await eventually(async () => {
      for (const port of services.values()) assert.equal(await loggedIn(port), GOOD);
    });
  });

  each("what Dovecot has is announced, strong mechanisms first", async (port) => {
    using client = await connect(port);
    const announced = /250[- ]AUTH (.*)/.exec(client.ehlo)?.[1]?.trimEnd().split(" ") ?? [];
    assert.deepEqual(announced.toSorted(), [...MECHANISMS].sort());
    assert.deepEqual(announced.slice(2).toSorted(), ["LOGIN", "PLAIN"]);
  });

  for (const mechanism of MECHANISMS) {
    each(`${mechanism}: a right password lets mail in, with the login in the log`, async (port) => {
      using client = await connect(port);
      assert.equal(await logIn(client, mechanism, ALICE), GOOD);
      const queued = await client.send(MESSAGE);
      const id = /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(queued)?.[1];
      assert.ok(id, queued);
      await server.logged(new RegExp(`${id}: client=.*, sasl_method=${mechanism}, sasl_username=alice@example\\.org`));
    });
    each(`${mechanism}: a wrong password is refused and opens nothing`, async (port) => {
      using client = await connect(port);
      assert.match(await logIn(client, mechanism, WRONG), /^535 5\.7\.8 Error: authentication failed/);
      assert.match(await logIn(client, mechanism, { login: "nobody@example.org", password: "x" }), /^535 5\.7\.8 /);
      assert.equal(await client.send(MESSAGE), ACCESS_DENIED);
      assert.equal(await client.say("RSET"), "250 2.0.0 Ok");
      assert.equal(await logIn(client, mechanism, ALICE), GOOD, "the same connection may try again");
    });
  }

  each("an abandoned exchange leaves the shared connection usable", async (port) => {
    using client = await connect(port);
    assert.match(await client.say("AUTH CRAM-MD5"), /^334 /);
    assert.match(await client.say("*"), /^501 5\.7\.0 /);
    using gone = await connect(port);
    assert.match(await gone.say("AUTH LOGIN"), /^334 /);
    gone.close();
    assert.equal(await loggedIn(port), GOOD);
  });

  each("many at once each get their own answer", async (port) => {
    const one = async (i: number) => {
      using client = await connect(port);
      const reply = await logIn(client, MECHANISMS[i % 4] ?? "PLAIN", i % 3 === 0 ? WRONG : ALICE);
      assert.equal(reply.slice(0, 3), i % 3 === 0 ? "535" : "235", `client ${i}`);
    };
    await Promise.all(Array.from({ length: 36 }, (_, i) => one(i)));
  });

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(`after ${signal} to Dovecot every login gets 454 4.7.0, and no door is open`, async () => {
      const workers = await server.workerPids();
      const halfway = await connect(services.get("relative") ?? 0);
      assert.match(await halfway.say("AUTH LOGIN"), /^334 /);
      await dovecot.kill(signal);
      assert.match(
        await halfway.say(Buffer.from(ALICE.login).toString("base64")),
        /^454 4\.7\.0 /,
        "asked before its end",
      );
      halfway.close();
      for (const port of services.values()) {
        for (const mechanism of MECHANISMS) {
          using client = await connect(port);
          const reply = await logIn(client, mechanism, ALICE);
          assert.match(reply, /^454 4\.7\.0 Temporary authentication failure/, mechanism);
          assert.equal(await client.send(MESSAGE), ACCESS_DENIED);
          assert.match(await client.say("NOOP"), /^250 /);
        }
      }
      await server.logged(/warning: SASL: Connect(?:ion lost)? to private\/auth failed/);
      assert.deepEqual(await server.workerPids(), workers, "the server is alive");
    });

    test(`after ${signal} and a new start of Dovecot logins work, without a restart of Postern`, async () => {
      const workers = await server.workerPids();
      await dovecot.start();
      for (const port of services.values()) await eventually(async () => assert.equal(await loggedIn(port), GOOD));
      assert.deepEqual(await server.workerPids(), workers);
    });
  }
});

/** Repeats until it holds; its last error if that takes longer than Postern's longest wait between two tries. */
async function eventually(check: () => Promise<void>, timeoutMs = 35_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; ; await sleep(100)) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
