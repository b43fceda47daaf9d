/** admin/account.test.ts: which services of master.cf are what users' programs connect to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccountServer, accountDomain, readAccount } from "./account.ts";
import { type Site, SMTP, SUBMISSION, SUBMISSIONS, snapshotOf, submitting } from "./testdata/site.ts";

const PLAIN = { mechanisms: () => ["PLAIN"] };

function shown({ host, port, security }: AccountServer): string {
  return `${host}:${port} ${security}`;
}

const SITES: readonly (Site & { readonly want: readonly string[]; readonly problem?: RegExp; readonly why: string })[] =
  [
    { want: ["mail.example.org:465 tls", "mail.example.org:587 starttls"], why: "DISC-01: implicit TLS goes first" },
    { master: SMTP + SUBMISSION, want: ["mail.example.org:587 starttls"], why: "one of the two" },
    { master: SMTP, want: [], why: "port 25 is for other servers" },
    {
      main: "postern_autoconfig_host = Smtp.Example.NET.\n",
      master: SUBMISSIONS,
      want: ["smtp.example.net:465 tls"],
      why: "another name",
    },
    {
      main: "postern_autoconfig_host = not a name\n",
      master: SUBMISSIONS,
      want: [],
      problem: /no host name/,
      why: "a name that is none",
    },
    {
      master: `2525 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes ${submitting}\n`,
      want: ["mail.example.org:2525 tls"],
      why: "a port of the site's own: the settings say what it is",
    },
    {
      master: `127.0.0.1:587 inet n - n - - smtpd ${submitting}\n[::1]:465 inet n - n - - smtpd ${submitting}\n`,
      want: [],
      why: "loopback is for programs of this machine",
    },
    {
      master: `submission inet n - n - - smtpd -o smtpd_tls_security_level=none ${submitting}\n`,
      want: [],
      problem: /^service submission is left out of account documents: it has no TLS/,
      why: "no TLS: RFC 8314 §3",
    },
    {
      master: "submission inet n - n - - smtpd -o postern_service_role=submission\n",
      want: [],
      problem: /it has no AUTH/,
      why: "submission by address only",
    },
  ];
for (const { want, problem, why, ...site } of SITES) {
  test(`readAccount() ${why}`, async () => {
    const { account, problems } = readAccount(await snapshotOf(site), "example.org", PLAIN);
    assert.deepEqual(account.outgoing.map(shown), want);
    if (problem === undefined) assert.deepEqual(problems, []);
    else assert.match(problems[0]?.text ?? "", problem);
  });
}

const STORES = [
  { in: "postern_autoconfig_imap = imap.example.org", want: ["imap.example.org:993 tls"] },
  { in: "postern_autoconfig_imap = a.test:143, B.test:1993", want: ["a.test:143 starttls", "b.test:1993 tls"] },
  { in: "postern_autoconfig_pop3 = a.test:110 a.test", want: ["a.test:110 starttls", "a.test:995 tls"] },
];
for (const c of STORES) {
  test(`readAccount() reads ${c.in}`, async () => {
    const { account } = readAccount(await snapshotOf({ main: `${c.in}\n` }), "example.org", PLAIN);
    assert.deepEqual(account.incoming.map(shown), c.want);
  });
}
for (const bad of [
  "imap",
  "a.test:0",
  "a.test:65536",
  "a.test:x",
  "-a.test",
  "a..test",
  "[192.0.2.1]:993",
  "a&b.test",
]) {
  test(`readAccount() refuses postern_autoconfig_imap = ${bad}`, async () => {
    const snapshot = await snapshotOf({ main: `postern_autoconfig_imap = ${bad}\n` });
    assert.throws(() => readAccount(snapshot, "example.org", PLAIN), /is no host:port/);
  });
}

const DOMAINS = [
  { in: "Example.ORG.", want: "example.org" },
  { in: "bücher.example", want: "xn--bcher-kva.example" },
  { in: "localhost", want: undefined },
  { in: "", want: undefined },
  { in: "a b.test", want: undefined },
  { in: "a..test", want: undefined },
  { in: "192.0.2.1", want: undefined },
  { in: `${"a".repeat(64)}.test`, want: undefined },
];
for (const c of DOMAINS) test(`accountDomain() ${c.in}`, () => assert.equal(accountDomain(c.in), c.want));
