/** pgsql: and mysql: tables whose real server is restarted, killed, too slow, or hangs; then Postern itself, whose workers are not
 *  root and ask over SMTP. */
import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TableError } from "../../src/tables/table.ts";
import { Conversation } from "../testbed/conversation.ts";
import { eventually } from "../testbed/eventually.ts";
import { POSTGRES_PASSWORD } from "../testbed/postgres.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { DATABASES, type Database, SCHEMA, SQL_PASSWORD, SqlTables } from "../testbed/sql-databases.ts";

for (const kind of DATABASES) {
  describe(`a ${kind.name} that fails`, { concurrency: false, timeout: 240_000 }, () => {
    let database: Database;
    let tables: SqlTables;

    before(async () => {
      database = await kind.start();
      tables = new SqlTables(database);
      await database.sql(...SCHEMA);
    });
    after(async () => {
      await tables?.close();
      await database?.remove();
    });

    test("a server that is restarted between lookups is not noticed", async () => {
      const plain = tables.open();
      assert.equal(await plain.get("one@example.org"), "first");
      await database.stop();
      await database.start();
      assert.equal(await plain.get("one@example.org"), "first");
    });

    test("a server that is killed in the middle of a query is a TableError, and used again when it is back", async () => {
      const slow = tables.open({ query: database.sleeping(5), retry_interval: 1 });
      const plain = tables.open({ retry_interval: 1 });
      assert.equal(await plain.get("one@example.org"), "first");
      const asked = assert.rejects(async () => slow.get("one@example.org"), TableError);
      await sleep(500);
      await database.kill();
      await asked;
      await assert.rejects(async () => plain.get("one@example.org"), TableError);
      await database.start();
      await eventually(async () => assert.equal(await plain.get("one@example.org"), "first"));
    });

    test("a query that takes too long is a TableError", async () => {
      const started = Date.now();
      await assert.rejects(
        async () => tables.open({ query: database.sleeping(60) }).get("one@example.org"),
        /within 10 seconds/,
      );
      assert.ok(Date.now() - started < 15_000);
    });

    test("a server that hangs is a TableError in bounded time, and the second host answers meanwhile", async () => {
      const second = await kind.start();
      try {
        await second.sql(...SCHEMA);
        const alone = tables.open({ retry_interval: 1 });
        const both = tables.open({ hosts: `127.0.0.1:${database.port} 127.0.0.1:${second.port}`, retry_interval: 600 });
        database.signal("SIGSTOP");
        const started = Date.now();
        const hung = assert.rejects(async () => alone.get("one@example.org"), TableError);
        const answers = await Promise.all(Array.from({ length: 8 }, () => both.get("one@example.org")));
        assert.ok(answers.every((answer) => answer === "first"));
        await hung;
        assert.ok(Date.now() - started < 25_000, `${Date.now() - started} ms`);
        const rested = Date.now();
        assert.equal(await both.get("one@example.org"), "first");
        assert.ok(Date.now() - rested < 2_000, "the host that hangs is not asked again");
        database.signal("SIGCONT");
        await eventually(async () => assert.equal(await alone.get("one@example.org"), "first"));
        await database.kill();
        assert.equal(await both.get("one@example.org"), "first");
        await database.start();
      } finally {
        database.signal("SIGCONT");
        await second.remove();
      }
    });

    test("over SMTP: check_sender_access and smtpd_sender_login_maps accept, refuse, and defer without the database", async () => {
      const [access, owners] = [await freePort(), await freePort()];
      await using server = await startServer({ database, tables, access, owners });
      assert.match(await say(access, "good@example.org"), /^250 /);
      assert.equal(
        await say(access, "Bad@example.org"),
        "550 5.7.1 <Bad@example.org>: Sender address rejected: Not you",
      );
      assert.match(await say(access, "x@sub.evil.test"), /^554 5\.7\.1 .*go away$/);
      assert.match(await say(access, "x'or'1'='1@example.org"), /^250 /);
      assert.match(await say(owners, "alice@example.org", true), /^250 /);
      assert.match(await say(owners, "info@example.org", true), /^250 /);
      assert.match(await say(owners, "bob@example.org", true), /^553 5\.7\.1 .*not owned by user alice$/);
      assert.match(await say(owners, "alice@example.org"), /^553 5\.7\.1 .*not logged in$/);
      await database.kill();
      assert.match(await say(access, "good@example.org"), /^451 4\.3\./);
      assert.match(await say(access, "bad@example.org"), /^451 4\.3\./);
      assert.match(await say(owners, "alice@example.org", true), /^451 4\.3\./);
      await server.logged(new RegExp(`warning: connect to ${database.type} server 127\\.0\\.0\\.1:${database.port}: `));
      assert.ok(!server.log().includes(SQL_PASSWORD) && !server.log().includes(POSTGRES_PASSWORD));
      await database.start();
      await eventually(async () => assert.match(await say(access, "good@example.org"), /^250 /));
      assert.match(await say(access, "bad@example.org"), /^550 5\.7\.1 /);
      await eventually(async () => assert.match(await say(owners, "alice@example.org", true), /^250 /));
    });

    test("over SMTP: a database that is away at the start defers, and needs no restart; the settings are for root only", async () => {
      const port = await freePort();
      await using server = new TestServer({
        mainCf: "",
        masterCf: `${port} inet n - n - - smtpd\n`,
        files: {
          "domains.cf": tables.settings({ retry_interval: 1, query: "SELECT goto FROM domains WHERE name = '%s'" }),
        },
      });
      const cf = join(server.directory, "domains.cf");
      chmodSync(cf, 0o600);
      server.append(
        "main.cf",
        `compatibility_level = 3.10
mydestination =
mynetworks =
virtual_mailbox_domains = ${database.type}:${cf}
virtual_mailbox_maps =
virtual_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
`,
      );
      await database.sql("CREATE TABLE domains (name varchar(200), goto varchar(200))");
      await database.sql("INSERT INTO domains VALUES ('box.example', 'ok')");
      await database.stop();
      await server.start();
      assert.match(await sayRcpt(port, "anyone@box.example"), /^451 4\.3\.0 /);
      await server.logged(new RegExp(`warning: connect to ${database.type} server 127\\.0\\.0\\.1:${database.port}: `));
      await database.start();
      await eventually(async () => assert.match(await sayRcpt(port, "anyone@box.example"), /^250 /));
      // The other worker may let the host rest for another second.
      await eventually(async () => assert.match(await sayRcpt(port, "anyone@other.example"), /^554 5\.7\.1 /));
      assert.ok(!server.log().includes(SQL_PASSWORD) && !server.log().includes(POSTGRES_PASSWORD));
    });
  });
}

