/** cli/explain.test.ts: what `postern explain` prints for typical refusals, against testdata/explain.ref (rewritten with
 *  POSTERN_UPDATE_GOLDEN=1; read the diff before committing it), and its command line. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GoldenDns } from "../access/golden-dns.ts";
import { type RunningPolicy, serve } from "../policy/serve.ts";
import { runExplain } from "./explain.ts";

const MAIN_CF = `compatibility_level = 3.10
myhostname = mail.example.org
mydestination = example.org
mynetworks = 10.0.0.0/8
local_recipient_maps = texthash:recipients
alias_maps =
smtpd_sender_login_maps = texthash:owners
smtpd_client_restrictions =
    permit_mynetworks,
    check_client_access cidr:clients,
    reject_rbl_client rbl.example
smtpd_helo_restrictions = reject_unknown_helo_hostname
smtpd_sender_restrictions = reject_sender_login_mismatch,
    reject_unknown_sender_domain
smtpd_relay_restrictions =
    permit_sasl_authenticated,
    reject_unauth_destination
smtpd_data_restrictions = reject_multi_recipient_bounce
`;

const masterCf = (policy: string) => `smtp inet n - n - - smtpd
submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o { smtpd_helo_restrictions = }
2525 inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = check_policy_service ${policy} }
2526 inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = reject_plaintext_session } -o soft_bounce=yes
  -o { smtpd_reject_footer = \\c. Contact postmaster at $server_name }
2527 inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = warn_if_reject reject_non_fqdn_sender, watch, permit }
  -o smtpd_restriction_classes=watch -o { watch = check_recipient_access texthash:watched }
2529 inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_tls_ask_ccert=yes
  -o { smtpd_client_restrictions = check_ccert_access texthash:certificates, reject_unknown_client_hostname }
2530 inet n - n - - smtpd
  -o { smtpd_client_restrictions = check_client_mx_access texthash:watched, no_such_word }
  -o { smtpd_end_of_data_restrictions = check_sender_access texthash:watched }
2531 inet n - n - - smtpd
  -o { smtpd_recipient_restrictions = reject_spf_fail } -o { smtpd_end_of_data_restrictions = reject_dmarc_fail }
2528 inet n - n - - smtpd
  -o smtpd_delay_reject=no -o { smtpd_client_restrictions = check_client_access fail:broken }
`;

const FILES: Readonly<Record<string, string>> = {
  recipients: "bob x\nalice x\n",
  owners: "alice@example.org alice\n",
  users: "",
  clients: "203.0.113.128/25 REJECT bought lists\n203.0.113.66/32 HANGUP spam\n",
  watched:
    "bob@example.org HOLD watched by the owner\n@example.net PREPEND X-Seen: yes\nbounce.test 552 5.3.4 too much\nmx.far.test OK\n",
  certificates: "AA:BB:CC OK\n",
};

const CLIENT = ["--client", "203.0.113.7", "--name", "mx.far.test", "--helo", "mx.far.test"];
const MX = ["--service", "smtp", ...CLIENT, "--from", "eve@far.test"];
const SUBMISSION = ["--service", "submission", "--client", "203.0.113.7", "--from", "alice@example.org"];

const CASES: readonly { readonly why: string; readonly args: readonly string[] }[] = [
  { why: "relay access denied", args: [...MX, "--to", "friend@example.net"] },
  { why: "unknown user", args: [...MX, "--to", "nobody@example.org"] },
  { why: "unknown HELO name", args: [...MX, "--helo", "laptop.invalid", "--to", "bob@example.org"] },
  { why: "client on a DNS block list", args: [...MX, "--client", "203.0.113.99", "--to", "bob@example.org"] },
  {
    why: "sender of somebody else",
    args: [...SUBMISSION, "--tls", "--sasl-user", "bob", "--to", "friend@example.net"],
  },
  { why: "client in an access table", args: [...MX, "--client", "203.0.113.200", "--to", "bob@example.org"] },
  {
    why: "greylisting",
    args: ["--service", "2525", ...CLIENT, "--from", "eve@far.test", "--to", "bob@example.org", "--ask-policy"],
  },
  {
    why: "the same, not asked",
    args: ["--service", "2525", ...CLIENT, "--from", "eve@far.test", "--to", "bob@example.org"],
  },
  { why: "unknown sender domain", args: [...MX, "--from", "eve@nowhere.test", "--to", "bob@example.org"] },
  {
    why: "sender domain that DNS cannot tell about",
    args: [...MX, "--from", "eve@slow.test", "--to", "bob@example.org"],
  },
  { why: "TLS is needed", args: [...SUBMISSION, "--to", "friend@example.net"] },
  {
    why: "TLS is needed, by a restriction, with a footer and soft_bounce",
    args: ["--service", "2526", ...CLIENT, "--from", "eve@far.test", "--to", "bob@example.org"],
  },
  {
    why: "a bounce to two recipients",
    args: [...MX, "--from", "<>", "--to", "bob@example.org", "--to", "alice@example.org", "--stage", "data"],
  },
  {
    why: "accepted, with a warning and an effect of a class",
    args: ["--service", "2527", ...CLIENT, "--from", "eve", "--client", "10.1.2.3", "--to", "bob@example.org"],
  },
  {
    why: "a table that cannot be read, without delay",
    args: ["--service", "2528", ...CLIENT, "--from", "eve@far.test", "--to", "bob@example.org"],
  },
  { why: "hung up on", args: [...MX, "--client", "203.0.113.66", "--to", "bob@example.org"] },
  {
    why: "a certificate, and TLS from the first byte",
    args: [
      "--service",
      "2529",
      "--client",
      "2001:db8::7",
      "--cert",
      "aa:bb:cc",
      "--from",
      "<>",
      "--to",
      "alice@example.org",
    ],
  },
  { why: "the postmaster", args: [...MX, "--client", "203.0.113.200", "--to", "postmaster"] },
  {
    why: "another certificate, and a PTR name that does not lead back",
    args: [
      ...["--service", "2529", "--client", "2001:db8::7", "--cert", "dd:ee:ff", "--reverse-name", "dyn.far.test"],
      ...["--from", "<>", "--to", "bob@example.org"],
    ],
  },
  {
    why: "an OK where none is allowed",
    args: ["--service", "2530", ...CLIENT, "--from", "a@b.test", "--to", "x@y.test"],
  },
  {
    why: "a word that nobody knows",
    args: ["--service", "2530", "--client", "192.0.2.1", "--from", "a@b.test", "--to", "x@y.test"],
  },
  {
    why: "a sender whose domain does not let the client send",
    args: ["--service", "2531", ...CLIENT, "--from", "eve@spf.test", "--to", "bob@example.org"],
  },
  {
    why: "SPF that lets it through, and DMARC of a message that nobody has seen",
    args: [
      ...["--service", "2531", ...CLIENT, "--from", "eve@far.test", "--to", "bob@example.org"],
      ...["--stage", "end-of-data"],
    ],
  },
  {
    why: "SPF that is not asked",
    args: ["--service", "2531", ...CLIENT, "--from", "eve@spf.test", "--to", "bob@example.org", "--no-dns"],
  },
  { why: "HELO, with delay", args: [...MX, "--stage", "helo"] },
  { why: "VRFY", args: [...MX, "--stage", "vrfy", "--to", "nobody@example.org"] },
  { why: "ETRN", args: [...MX, "--stage", "etrn", "--to", "example.net"] },
  {
    why: "up to the end of data",
    args: [...MX, "--stage", "end-of-data", "--size", "5000", "--to", "bob@example.org"],
  },
  { why: "a bad address", args: [...MX, "--to", "bob@@example.org"] },
  { why: "no name service", args: [...MX, "--to", "friend@example.net", "--no-dns"] },
  { why: "logged in", args: [...SUBMISSION, "--tls", "--sasl-user", "alice", "--to", "friend@example.net"] },
  { why: "a login that nobody can have", args: [...MX, "--sasl-user", "alice", "--to", "friend@example.net"] },
  { why: "a message that is too big", args: [...MX, "--size", "99999999", "--to", "bob@example.org"] },
];

const DNS_LINES = [
  "A mx.far.test 203.0.113.7",
  "MX far.test 10 mx.far.test",
  "A 99.113.0.203.rbl.example 127.0.0.2",
  "TXT 99.113.0.203.rbl.example see https://rbl.example/203.0.113.99",
  "A mail.example.org 192.0.2.25",
  "TXT spf.test v=spf1 -all",
  "MX spf.test 10 mx.far.test",
  "fail slow.test",
];

describe("postern explain", () => {
  const directory = mkdtempSync(join(tmpdir(), "postern-explain-"));
  let policy: RunningPolicy;

  before(async () => {
    policy = await serve(() => "DEFER_IF_PERMIT 4.2.0 Greylisted, try again in 5 minutes", { listen: "127.0.0.1:0" });
    writeFileSync(join(directory, "main.cf"), MAIN_CF);
    writeFileSync(join(directory, "master.cf"), masterCf(policy.address));
    for (const [name, content] of Object.entries(FILES)) writeFileSync(join(directory, name), content);
  });
  after(async () => {
    rmSync(directory, { recursive: true, force: true });
    await policy.close();
  });

  async function run(args: readonly string[], colours = false) {
    let stdout = "";
    let stderr = "";
    const dns = new GoldenDns();
    for (const line of DNS_LINES) dns.set(line);
    const terminal = {
      configDirectory: directory,
      verbose: false,
      colours,
      stdout(text: string) {
        stdout += text;
      },
      stderr(text: string) {
        stderr += text;
      },
      stdin: async () => "",
    };
    const code = await runExplain(args, terminal, { hostsText: "", dns: dns.service });
    return { code, stdout: stdout.replaceAll(policy.address, "inet:127.0.0.1:10023"), stderr };
  }

  test("tells typical refusals as in testdata/explain.ref, at most 100 columns wide", async () => {
    let got = "";
    for (const { why, args } of CASES) {
      const { code, stdout, stderr } = await run(args);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, why);
      got += `### ${why}\n### ${args.join(" ")}\n\n${stdout}\n`;
      for (const line of stdout.split("\n")) assert.ok(line.length <= 100, line);
    }
    const shown = got.replace(/instance=\S+/g, "instance=ID").replace(/server_address=\S+/g, "server_address=ADDRESS");
    const want = new URL("./testdata/explain.ref", import.meta.url);
    if (process.env.POSTERN_UPDATE_GOLDEN === "1") writeFileSync(want, shown);
    assert.equal(shown, readFileSync(want, "utf8"));
  });

  test("colours on a terminal only, and only what words say too", async () => {
    const args = [...MX, "--to", "friend@example.net"];
    const plain = await run(args);
    const coloured = await run(args, true);
    assert.ok(coloured.stdout.includes("\x1b[1;31mREJECT\x1b[0m"));
    assert.equal(coloured.stdout.replace(/\x1b\[[0-9;]*m/g, ""), plain.stdout);
  });

  test("--json holds every command with its steps, lookups and reply, and the sentence", async () => {
    const { code, stdout } = await run([...MX, "--to", "friend@example.net", "--json"]);
    const told = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal(told.service, "smtp");
    const last = told.acts.at(-1);
    assert.deepEqual(last.reply, ["554 5.7.1 <friend@example.net>: Relay access denied"]);
    const step = last.explanation.steps.at(-1);
    assert.equal(step.result, "reject");
    assert.deepEqual(step.rule, {
      text: "reject_unauth_destination",
      at: "main.cf:15",
      parameter: "smtpd_relay_restrictions",
    });
    assert.deepEqual(step.lookups, [
      { source: "address class of", key: "friend@example.net", result: "found", value: "default" },
    ]);
    assert.match(told.sentence, /^Refused at RCPT because /);
  });

  for (const c of [
    {
      args: ["--service", "foo", ...CLIENT],
      want: /no SMTP service "foo" in master\.cf; there are: smtp \(master\.cf:1\), submission/,
      why: "an unknown service",
    },
    { args: ["--client", "192.0.2.1"], want: /--service is missing; there are: /, why: "no service" },
    { args: ["--service", "smtp"], want: /--client is missing/, why: "no client" },
    {
      args: ["--service", "smtp", "--client", "mx.test"],
      want: /--client is an IPv4 or IPv6 address/,
      why: "a name for an address",
    },
    { args: ["--service", "smtp", ...CLIENT, "--from", "a@b.test"], want: /--to is missing/, why: "no recipient" },
    { args: ["--service", "smtp", ...CLIENT, "--to", "a@b.test"], want: /--from .*is missing/, why: "no sender" },
    { args: [...MX, "--to", "a@b.test\r\nDATA"], want: /--to holds a control character/, why: "a line end" },
    { args: [...MX, "--to", "a@b.test", "--stage", "foo"], want: /--stage is one of client, helo/, why: "a bad stage" },
    { args: [...MX, "--to", "a@b.test", "--size", "big"], want: /--size takes a number/, why: "a bad number" },
    { args: ["--frm", "x"], want: /Unknown option '--frm'/, why: "an unknown option" },
    { args: ["hello"], want: /"hello" is no explain id/, why: "a stray word" },
  ]) {
    test(`refuses ${c.why} with one line and exit 64`, async () => {
      const { code, stdout, stderr } = await run(c.args);
      assert.deepEqual({ code, stdout }, { code: 64, stdout: "" });
      assert.match(stderr, c.want);
      assert.match(stderr, /^postern: explain: [^\n]+\n$/);
    });
  }

  test("a value that no server starts with is said with exit 78", async () => {
    writeFileSync(join(directory, "main.cf"), `${MAIN_CF}smtpd_recipient_limit = many\n`);
    const { code, stderr } = await run([...MX, "--to", "bob@example.org"]);
    writeFileSync(join(directory, "main.cf"), MAIN_CF);
    assert.equal(code, 78);
    assert.match(stderr, /^postern: explain: .*smtpd_recipient_limit = many; see: postern check\n$/);
  });

  for (const args of [["--last"], ["512.1"]]) {
    test(`explain ${args} says with exit 69 that no server runs`, async () => {
      const { code, stderr } = await run(args);
      assert.equal(code, 69);
      assert.match(stderr, /the mail system is not running; start it: postern start/);
    });
  }
});
