/** `postern selftest` beside the running server of the same configuration: each row passes there and is a test of its own
 *  here; what is broken, or switched off, is told. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { SelftestResult } from "../src/admin/selftest-player.ts";
import { REPLY_RULES } from "../src/admin/selftest-reply-rules.ts";
import { SELFTEST_ROWS } from "../src/admin/selftest-rows.ts";
import { makeSelfSigned } from "../src/net/self-signed.ts";
import { OTHER_UID } from "./testbed/other-user.ts";
import { freePort, TestServer } from "./testbed/server.ts";

const MAIN_CF = `compatibility_level = 3.10
mydestination = example.org
local_recipient_maps =
mynetworks = 127.0.0.0/8
smtpd_tls_security_level = may
smtpd_tls_chain_files = $config_directory/site.pem
postern_dkim_signing_file = $config_directory/dkim-keys
`;
/** Needs a service that takes logins in clear. */
const NOT_HERE = ["SMTP-10"];

interface Answer {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly rows: readonly SelftestResult[];
}

describe("postern selftest", { concurrency: false, timeout: 120_000 }, () => {
  let server: TestServer;
  let temporary: string;
  let whole: { code: number; answer: Answer };
  before(async () => {
    temporary = mkdtempSync(join(tmpdir(), "postern-test-selftest-"));
    chmodSync(temporary, 0o777);
    process.env["TMPDIR"] = temporary;
    const { keyPem, certificatePem } = makeSelfSigned(["mail.example.org"], Date.now());
    const login = `-o smtpd_sasl_auth_enable=yes
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }`;
    server = new TestServer({
      mainCf: MAIN_CF,
      masterCf: `${await freePort()} inet n - n - - smtpd
${await freePort()} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  ${login}
${await freePort()} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  ${login}
`,
      files: {
        "site.pem": keyPem + certificatePem,
        "dkim-keys": "example.org s1 dkim.pem sign\n",
        "dkim.pem": generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      },
    });
    for (const name of ["site.pem", "dkim.pem"]) chmodSync(join(server.directory, name), 0o600);
    await server.addUser("alice@example.org", "secret");
    await server.start();
    const { code, stdout, stderr } = await server.run(["selftest", "--json"]);
    assert.equal(stderr, "");
    whole = { code, answer: JSON.parse(stdout) };
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(temporary, { recursive: true, force: true });
  });

  for (const { ids, what } of SELFTEST_ROWS.filter((row) => !row.ids.some((id) => NOT_HERE.includes(id)))) {
    test(`${ids.join(", ")}: ${what}`, () => {
      const result = whole.answer.rows.find((row) => row.what === what);
      assert.equal(result?.outcome, "passed", `${result?.dialogue.join("\n")}\n${result?.why}`);
    });
  }

  for (const [id, what] of REPLY_RULES) {
    test(`${id}: ${what}`, () => {
      const result = whole.answer.rows.find((row) => row.ids[0] === id && row.service === "all replies");
      assert.equal(result?.outcome, "passed", result?.dialogue.join("\n"));
    });
  }

  test("exit 0, every row once, and the running server has noticed nothing", () => {
    const { code, answer } = whole;
    assert.equal(code, 0);
    assert.equal(answer.rows.length, SELFTEST_ROWS.length + REPLY_RULES.size);
    assert.deepEqual([answer.passed, answer.failed, answer.skipped], [answer.rows.length - 1, 0, 1]);
    assert.doesNotMatch(server.log(), /203\.0\.113\.9|selftest@/);
    assert.deepEqual(readdirSync(temporary), [basename(server.directory)]);
  });

  test("a row without its service, and an id that is none", async () => {
    const unknown = await server.run(["selftest", "SMTP-99"]);
    assert.deepEqual(
      [unknown.code, unknown.stderr],
      [64, 'postern: selftest: no row has the id "SMTP-99"; see: postern selftest --list\n'],
    );
    const list = await server.run(["selftest", "--list", "tls-20"]);
    assert.equal(list.stdout, "TLS-20 (submissions): TLS from the first byte, and a login\n");
  });

  test("as a user who may read neither key nor users", () => {
    const words = [...server.words(["selftest", "AUTH-02", "TLS-20"])];
    const { status, stdout } = spawnSync(process.execPath, words, { encoding: "utf8", uid: OTHER_UID });
    assert.match(stdout, /6 passed, 0 failed, 0 skipped\n$/);
    if (OTHER_UID !== undefined)
      assert.match(stdout, /^You may not read the TLS keys: .*\nYou may not read the DKIM keys: /);
    assert.equal(status, 0);
  });

  test("what fails is told with its dialogue; what the configuration takes away is skipped, with its reason", async () => {
    const broken = `smtpd_banner = hello
smtpd_relay_restrictions = check_recipient_access inline:{ someone@selftest.invalid=OK }, reject_unauth_destination
postern_allow_open_relay = yes
disable_vrfy_command = yes
smtpd_recipient_restrictions = check_recipient_access regexp:{{/^l{64}@/ REJECT}}
header_checks = regexp:{{/^Subject: longer/ IGNORE}}
`;
    server.append("main.cf", broken); // the running server does not see it
    const { code, stdout, stderr } = await server.run(["selftest", "SMTP-01", "SMTP-35", "DAT-05", "SUB-16", "DAT-08"]);
    assert.deepEqual([code, stderr], [1, ""]);
    assert.match(
      stdout,
      /^FAILED SMTP-01: .* \(\d+\)\n {2}S: 220 hello\n {2}expected: 220 mail\.example\.org\.\.\.\nFAILED SUB-16: /,
    );
    assert.match(stdout, /\n {2}C: RCPT TO:<someone@selftest\.invalid>\n {2}S: 250 .*\n {2}expected: anything but 2/);
    assert.match(stdout, /FAILED DAT-08[\s\S]*\(arrived: [\s\S]*the message that arrives has not "Subject: longer"\n/);
    assert.match(
      stdout,
      /\nskipped: a restriction refuses it: 554 5\.7\.1 <\.{3}>: Recipient address rejected: [\s\S]*DAT-05/,
    );
    assert.match(stdout, /\nskipped: disable_vrfy_command = yes: SMTP-35\n/);
    assert.match(stdout, /\n {2}\(recipients in another domain: --domain\)\n4 passed, 3 failed, 2 skipped\n$/);
  });

  test("a FILTER of a table leads nowhere: mail of the test stays on this machine", async () => {
    let connections = 0;
    const outside = net.createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => outside.listen(0, "127.0.0.1", resolve));
    const { port } = outside.address() as net.AddressInfo;
    const filter = `smtpd_helo_restrictions = check_client_access static:{FILTER smtp:[127.0.0.1]:${port}}\n`;
    server.append("main.cf", filter);
    const { code, stdout } = await server.run(["selftest", "DAT-08"]);
    outside.close();
    assert.deepEqual([code, connections], [1, 0], stdout);
  });

  test("errors are told with the operator's own files and lines, as check tells them; exit 78", async () => {
    const broken = `# a comment
smtpd_client_restrictions = check_client_access texthash:$config_directory/nothere

smtpd_data_restrictions =
  permit_mynetworks,
  reject_nonsense
`;
    server.append("main.cf", broken);
    server.append("master.cf", "# more\n  -o { smtpd_sender_restrictions = reject_foo }\n");
    const errors = (text: string) => text.split("\n").filter((line) => line.includes(": error: "));
    const { code, stdout, stderr } = await server.run(["selftest", "SMTP-01"]);
    assert.deepEqual([code, stdout], [78, ""]);
    const check = await server.run(["check"]);
    assert.deepEqual(errors(stderr), errors(check.stdout));
    assert.deepEqual(
      errors(stderr).map((line) => /^(\S+): error/.exec(line)?.[1]),
      [
        `main.cf:${lineOf("main.cf", "nothere")}`,
        `main.cf:${lineOf("main.cf", "smtpd_data_restrictions")}`,
        `master.cf:${lineOf("master.cf", "reject_foo")}`,
      ],
    );
    assert.match(stderr, /^postern: selftest: no server starts with a copy of this configuration \(it ended with 78\)/);
  });

  function lineOf(file: string, text: string): number {
    const lines = readFileSync(join(server.directory, file), "utf8").split("\n");
    return lines.findIndex((line) => line.includes(text)) + 1;
  }
});
