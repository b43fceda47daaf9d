/** test/diff.test.ts: `postern diff` as an operator sees it: golden output, exit codes, what JSON holds. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { diff } from "../src/cli/diff.ts";
import { formatDecision } from "../src/decisions/decision.ts";

type Files = Readonly<Record<string, string>>;

const MAIN = `compatibility_level = 3.10
myhostname = mail.example.org
mydestination = example.org
inet_interfaces = 127.0.0.1
queue_directory = @/spool
data_directory = @/spool
mynetworks = 127.0.0.0/8
alias_maps =
smtpd_client_restrictions = check_client_access texthash:@/old/clients
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:@/old/recipients, reject_unlisted_recipient
smtp_sasl_password_maps = texthash:@/old/passwords
`;

const OLD: Files = {
  "main.cf": MAIN,
  "master.cf": `2525 inet n - n - - smtpd
2587 inet n - n - 50 smtpd
  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=postern
2526 inet n - n - - smtpd
`,
  clients: "192.0.2.1 REJECT\n192.0.2.2 OK\n",
  recipients: "/^root@/ REJECT\n/^all@/ REJECT no\n",
  passwords: "relay.test me:first\n",
};

const NEW: Files = {
  "main.cf": `${MAIN.replace("127.0.0.0/8", "127.0.0.0/8, 10.0.0.0/8").replace("@/spool", "@/spool2")}
trusted = permit_mynetworks, permit_sasl_authenticated
smtpd_relay_restrictions = $trusted reject_unauth_destination
smtpd_helo_required = yes
`,
  "master.cf": `2525 inet n - n - - smtpd
2587 inet n - n - 100 smtpd
  -o smtpd_sasl_auth_enable=yes -o smtpd_sasl_type=postern -o smtpd_helo_required=no
  -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }
2527 inet n - n - - smtpd
  -o syslog_name=postfix/third
`,
  clients: "192.0.2.1 OK\n192.0.2.9 REJECT go away\n",
  recipients: "/^all@/ REJECT no\n/^root@/ REJECT\n",
  passwords: "relay.test me:second\n",
};

const GOLDEN = `Who can send where
  2527: a stranger in clear text to local domains: never -> always
  2527: a client in mynetworks to foreign domains, to local domains: never -> always
  2587: a stranger in clear text to local domains: always -> never
  2526: a stranger in clear text to local domains: always -> never
  2587: a client in mynetworks to foreign domains, to local domains: always -> never
  2526: a client in mynetworks to foreign domains, to local domains: always -> never

Services
  added      2527 inet smtpd (master.cf:5)
               -o syslog_name = postfix/third
  removed    2526 inet smtpd (master.cf:4)
  changed    2587: process limit 50 -> 100 (master.cf:2)

Parameters
  mynetworks: 127.0.0.0/8 -> 127.0.0.0/8, 10.0.0.0/8 (main.cf:7)
  postern_authentication_trusted_clients: 127.0.0.0/8 -> 127.0.0.0/8, 10.0.0.0/8 (default)
  queue_directory: @/spool -> @/spool2 (main.cf:5)
  smtpd_client_event_limit_exceptions: 127.0.0.0/8 -> 127.0.0.0/8, 10.0.0.0/8 (default)
  smtpd_client_restrictions: 2587 only
    - check_client_access texthash:@/old/clients (main.cf:9)
    + permit_sasl_authenticated, reject (master.cf:4)
  smtpd_forbid_bare_newline_exclusions: 127.0.0.0/8 -> 127.0.0.0/8, 10.0.0.0/8 (default)
  smtpd_helo_required: no -> yes (main.cf:16), all but 2587

Tables and files
  @/old/clients (smtpd_client_restrictions), changed: 1 added, 1 removed, 1 changed
    ~ 1: 192.0.2.1: REJECT -> OK
    - 2: 192.0.2.2 OK
    + 2: 192.0.2.9 REJECT go away
  @/old/passwords (smtp_sasl_password_maps), changed
  @/old/recipients (smtpd_recipient_restrictions), changed: another order

`;

describe("postern diff", () => {
  let directory: string;
  before(() => {
    // Not tmpdir(): the golden text wraps by the length of this name.
    directory = mkdtempSync("/tmp/d");
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function write(name: string, files: Files): string {
    const path = join(directory, name);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text.replaceAll("@", directory));
    return path;
  }

  async function run(files: Files, ...options: readonly string[]) {
    const configDirectory = write("old", OLD);
    const args = [write("new", files), ...options];
    let [stdout, stderr] = ["", ""];
    const code = await diff(args, {
      configDirectory,
      verbose: false,
      colours: false,
      stdout(text) {
        stdout += text;
      },
      stderr(text) {
        stderr += text;
      },
      stdin: async () => "",
    });
    assert.ok(stdout.split("\n").every((line) => line.length <= 100 || options.includes("--json")));
    return { code, stdout: stdout.replaceAll(directory, "@"), stderr: stderr.replaceAll(directory, "@") };
  }

  test("tells services, parameters and tables that change in meaning", async () => {
    const { code, stdout } = await run(NEW);
    assert.equal(stdout.slice(0, GOLDEN.length), GOLDEN);
    assert.match(stdout, /To apply\n {2}queue_directory: stop and start\n {2}postern reload applies the rest/);
    assert.match(stdout, /opens 127\.0\.0\.1:2527; closes 127\.0\.0\.1:2526\n/);
    assert.doesNotMatch(stdout, /me:|second/, "no password is shown");
    assert.equal(code, 0);
  });

  test("an open relay is the first line", async () => {
    const { code, stdout } = await run({ ...OLD, "main.cf": `${MAIN}smtpd_relay_restrictions = permit\n` });
    assert.match(
      stdout,
      /^Who can send where\n {2}25\d\d: a stranger in clear text to foreign domains: never -> ALWAYS\n/,
    );
    assert.equal(code, 1);
  });

  test("a rewrite that means the same is no change", async () => {
    const main = `# rewritten\nours = example.org\n${MAIN.replace("= example.org", "= $ours").replaceAll(", ", "\n   ")}`;
    assert.deepEqual(await run({ ...OLD, "main.cf": main, clients: `# c\n192.0.2.1 REJECT\n192.0.2.2 OK\n` }), {
      code: 0,
      stdout: "no change in meaning\n",
      stderr: "",
    });
  });

  test("files that the new directory does not have are taken from the old one", async () => {
    const { code, stdout } = await run({ "main.cf": MAIN, "master.cf": OLD["master.cf"] ?? "" });
    assert.match(stdout, /^no change in meaning\nNot in the new directory, so taken as they are here: @\/old\/clients/);
    assert.equal(code, 0);
  });

  test("a changed table needs no reload", async () => {
    const { stdout } = await run({ ...OLD, clients: "192.0.2.1 OK\n" });
    assert.match(stdout, /To apply\n {2}a running server notices changed tables and files by itself\n/);
  });

  test("without stored decisions a replay says so", async () => {
    const { code, stdout } = await run(OLD, "--replay");
    assert.equal(
      stdout,
      "no change in meaning\n\nRecent decisions\n  none are stored (postern_decision_log_limit)\n\n",
    );
    assert.equal(code, 0);
  });

  test("a replay under values that cannot be read says so", async () => {
    mkdirSync(join(directory, "spool"));
    const client = { address: "192.0.2.9", name: "unknown", reverseName: "unknown", nameStatus: "missing" } as const;
    const decision = { at: 1, service: "2525", stage: "rcpt", client, sender: "", recipient: "u@example.org" } as const;
    writeFileSync(join(directory, "spool/decisions.0"), formatDecision({ ...decision, result: "accepted", code: 250 }));
    const { code, stdout } = await run({ ...OLD, "main.cf": `${MAIN}smtpd_timeout = soon\n` }, "--replay");
    rmSync(join(directory, "spool"), { recursive: true });
    assert.match(stdout, /Recent decisions\n {2}cannot be replayed: bad time configuration: smtpd_timeout = soon\n/);
    assert.equal(code, 1);
  });

  test("errors of the new configuration are told, and exit 1", async () => {
    const bad = { ...OLD, "main.cf": `${MAIN}smtpd_helo_required = perhaps\n` };
    const { code, stdout } = await run(bad);
    assert.match(stdout, /new {4}main\.cf:13: error: bad boolean configuration: smtpd_helo_required = perhaps\n/);
    assert.match(stdout, /To apply\n {2}the new configuration has 1 error: start and reload refuse it/);
    assert.equal(code, 1);
    const broken = await run({ ...OLD, "main.cf": "no equals sign\n" });
    assert.deepEqual([broken.code, broken.stdout], [1, ""]);
    assert.match(broken.stderr, /main\.cf:1: error: missing '=' after attribute name/);
  });

  test("no such directory, and none at all, are usage errors", async () => {
    const terminal = { configDirectory: write("old", OLD), verbose: false, colours: false, stdin: async () => "" };
    const said: string[] = [];
    const quiet = { ...terminal, stdout: (text: string) => said.push(text), stderr: (text: string) => said.push(text) };
    assert.equal(await diff([join(directory, "nowhere")], quiet), 64);
    assert.equal(await diff([], quiet), 64);
    assert.match(said.join(""), /nowhere: no such directory\n.*which directory/);
  });

  test("--json holds the same", async () => {
    const { code, stdout } = await run(NEW, "--json");
    const answer = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal(answer.services.added[0].name, "2527");
    assert.deepEqual(answer.services.changed[0].fields, [{ field: "process limit", before: "50", after: "100" }]);
    assert.equal(answer.parameters.find((p: { name: string }) => p.name === "smtpd_helo_required").after.text, "yes");
    assert.equal(answer.files.length, 3);
    assert.deepEqual(answer.opens, ["127.0.0.1:2527"]);
  });
});