interface Served {
  readonly database: Database;
  readonly tables: SqlTables;
  /** Ports: one service asks check_sender_access, the other smtpd_sender_login_maps. */
  readonly access: number;
  readonly owners: number;
}

async function startServer({ database, tables, access, owners }: Served): Promise<TestServer> {
  await database.sql(
    "CREATE TABLE senders (address varchar(200), action varchar(200))",
    "INSERT INTO senders VALUES ('bad@example.org', '550 5.7.1 Not you'), ('evil.test', 'REJECT go away')",
    "CREATE TABLE owners (address varchar(200), login varchar(200))",
    "INSERT INTO owners VALUES ('alice@example.org', 'alice'), ('info@example.org', 'bob'), ('info@example.org', 'alice')",
    "INSERT INTO owners VALUES ('bob@example.org', 'bob')",
  );
  const server = new TestServer({
    // One worker: each has connections of its own, and asks a host that failed again when its own pause is over.
    mainCf: `compatibility_level = 3.10
postern_workers = 1
mydestination = example.org
local_recipient_maps =
local_transport = discard:
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_delay_reject = no`,
    masterCf: "",
  });
  const [accessCf, ownersCf] = [join(server.directory, "access.cf"), join(server.directory, "owners.cf")];
  server.write(
    "master.cf",
    `${access} inet n - n - - smtpd
  -o {smtpd_sender_restrictions=check_sender_access ${database.type}:${accessCf}}
${owners} inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o {smtpd_sender_login_maps=proxy:${database.type}:${ownersCf}}
  -o {smtpd_sender_restrictions=reject_sender_login_mismatch}
`,
  );
  const query = { retry_interval: 1, query: "SELECT action FROM senders WHERE address = '%s'" };
  server.write("access.cf", tables.settings(query));
  server.write(
    "owners.cf",
    tables.settings({ retry_interval: 1, query: "SELECT login FROM owners WHERE address = '%s'" }),
  );
  await server.addUser("alice", "correct horse");
  await server.start();
  return server;
}

/** The reply to MAIL. */
async function say(port: number, sender: string, login = false): Promise<string> {
  const client = await Conversation.open(port);
  await client.say("EHLO client.example");
  if (login) assert.match(await client.authPlain("alice", "correct horse"), /^235 /);
  const reply = await client.say(`MAIL FROM:<${sender}>`);
  client.close();
  return reply;
}

/** The reply to RCPT. */
async function sayRcpt(port: number, recipient: string): Promise<string> {
  const client = await Conversation.open(port);
  await client.say("EHLO client.example");
  await client.say("MAIL FROM:<>");
  const reply = await client.say(`RCPT TO:<${recipient}>`);
  client.close();
  return reply;
}
