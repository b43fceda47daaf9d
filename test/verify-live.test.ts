/** test/verify-live.test.ts: `postern verify --live` against a running server: what it says up to RCPT agrees with the proof;
 *  a server that runs another configuration is found out; and no message is left behind. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const PASSWORD = "correct horse";

describe("postern verify --live", () => {
  let server: TestServer;
  let smtp: number;
  let submission: number;
  let submissions: number;

  before(async () => {
    [smtp, submission, submissions] = [await freePort(), await freePort(), await freePort()];
    server = new TestServer({
      mainCf: `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
mynetworks = 127.0.0.1/32
postern_workers = 1
smtpd_sasl_type = postern
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination`,
      masterCf: `${smtp} inet n - n - - smtpd
${submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
${submissions} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
`,
    });
    const made = makeSelfSigned(["mail.example.org"], Date.now());
    server.write("site.pem", made.keyPem + made.certificatePem);
    server.append("main.cf", `smtpd_tls_chain_files = ${server.directory}/site.pem\n`);
    await server.addUser("alice", PASSWORD);
    await server.start();
  });
  after(() => server[Symbol.asyncDispose]());

  const LOGIN = ["--login", "alice", "--password-stdin"];

  test("a stranger and a login agree with the proof, over every listener", async () => {
    const args = ["verify", "--live", "--from-address", "127.0.0.9", ...LOGIN];
    const { code, stdout, stderr } = await server.run(args, `${PASSWORD}\n`);
    assert.deepEqual([code, stderr], [0, ""]);
    const probes = stdout.split(/^(?=\d+ at 127\.0\.0\.1:)/m).slice(1);
    const told = probes.map((text) => [text.split("\n", 1)[0], /^ {2}(?:accepted|refused).*/m.exec(text)?.[0]?.trim()]);
    const at = (port: number, how: string, client: string) =>
      `${port} at 127.0.0.1:${port}, ${how}, from 127.0.0.9${client}`;
    assert.deepEqual(told, [
      [at(smtp, "in clear", ", stranger in clear"), "refused at RCPT, as proven (never)"],
      [at(smtp, "with TLS", ", stranger with TLS"), "refused at RCPT, as proven (never)"],
      [at(submission, "in clear", ", stranger in clear"), "refused at MAIL, as proven (never)"],
      [at(submission, "with TLS", ", stranger with TLS"), "refused at RCPT, as proven (never)"],
      [at(submission, "logged in", ""), "accepted, as proven (always)"],
      [at(submissions, "with TLS", ", stranger with TLS"), "refused at RCPT, as proven (never)"],
      [at(submissions, "logged in", ""), "accepted, as proven (always)"],
    ]);
    assert.match(probes[0] ?? "", /S: 554 5\.7\.1 <user@postern-verify\.invalid>: Relay access denied/);
    const secret = Buffer.from(`\0alice\0${PASSWORD}`).toString("base64");
    assert.ok(!stdout.includes(PASSWORD) && !stdout.includes(secret), "the password is not shown");
  });

  test("from an address in mynetworks it says that it is no stranger", async () => {
    const { code, stdout } = await server.run(["verify", "--live", "--json", "--to", "someone@elsewhere.example"]);
    assert.equal(code, 0);
    const [clear] = JSON.parse(stdout).live;
    assert.deepEqual(
      [clear.client, clear.outcome, clear.proven, clear.agreement],
      ["mynetworks", "accepted", "always", "agrees"],
    );
    assert.ok(clear.dialogue.includes("C: RCPT TO:<someone@elsewhere.example>"));
    assert.deepEqual(
      clear.dialogue.filter((line: string) => /^C: (?:DATA|BDAT)/.test(line)),
      [],
    );
  });

  test("a wrong password is no acceptance", async () => {
    const args = ["verify", "--live", "--json", "--from-address", "127.0.0.9", ...LOGIN];
    const { stdout } = await server.run(args, "wrong\n");
    const logins = JSON.parse(stdout).live.filter((one: { how: string }) => one.how === "logged in");
    assert.equal(logins.length, 2);
    for (const one of logins) assert.deepEqual([one.outcome, one.at, one.agreement], ["refused", "AUTH", "other"]);
  });

  test("a server that lets through what was proven never is found out", async () => {
    const before = readFileSync(join(server.directory, "main.cf"), "utf8");
    server.write("main.cf", before.replace("mynetworks = 127.0.0.1/32", "mynetworks = 127.0.0.9/32"));
    try {
      const { code, stdout, stderr } = await server.run(["verify", "--live"]);
      assert.equal(code, 1);
      assert.match(stdout, /ACCEPTED, BUT PROVEN NEVER: the server runs another configuration/);
      assert.match(stderr, /^postern: verify: the running server does what was proven not to happen\n$/);
    } finally {
      server.write("main.cf", before);
    }
  });

  test("options that do not fit are refused before anything is asked", async () => {
    for (const [args, says] of [
      [["verify", "--login", "alice"], /these options need --live/],
      [["verify", "--live", "--login", "alice"], /--login and --password-stdin go together/],
      [["verify", "--live", "--from-address", "here"], /--from-address: no address: "here"/],
      [["verify", "--live", "--to", "a b"], /--to: no address/],
    ] as const) {
      const { code, stderr } = await server.run(args);
      assert.equal(code, 64);
      assert.match(stderr, says);
    }
  });

  test("nothing is queued, and without a server that is said", async () => {
    const { stdout } = await server.run(["mailq"]);
    assert.match(stdout, /Mail queue is empty/);
    await server.stop();
    const { code, stderr } = await server.run(["verify", "--live"]);
    assert.equal(code, 69);
    assert.match(stderr, /no service answered; is the mail system running\?/);
  });
});
