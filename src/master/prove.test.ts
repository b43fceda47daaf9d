/** Tests of master/prove.ts and of the room proof/ behind it: who can relay through a service, and what check says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem } from "../config/check.ts";
import { loadSnapshot } from "../config/load.ts";
import type { ServiceProof } from "../proof/service.ts";
import { proveSnapshot } from "./prove.ts";

const HEAD = "compatibility_level = 3.10\nmyhostname = mail.example.org\nmydestination = example.org\n";
const HOME = "mynetworks = 127.0.0.0/8 192.168.7.0/24\n";

/** The proof of the first service; files other than the two by absolute path. */
async function prove(mainCf: string, masterCf = "smtp inet n - n - - smtpd", files: Record<string, string> = {}) {
  const all: Record<string, string> = { "/c/main.cf": HEAD + mainCf, "/c/master.cf": `${masterCf}\n`, ...files };
  const { snapshot, problems } = await loadSnapshot({
    configDirectory: "/c",
    generation: 0,
    hostname: "mail.example.org",
    mailVersion: "1",
    readFile: async (path) => {
      const text = all[path];
      if (text === undefined) throw Object.assign(new Error("No such file or directory"), { code: "ENOENT" });
      return Buffer.from(text);
    },
  });
  assert.ok(snapshot, problems.map(formatProblem).join("\n"));
  const [proof] = await proveSnapshot(snapshot);
  assert.ok(proof);
  return proof;
}

function verdict({ cells }: ServiceProof, client: string, destination: string): string | undefined {
  return cells.find((cell) => cell.client === client && cell.destination === destination)?.verdict;
}

test("proveSnapshot() finds relay_domains that match everything", async () => {
  for (const domains of ["static:all", "pcre:{{/./ OK}}"]) {
    const { problems } = await prove(`${HOME}relay_domains = ${domains}\n`);
    assert.match(
      problems.map(formatProblem).join("\n"),
      /^main\.cf:5: error: open relay: relay_domains matches every domain/,
    );
  }
});

interface Row {
  readonly why: string;
  readonly main: string;
  readonly master?: string;
  readonly files?: Record<string, string>;
  /** Of a stranger in clear to a foreign destination. */
  readonly want: "always" | "maybe" | "never";
  /** Problems, each a pattern; none if not given. */
  readonly says?: readonly RegExp[];
}

const MYSQL = { "/c/m.cf": "hosts = 127.0.0.1:1\nuser = u\npassword = p\ndbname = d\nquery = SELECT 1\n" };

