/** Programs that read Postfix's log read ours: fail2ban's stock postfix filter, pflogsumm, logwatch. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Conversation } from "../testbed/conversation.ts";
import { LOGIN, type Site, startSite } from "../testbed/submission-site.ts";

const OPTIONS = {
  concurrency: false,
  timeout: 120_000,
  skip:
    !["/usr/bin/fail2ban-regex", "/usr/sbin/pflogsumm", "/usr/sbin/logwatch"].every((path) => existsSync(path)) &&
    "not installed",
};

describe("the log of one day", OPTIONS, () => {
  let site: Site;
  let log: string;

  before(async () => {
    site = await startSite({
      mainCf: `compatibility_level = 3.10
smtpd_hard_error_limit = 4
smtpd_error_sleep_time = 0
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = check_recipient_access inline:{ { nobody@example.org = 550 5.1.1 User unknown } }, permit
transport_maps = inline:{ { gone.test = error:5.1.2 no such domain }, { later.test = retry:4.4.1 try later } }`,
    });
    log = join(site.server.directory, "maillog");
    for (const to of ["one@far.test", "two@far.test", "x@gone.test", "x@later.test"]) await send(to);
    await mx(["RCPT TO:<x@elsewhere.test>", "RCPT TO:<nobody@example.org>", "QUIT"]);
    await mx(["FOO", "FOO", "FOO", "FOO"]);
    await guess();
    for (const pattern of [
      /two@far.*status=sent/,
      /gone.*status=bounced/,
      /later.*status=deferred/,
      /too many errors/,
    ]) {
      await site.server.logged(pattern);
    }
    await site.server.logged(/disconnect from .*auth=0\/1/);
  });
  after(() => site?.stop());

  const mx = async (commands: readonly string[]) => {
    const client = await Conversation.open(site.smtp);
    for (const command of ["EHLO client.example", "MAIL FROM:<s@far.test>", ...commands]) await client.say(command);
    client.close();
  };
  /** From the own domain to outside needs a login. */
  const send = async (to: string) => {
    const client = await Conversation.open(site.submission);
    await client.say("EHLO client.example");
    await client.startTls();
    await client.say("EHLO client.example");
    assert.match(await client.authPlain(LOGIN, "correct horse"), /^235 /);
    for (const command of [`MAIL FROM:<${LOGIN}>`, `RCPT TO:<${to}>`, "DATA"]) await client.say(command);
    assert.match(await client.say(`From: ${LOGIN}\r\nSubject: x\r\n\r\nx\r\n.`), /^250 /);
    await client.say("QUIT");
    client.close();
  };
  const guess = async () => {
    const client = await Conversation.open(site.submission);
    await client.say("EHLO client.example");
    await client.startTls();
    await client.say("EHLO client.example");
    assert.match(await client.authPlain(LOGIN, "wrong"), /^535 /);
    await client.say("QUIT");
    client.close();
  };
  /** The lines a mode of the stock filter matches. */
  const matched = (mode: string): readonly string[] => {
    const out = execFileSync("/usr/bin/fail2ban-regex", ["--print-all-matched", log, `postfix[mode=${mode}]`], {
      encoding: "utf8",
    });
    return out.split("\n").filter((line) => /^\| {2}\w{3} [ \d]\d /.test(line));
  };

  const REJECTS = [
    /454 4\.7\.1 <x@elsewhere\.test>: Relay access denied/,
    /550 5\.1\.1 <nobody@example\.org>: .*User unknown/,
  ];
  const LOGIN_FAILED = /warning: localhost\[127\.0\.0\.1\]: SASL PLAIN authentication failed/;
  const NO_LOGIN = /disconnect from localhost\[127\.0\.0\.1\] .*auth=0\/1/;
  const modes = [
    { mode: "normal", want: REJECTS, why: "relay denied, user unknown" },
    { mode: "more", want: REJECTS, why: "the default" },
    { mode: "auth", want: [LOGIN_FAILED], why: "a wrong password" },
    { mode: "ddos", want: [NO_LOGIN], why: "a session without a good login" },
    { mode: "extra", want: [...REJECTS, LOGIN_FAILED], why: "normal and auth" },
    { mode: "aggressive", want: [...REJECTS, LOGIN_FAILED, NO_LOGIN], why: "all of them" },
    { mode: "errors", want: [], why: "Postfix 3.10 has NOQUEUE: in front, which this filter does not expect" },
  ];
  for (const { mode, want, why } of modes) {
    test(`fail2ban, mode ${mode}: ${why}`, () => {
      const lines = matched(mode);
      assert.equal(lines.length, want.length, lines.join("\n"));
      for (const [i, pattern] of want.entries()) assert.match(lines[i] ?? "", pattern);
    });
  }

  test("pflogsumm counts what was done", () => {
    const out = execFileSync("/usr/sbin/pflogsumm", [log], { encoding: "utf8" });
    const count = (name: string) => Number(new RegExp(`^ +(\\d+) {3}${name}\\b`, "m").exec(out)?.[1]);
    // The bounce of the bounced message is bounced itself: there is no mailbox for alice.
    const want = { received: 4, delivered: 2, deferred: 1, bounced: 2, rejected: 2, senders: 1 };
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((name) => [name, count(name)])), want, out);
    assert.match(out, /^ +2 +\d+ +0 +\d\.\d s +\d\.\d s +far\.test$/m);
  });

  test("logwatch counts what was done, and knows every line but what 3.10 and we have new", () => {
    const script = ["-I/usr/share/logwatch/lib", "/usr/share/logwatch/scripts/services/postfix", "--detail", "10"];
    const out = execFileSync("/usr/bin/perl", script, { encoding: "utf8", input: site.server.log() });
    const count = (name: string) => Number(new RegExp(`^ +(\\d+) +${name}(?: |$)`, "m").exec(out)?.[1]);
    const want = {
      "SASL authentication failed": 1,
      Accepted: 4,
      "4xx Reject relay denied": 1,
      "5xx Reject unknown user": 1,
      Connections: 7,
      Disconnections: 7,
      "Removed from queue": 4,
      "Sent via SMTP": 2,
      Deferred: 1,
      "Notifications sent": 1,
      "SASL authenticated messages": 4,
    };
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((name) => [name, count(name)])), want, out);
    const unknown = out
      .slice(out.indexOf("**Unmatched Entries**"))
      .split("\n")
      .slice(1)
      .filter((line) => line !== "");
    const expected =
      / NOQUEUE: (?:explain: |too many errors after )|: undeliverable mail with null sender dropped, |cleanup\[\d+\]: \w+: changes: /;
    assert.deepEqual(
      unknown.filter((line) => !expected.test(line)),
      [],
    );
  });
});