const rows: readonly Row[] = [
  { why: "Postfix's defaults", main: HOME, want: "never" },
  {
    why: "everybody is in mynetworks",
    main: "mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
    want: "always",
    says: [
      /^main\.cf:5: error: open relay: permit_mynetworks comes before reject_unauth_destination; mynetworks \(main\.cf:4\) holds 0\.0\.0\.0\/0/,
    ],
  },
  {
    why: "a stranger has a domain whose records let him send",
    main: `${HOME}smtpd_relay_restrictions = reject_spf_fail, permit\n`,
    want: "always",
    says: [/open relay/],
  },
  {
    why: "everybody is in mynetworks, and the list is the default: the line of mynetworks is named",
    main: "mynetworks = 127.0.0.0/8, 0.0.0.0/1\n",
    want: "always",
    says: [
      /^main\.cf:4: error: open relay: permit_mynetworks comes before defer_unauth_destination; .* holds 0\.0\.0\.0\/1/,
    ],
  },
  { why: "a /16 is trusted on purpose", main: "mynetworks = 8.8.0.0/16\n", want: "never" },
  { why: "private networks are not the Internet", main: "mynetworks = 10.0.0.0/8 192.168.0.0/16\n", want: "never" },
  {
    why: "container bridges",
    main: "mynetworks = 127.0.0.0/8 172.17.0.0/16\n",
    want: "never",
    says: [/^main\.cf:4: warning: mynetworks trusts 172\.17\.0\.0\/16, where container bridges are/],
  },
  {
    why: "private networks behind a translator of addresses",
    main: `${HOME}proxy_interfaces = 192.0.2.1\n`,
    want: "never",
    says: [/^main\.cf:4: warning: mynetworks trusts 192\.168\.7\.0\/24, but connections come through a proxy or NAT/],
  },
  {
    why: "private networks behind the PROXY protocol",
    main: `${HOME}smtpd_upstream_proxy_protocol = haproxy\n`,
    want: "never",
    says: [
      /^main\.cf:4: warning: mynetworks trusts 192\.168\.7\.0\/24, and a client that reaches this port past the proxy/,
    ],
  },
  {
    why: "XCLIENT for everybody",
    main: `${HOME}smtpd_authorized_xclient_hosts = 0.0.0.0/0\n`,
    want: "never",
    says: [/^main\.cf:5: error: open relay: any client can take any address and any login with XCLIENT/],
  },
  {
    why: "routing in addresses of relay domains",
    main: `${HOME}relay_domains = relay.example\nallow_untrusted_routing = yes\n`,
    want: "never",
    says: [/^main\.cf:6: warning: allow_untrusted_routing = yes/],
  },
  {
    why: "login checks without tables",
    main: `${HOME}smtpd_sender_restrictions = reject_sender_login_mismatch, reject_known_sender_login_mismatch\n`,
    want: "never",
    says: [
      /reject_sender_login_mismatch refuses every client that has logged in/,
      /reject_known_sender_login_mismatch has nothing/,
    ],
  },
  {
    why: "restrictions behind the end of a list",
    main: `${HOME}smtpd_recipient_restrictions = reject_unauth_destination, permit_auth_destination, reject_unlisted_sender, reject\n`,
    want: "never",
    says: [/smtpd_recipient_restrictions: reject_unlisted_sender is never reached/],
  },
  {
    why: "a list that no client reaches is one warning",
    main: `${HOME}smtpd_client_restrictions = reject\nsmtpd_recipient_restrictions = reject_unlisted_sender, reject_unlisted_recipient\n`,
    want: "never",
    says: [
      /^main\.cf:6: warning: smtpd_recipient_restrictions is never reached: the lists before it refuse every client$/,
    ],
  },
  {
    why: "a list of main.cf that a submission service half replaces",
    main: `${HOME}smtpd_recipient_restrictions = permit_sasl_authenticated, check_policy_service inet:127.0.0.1:1\n`,
    master:
      "submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    want: "never",
  },
  {
    why: "a broken table refuses everybody, and what is behind it is no mistake",
    main: `${HOME}smtpd_recipient_restrictions = check_sender_access fail:now, reject_unlisted_sender\n`,
    want: "never",
  },
  {
    why: "restrictions that only some clients reach",
    main: `${HOME}smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_unlisted_sender\n`,
    want: "never",
  },
  {
    why: "strangers are refused before their recipients are probed",
    main: `${HOME}smtpd_recipient_restrictions = permit_mynetworks, reject_unverified_recipient\n`,
    want: "never",
  },
  {
    why: "strangers are refused in the same list, before it",
    main: `${HOME}smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_unverified_recipient\n`,
    want: "never",
  },
  {
    why: "strangers make us probe the world, before they are refused",
    main: `${HOME}smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unverified_recipient, reject_unauth_destination\n`,
    want: "never",
    says: [
      /^main\.cf:6: warning: smtpd_recipient_restrictions: reject_unverified_recipient is asked about recipients elsewhere/,
    ],
  },
  {
    why: "strangers make us probe the world, by a list that comes earlier",
    main: `${HOME}smtpd_sender_restrictions = warn_if_reject reject_unverified_recipient\n`,
    want: "never",
    says: [/^main\.cf:5: warning: smtpd_sender_restrictions: reject_unverified_recipient is asked/],
  },
  {
    why: "an exclusion in front of a wide network",
    main: "mynetworks = !0.0.0.0/0, 0.0.0.0/0\n",
    want: "never",
  },
  {
    why: "IPv6 alone",
    main: "mynetworks = [2000::]/3\n",
    want: "always",
    says: [/mynetworks \(main\.cf:4\) holds \[2000::\]\/3/],
  },
  {
    why: "a client table that says OK to anyone",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks, check_client_access static:OK, reject_unauth_destination\n`,
    want: "always",
    says: [/^main\.cf:5: error: open relay: check_client_access static:OK comes before reject_unauth_destination/],
  },
  {
    why: "a client table that says OK to a /8",
    main: `${HOME}smtpd_relay_restrictions = check_client_access inline:{12=OK}, reject_unauth_destination\n`,
    want: "always",
    says: [/inline:\{12=OK\} says OK for 12/],
  },
  {
    why: "a client table that says OK to a /16 and a host",
    main: `${HOME}smtpd_relay_restrictions = check_client_access inline:{12.13=OK,8.8.8.8=OK}, reject_unauth_destination\n`,
    want: "never",
  },
  {
    why: "a cidr table with everybody at its end",
    main: `${HOME}smtpd_relay_restrictions = check_client_access cidr:{{10.0.0.0/8 DUNNO},{0.0.0.0/0 OK}}, reject_unauth_destination\n`,
    want: "always",
    says: [/open relay: check_client_access cidr:/],
  },
  {
    why: "a whole top-level domain",
    main: `${HOME}smtpd_relay_restrictions = check_client_access inline:{example=OK}, reject_unauth_destination\n`,
    want: "always",
    says: [/says OK for example/],
  },
  {
    why: "one verified name",
    main: `${HOME}smtpd_relay_restrictions = check_client_access inline:{mx.partner.example=OK}, reject_unauth_destination\n`,
    want: "never",
  },
  {
    why: "a sender that everybody can write",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access inline:{partner.example=OK}, reject_unauth_destination\n`,
    want: "always",
    says: [/inline:\{partner\.example=OK\} says OK for partner\.example/],
  },
  {
    why: "a sender that a regular expression lets through",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access pcre:{{/^.*@partner\\.example$$/ OK}}, reject_unauth_destination\n`,
    want: "always",
    says: [/says OK for x@partner\.example/],
  },
  {
    why: "a regular expression too hard to sample",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access pcre:{{/^(?!x)[^y]{3}q\\b/ OK}}, reject_unauth_destination\n`,
    want: "maybe",
    says: [/^main\.cf:5: error: whether strangers can relay is up to pcre:.*, under a key that the client chooses/],
  },
  {
    why: "patterns that only lead to checks that never permit",
    main: `${HOME}smtpd_restriction_classes = strict\nstrict = reject_non_fqdn_sender, reject_unknown_sender_domain\nsmtpd_relay_restrictions = check_sender_access pcre:{{/^(?!x)[^y]{3}q\\b/ strict}}, reject_unauth_destination\n`,
    want: "never",
  },
  {
    why: "a pattern that nobody can sample, in front of one that refuses all others",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks, check_sender_access pcre:{{/^(?!x)[^y]{3}q\\b/ DUNNO}, {!/^$$$$/ REJECT}}, reject_non_fqdn_helo_hostname, check_sender_access static:REJECT\n`,
    want: "never",
  },
  {
    why: "a pattern that nobody can sample lets mail pass to the end of the lists",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access pcre:{{/^(?!x)[^y]{3}q\\b/ DUNNO}, {/^/ REJECT}}, permit\n`,
    want: "maybe",
    says: [/^main\.cf:5: error: whether strangers can relay is up to pcre:/],
  },
  {
    why: "a class in a table, with a HELO that everybody can say",
    main: `${HOME}smtpd_restriction_classes = friends\nfriends = check_helo_access inline:{pc.friend.example=OK}\nsmtpd_relay_restrictions = check_sender_access inline:{friend.example=friends}, reject_unauth_destination\n`,
    want: "always",
    says: [/open relay: check_helo_access inline:\{pc\.friend\.example=OK\} comes before reject_unauth_destination/],
  },
  {
    why: "a class that only permits what is permitted anyway",
    main: `${HOME}smtpd_restriction_classes = friends\nfriends = permit_mynetworks\nsmtpd_relay_restrictions = friends, reject_unauth_destination\n`,
    want: "never",
  },
  {
    why: "warn_if_reject in front of the only protection",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks, warn_if_reject reject_unauth_destination\nsmtpd_data_restrictions = reject\n`,
    want: "always",
    says: [/^main\.cf:5: error: open relay: warn_if_reject stands in front of reject_unauth_destination/],
  },
  {
    why: "an access table in a database, under a key that the client chooses",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access mysql:/c/m.cf, reject_unauth_destination\n`,
    files: MYSQL,
    want: "maybe",
    says: [
      /^main\.cf:5: error: whether strangers can relay is up to mysql:\/c\/m\.cf, under a key that the client chooses/,
    ],
  },
  {
    why: "an access table in a database that is vouched for",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access mysql:/c/m.cf, reject_unauth_destination\npostern_trusted_relay_tables = mysql:/c/m.cf\n`,
    files: MYSQL,
    want: "maybe",
  },
  {
    why: "clients in a database: the client cannot choose his address",
    main: `${HOME}smtpd_relay_restrictions = check_client_access mysql:/c/m.cf, reject_unauth_destination\n`,
    files: MYSQL,
    want: "maybe",
    says: [/^main\.cf:5: warning: whether strangers can relay is up to mysql:\/c\/m\.cf: check_client_access/],
  },
  {
    why: "a database behind the guard",
    main: `${HOME}smtpd_relay_restrictions = reject_unauth_destination, check_sender_access mysql:/c/m.cf\n`,
    files: MYSQL,
    want: "never",
  },
  {
    why: "a policy server in front of the guard",
    main: `${HOME}smtpd_relay_restrictions = check_policy_service inet:127.0.0.1:1, reject_unauth_destination\n`,
    want: "maybe",
    says: [/^main\.cf:5: warning: whether strangers can relay is up to policy server inet:127\.0\.0\.1:1/],
  },
  {
    why: "a policy server in another list than the guard",
    main: `${HOME}smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:1\n`,
    want: "never",
  },
  {
    why: "a relay list emptied by -o, while the other list ends in permit",
    main: `${HOME}smtpd_recipient_restrictions = permit_mynetworks, check_helo_access static:OK, reject_unauth_destination\n`,
    master: "smtp inet n - n - - smtpd -o smtpd_relay_restrictions=",
    want: "always",
    says: [/^main\.cf:5: error: open relay: check_helo_access static:OK comes before reject_unauth_destination/],
  },
  {
    why: "every recipient of one local part",
    main: `${HOME}smtpd_relay_restrictions = check_recipient_access inline:{postmaster@=OK}, reject_unauth_destination\n`,
    want: "always",
    says: [/says OK for postmaster@/],
  },
  {
    why: "a foreign domain that a table names",
    main: `${HOME}smtpd_relay_restrictions = check_recipient_access inline:{far.example=OK,example.org=OK}, reject_unauth_destination\n`,
    want: "never",
    says: [
      /^main\.cf:5: warning: strangers can relay to far\.example: .*; if that is meant, relay_domains is the place for it$/,
    ],
  },
  {
    why: "DISCARD lets nothing out, HOLD decides nothing",
    main: `${HOME}smtpd_relay_restrictions = check_sender_access inline:{a.example=DISCARD,b.example=HOLD}, reject_unauth_destination\n`,
    want: "never",
  },
  {
    why: "defer_if_permit ends in a refusal",
    main: `${HOME}smtpd_relay_restrictions = defer_if_permit, permit\n`,
    want: "never",
  },
  {
    why: "the override leaves a warning",
    main: "mynetworks = 0.0.0.0/0\npostern_allow_open_relay = yes\n",
    want: "always",
    says: [/^main\.cf:4: warning: open relay: .*; postern_allow_open_relay = yes allows it$/],
  },
  {
    why: "TLS shuts out who speaks in clear; the rest is still open",
    main: "mynetworks = 0.0.0.0/0\nsmtpd_tls_security_level = encrypt\n",
    want: "never",
    says: [/^main\.cf:4: error: open relay for any client with TLS: /],
  },
  {
    why: "certificates of any public CA",
    main: `${HOME}smtpd_tls_security_level = may\nsmtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = /c/ca.pem\nsmtpd_relay_restrictions = permit_tls_all_clientcerts, reject_unauth_destination\n`,
    files: { "/c/ca.pem": "-----BEGIN CERTIFICATE-----\n".repeat(140) },
    want: "never",
    says: [
      /^main\.cf:8: error: open relay for any client with TLS: permit_tls_all_clientcerts comes before reject_unauth/,
    ],
  },
  {
    why: "certificates of a CA of one's own",
    main: `${HOME}smtpd_tls_security_level = may\nsmtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = /c/ca.pem\nsmtpd_relay_restrictions = permit_tls_all_clientcerts, reject_unauth_destination\n`,
    files: { "/c/ca.pem": "-----BEGIN CERTIFICATE-----\n" },
    want: "never",
  },
  {
    why: "submission that is open to its own domains",
    main: HOME,
    master: "submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes",
    want: "never",
    says: [
      /^master\.cf:1: error: this submission service takes mail from strangers: /,
      /^master\.cf:1: warning: submission service submission inherits permit_mynetworks/,
    ],
  },
  {
    why: "port 587 that is said to be an mx",
    main: `${HOME}smtpd_relay_restrictions = reject_unauth_destination\n`,
    master: "submission inet n - n - - smtpd -o postern_service_role=mx",
    want: "never",
  },
  {
    why: "submission as it should be",
    main: HOME,
    master:
      "submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    want: "never",
  },
];

for (const row of rows) {
  test(`proveSnapshot() ${row.why}`, async () => {
    const proof = await prove(row.main, row.master, row.files);
    assert.equal(verdict(proof, "stranger", "foreign"), row.want);
    const said = proof.problems.map(formatProblem);
    assert.equal(said.length, row.says?.length ?? 0, said.join("\n"));
    for (const [i, pattern] of (row.says ?? []).entries()) assert.match(said[i] ?? "", pattern);
  });
}

const underStress = [
  {
    why: "lists that open under stress",
    master: "smtp inet n - n - 2 smtpd",
    main: "smtpd_relay_restrictions = ${stress?{permit}:{reject_unauth_destination}}, reject\n",
    want: /^main\.cf:5: error: under stress: open relay: /,
  },
  {
    why: "the same by -o",
    master: "smtp inet n - n - 2 smtpd -o { smtpd_relay_restrictions = ${stress?permit}, reject_unauth_destination }",
    main: "",
    want: /^master\.cf:1: error: under stress: open relay: /,
  },
  {
    why: "a service without a cap is never under stress",
    master: "smtp inet n - n - - smtpd",
    main: "smtpd_relay_restrictions = ${stress?{permit}:{reject_unauth_destination}}, reject\n",
    want: /^$/,
  },
  {
    why: "the operator keeps the service out of it",
    master: "smtp inet n - n - 2 smtpd -o stress=",
    main: "smtpd_relay_restrictions = ${stress?{permit}:{reject_unauth_destination}}, reject\n",
    want: /^$/,
  },
  {
    why: "lists that close under stress",
    master: "smtp inet n - n - 2 smtpd",
    main: "smtpd_relay_restrictions = ${stress?reject}, reject_unauth_destination\n",
    want: /^$/,
  },
];
for (const { why, master, main, want } of underStress) {
  test(`proveSnapshot() of a service that may be under stress: ${why}`, async () => {
    const proof = await prove(`${HOME}${main}`, master);
    assert.equal(verdict(proof, "stranger", "foreign"), "never", "as it starts");
    assert.match(proof.problems.map(formatProblem).join("\n"), want);
  });
}

test("proveSnapshot() tells the kinds of clients apart", async () => {
  const proof = await prove(
    `${HOME}relay_domains = relay.example\nsmtpd_sasl_auth_enable = yes\nsmtpd_tls_security_level = may\n`,
  );
  const row = (client: string) => ["local", "relay", "foreign"].map((to) => verdict(proof, client, to)).join(" ");
  assert.deepEqual(["stranger", "strangerTls", "certificate", "login", "mynetworks"].map(row), [
    "always always never",
    "always always never",
    "none none none",
    "always always always",
    "always always always",
  ]);
});

test("proveSnapshot() takes broken tables, of our own domains too, for refusals", async () => {
  for (const table of ["fail:now", "texthash:/none", "mysql:/none", "nosuchtype:x"]) {
    const main = `mynetworks = 127.0.0.0/8, ${table}
relay_domains = ${table}
smtpd_sender_login_maps = ${table}
smtpd_sender_restrictions = reject_sender_login_mismatch, check_sender_access ${table}
smtpd_recipient_restrictions = check_recipient_access inline:{far.example=OK}, reject_unauth_destination
`;
    assert.equal(verdict(await prove(main), "stranger", "foreign"), "never", table);
  }
});

test("proveSnapshot() of tables with more keys than are tried doubts only what they could change", async () => {
  const lines = Array.from({ length: 3000 }, (_, i) => `host${i}.partner.example OK`).join("\n");
  const files = { "/c/names": `${lines}\n` };
  const helo = "check_helo_access texthash:/c/names, reject_invalid_helo_hostname";
  const guarded = await prove(`${HOME}smtpd_helo_restrictions = ${helo}\n`, undefined, files);
  assert.equal(verdict(guarded, "stranger", "foreign"), "never");
  const main = `${HOME}smtpd_relay_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, check_helo_access texthash:/c/names, reject\n`;
  assert.equal(verdict(await prove(main, undefined, files), "stranger", "foreign"), "always");
});

test("proveSnapshot() of a table with 20000 senders takes no more than a moment", async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `user${i}@partner.example DUNNO`).join("\n");
  const main = `${HOME}smtpd_sender_restrictions = check_sender_access texthash:/c/senders\n`;
  const started = performance.now();
  const proof = await prove(main, undefined, { "/c/senders": `${lines}\n` });
  assert.ok(performance.now() - started < 1500);
  assert.equal(verdict(proof, "stranger", "foreign"), "never");
});
