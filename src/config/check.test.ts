/** Tests of config/check.ts and its parts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { computeBuiltins } from "./builtins.ts";
import { checkSnapshot, formatProblem } from "./check.ts";
import { parseMainCf } from "./main-cf.ts";
import { parseMasterCf } from "./master-cf.ts";
import type { ConfigSnapshot } from "./snapshot.ts";

const MASTER = "smtp inet n - n - - smtpd\nrelay unix - - n - - smtp\n";

function snapshotOf(main: string, master: string): ConfigSnapshot {
  const mainCf = parseMainCf(main, "main.cf").assignments;
  const machine = { hostname: "mx.example.org", mailVersion: "1", configDirectory: "/c" };
  const { services } = parseMasterCf(master, "master.cf");
  const builtins = computeBuiltins(machine, mainCf);
  return { generation: 1, configDirectory: "/c", mainCf, services, files: new Map(), builtins };
}

/** Problems that have a place, line 1 (the compatibility level) of main.cf aside. */
function check(main: string, master = MASTER): string[] {
  const snapshot = snapshotOf(`compatibility_level = 3.6\n${main}`, master);
  return checkSnapshot(snapshot)
    .filter(({ at }) => at !== undefined)
    .map(formatProblem);
}

const mains = [
  { in: "", want: [], why: "nothing to say" },
  {
    in: "myorigni = x",
    want: ["main.cf:2: warning: unused parameter: myorigni=x; did you mean myorigin?"],
    why: "a misspelt name",
  },
  { in: "zzz_unheard_of = x", want: ["main.cf:2: warning: unused parameter: zzz_unheard_of=x"], why: "no such name" },
  { in: "mine = x\nmyorigin = $mine", want: [], why: "a name of one's own that is used" },
  { in: "mine = x\nmyorigin = ${mine?{a}:{b}}", want: [], why: "in a choice" },
  { in: "smtpd_restriction_classes = strict\nstrict = reject", want: [], why: "a restriction class" },
  { in: "relay_destination_concurrency_limit = 3", want: [], why: "a limit of a transport" },
  { in: "smtp_transport_rate_delay = 3", want: [], why: "a delay of a transport" },
  { in: "smtp_connection_cache_destinations = a.test, [b.test]", want: [], why: "names of destinations" },
  { in: "lmtp_connection_cache_destinations = /run/lmtp", want: [], why: "a socket as a destination" },
  {
    in: "smtp_connection_cache_destinations = a.test, hash:/etc/x",
    want: [
      "main.cf:2: warning: smtp_connection_cache_destinations: tables, files and exclusions have no effect: hash:/etc/x; name the domains and hosts themselves",
    ],
    why: "a table of destinations",
  },
  {
    in: "rely_destination_concurrency_limit = 3",
    want: ["main.cf:2: warning: unused parameter: rely_destination_concurrency_limit=3"],
    why: "a limit of no transport",
    prefix: true,
  },
  {
    in: "fork_attempts = 5",
    want: [
      "main.cf:2: warning: parameter fork_attempts is known to Postfix but has no effect here; postern_workers processes do the work of Postfix's",
    ],
    why: "Postfix's, not ours",
  },
  {
    in: "postscreen_greet_wait = 6s\nuse_srv_lookup = submission\npostscreen_blacklist_action = drop",
    want: [
      "main.cf:2: warning: parameters known to Postfix but without effect here: postscreen_greet_wait, postscreen_blacklist_action (line 4); postscreen's tests are not done: use reject_rbl_client, check_client_access and smtpd_client_connection_rate_limit",
      "main.cf:3: warning: parameter use_srv_lookup is known to Postfix but has no effect here",
    ],
    why: "those with one answer are one warning, by old names of Postfix's, too",
  },
  {
    in: "biff = no\nreadme_directory = no\nmaster_service_disable =\nin_flow_delay = 0",
    want: [],
    why: "what is so anyway",
  },
  {
    in: "postscreen_access_list = permit_mynetworks, nis:x",
    want: [
      "main.cf:2: warning: parameter postscreen_access_list is known to Postfix but has no effect here; postscreen's tests are not done: use reject_rbl_client, check_client_access and smtpd_client_connection_rate_limit",
    ],
    why: "a table that nothing here opens",
  },
  {
    in: "smtp_destination_recipient_limit = 1",
    want: [],
    why: "a limit of the transport smtp, not of smtp_destination",
  },
  {
    in: "lmtp_initial_destination_concurrency = 1\nsmtp_extra_recipient_limit = 1",
    want: [],
    why: "words in front of the limit",
  },
  {
    in: "mydestination = a.test, B.test\nvirtual_mailbox_domains = c.test b.test\nvirtual_alias_domains = c.test, $mydomain",
    want: [
      "main.cf:3: warning: do not list domain b.test in BOTH mydestination and virtual_mailbox_domains; mydestination wins",
      "main.cf:3: warning: do not list domain c.test in BOTH virtual_alias_domains and virtual_mailbox_domains; virtual_alias_domains wins",
    ],
    why: "domains of two classes",
  },
  {
    in: "mydestination = a.test\nrelay_domains = $mydestination, inline:{{b.test=x}}\nvirtual_alias_domains = b.test, !c.test, .d.test",
    want: [],
    why: "own domains in relay_domains, and what tables say",
  },
  {
    in: "smtputf8_enable = perhaps",
    want: ["main.cf:2: error: bad boolean configuration: smtputf8_enable = perhaps"],
    why: "a bad boolean",
  },
  {
    in: "message_size_limit = 1M",
    want: ["main.cf:2: error: bad numerical configuration: message_size_limit = 1M"],
    why: "a bad number",
  },
  {
    in: "postern_workers = 65",
    want: ["main.cf:2: error: invalid postern_workers parameter value 65 > 64"],
    why: "out of range",
  },
  {
    in: "myorigin = ${myhostname",
    want: ['main.cf:2: error: parameter "myorigin": truncated macro reference: "${myhostname"'],
    why: "a bad macro",
    prefix: true,
  },
  {
    in: "mine = ${\nmydestination = $mine",
    want: ['main.cf:2: error: parameter "mine": truncated macro reference: "${"'],
    why: "a bad macro in a name of one's own",
    prefix: true,
  },
  {
    in: "myorigin = $nowhere",
    want: ["main.cf:2: warning: undefined parameter: nowhere; $nowhere in myorigin expands to nothing"],
    why: "an undefined name",
  },
  { in: "myorigin = ${nowhere?{x}:{y}} $$nothing", want: [], why: "asking is allowed" },
  {
    in: "transport_maps = nosuch:x",
    want: ["main.cf:2: error: unsupported dictionary type: nosuch; in transport_maps"],
    why: "a table type nobody knows",
  },
  { in: "postern_submission_checks = all:warn, date:reject", want: [], why: "grades of checks, which are no tables" },
  {
    in: "postern_submission_checks = dates:reject",
    want: ['main.cf:2: error: bad configuration: postern_submission_checks: no check "dates"'],
    prefix: true,
    why: "a check nobody knows",
  },
  {
    in: "postern_submission_checks = date",
    want: [
      'main.cf:2: error: bad configuration: postern_submission_checks: "date" is not CHECK:GRADE; grades: off, warn, fix, reject',
    ],
    why: "a check without a grade",
  },
  {
    in: "postern_submission_checks = date:reject:all",
    want: [
      'main.cf:2: error: bad configuration: postern_submission_checks: "date:reject:all" is not CHECK:GRADE; grades: off, warn, fix, reject',
    ],
    why: "more than a grade",
  },
  {
    in: "transport_maps = proxy:nis:/x, inline:{a=b:c}",
    want: ["main.cf:2: error: unsupported dictionary type: nis; in transport_maps"],
    why: "a table type that is not here",
  },
  {
    in: "smtpd_sasl_auth_enable = yes\nsmtp_sasl_security_options = noplaintext\nsmtpd_sasl_type = postern",
    want: [
      "main.cf:3: warning: smtp_sasl_security_options is a parameter of the SMTP client, where SASL is off, and does nothing to the server; did you mean smtpd_sasl_security_options?",
    ],
    why: "the client's SASL parameter",
  },
  {
    in: "smtpd_sasl_auth_enable = yes",
    want: [
      "main.cf:2: warning: smtpd_sasl_type = cyrus is read as postern: logins are looked up in $postern_user_file; set smtpd_sasl_type = postern, or dovecot",
    ],
    why: "Cyrus SASL is not here",
  },
];
for (const c of mains) {
  test(`checkSnapshot() main.cf, ${c.why}: ${c.in}`, () => {
    const got = check(c.in);
    if (c.prefix) assert.ok(got[0]?.startsWith(c.want[0] ?? ""), got.join("\n"));
    else assert.deepEqual(got, c.want);
  });
}

test("checkSnapshot() says nothing of smtp_sasl_… where the client logs in", () => {
  const main =
    "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options =";
  assert.deepEqual(
    check(main).filter((text) => text.includes("did you mean")),
    [],
  );
});

const masters = [
  {
    in: "s inet n - n - - smtpdd",
    want: [
      'master.cf:1: error: unknown command "smtpdd"',
      "master.cf:1: error: unknown service: s/tcp; use a port number, or a name that /etc/services lists",
    ],
    why: "no such command, no such port",
  },
  { in: "127.0.0.1:2525 inet n - n - - smtpd", want: [], why: "an address" },
  {
    in: "smtp inet n - n - 1 postscreen",
    want: [
      "master.cf:1: warning: postscreen does not exist here: a plain smtpd takes this port; write smtpd in its place",
    ],
    why: "postscreen",
  },
  {
    in: "smtpd pass - - n - - smtpd",
    want: [
      'master.cf:1: warning: smtpd listens on inet services only: service "smtpd" of type pass is left out; the postscreen line gives the smtpd',
    ],
    why: "smtpd pass",
  },
  {
    in: "smtpd pass - - n - - smtpd -o smtpd_milters=",
    want: [
      'master.cf:1: warning: smtpd listens on inet services only: service "smtpd" of type pass is left out; the postscreen line gives the smtpd: write its -o options there',
    ],
    why: "smtpd pass with options of its own",
  },
  {
    in: "25 inet n - n - - smtpd -v -v\ncleanup unix n - n - 0 cleanup -v",
    want: ['master.cf:1: warning: -v has no effect here: service "25"; name its clients or servers in debug_peer_list'],
    why: "-v, which an internal service may have",
  },
  {
    in: "25 inet n - n - - smtpd -o cleanup_service_name=pre\npre unix n - n - 0 cleanup -o header_checks= -o virtual_alias_maps=\n587 inet n - n - - smtpd -o cleanup_service_name=per",
    want: [
      "master.cf:2: warning: virtual_alias_maps of a cleanup service has no effect here; set it in main.cf, or receive_override_options of the smtpd service",
      'master.cf:3: warning: cleanup_service_name: master.cf has no cleanup service "per"; main.cf alone decides what is done to its mail',
    ],
    why: "cleanup services, one of which there is not",
  },
  {
    in: "slow unix - - n - - smtp -o smtp_destination_concurrency_limit=1 -o slow_transport_rate_delay=1s -o smtp_connect_timeout=5s",
    want: [
      "master.cf:1: warning: smtp_destination_concurrency_limit has no effect in master.cf: limits of transports are read from main.cf; set slow_destination_concurrency_limit there",
      "master.cf:1: warning: slow_transport_rate_delay has no effect in master.cf: limits of transports are read from main.cf; set slow_transport_rate_delay there",
    ],
    why: "limits of the scheduler as options of a transport",
  },
  { in: "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr", want: [], why: "internal services" },
  {
    in: "policy unix - n n - 0 spawn user=nobody argv=/x",
    want: [],
    why: "spawn",
  },
  {
    in: "smtp inet n - y - - smtpd\n25 inet n - y - - smtpd",
    want: ["master.cf:1: warning: chroot = y has no effect here (2 services); workers run as $mail_owner instead"],
    why: "chroot, said once",
  },
  {
    in: "smtp inet n - n - - smtpd -o smtputf8_enable=maybe",
    want: ["master.cf:1: error: bad boolean configuration: smtputf8_enable = maybe"],
    why: "a bad value of -o",
  },
  {
    in: "smtp inet n - n - - smtpd\n -o smtpd_banr=x\n -o myorigin=$mua",
    want: [
      "master.cf:2: warning: unused parameter: smtpd_banr=x; did you mean smtpd_banner?",
      'master.cf:3: warning: undefined parameter: mua; myorigin is empty in service "smtp"',
    ],
    why: "names in -o",
  },
  {
    in: "587 inet n - n - - smtpd -o mua=x\n25 inet n - n - - smtpd\n -o { smtpd_helo_restrictions = permit, $mua }",
    want: ["master.cf:3: warning: undefined parameter: mua; $mua in smtpd_helo_restrictions expands to nothing"],
    why: "a name that only another service defines",
  },
  {
    in: "smtp inet n - n - - smtpd\n -o { smtp_sasl_security_options = noanonymous }",
    want: [
      "master.cf:2: warning: smtp_sasl_security_options is a parameter of the SMTP client and does nothing to this smtpd service; did you mean smtpd_sasl_security_options?",
    ],
    why: "the client's parameter in a server",
  },
  {
    in: "x unix - n n - - pipe flags=R user=v argv=/x",
    want: [],
    why: "pipe has arguments",
  },
];
for (const c of masters) {
  test(`checkSnapshot() master.cf, ${c.why}`, () => {
    const got = check("", c.in);
    assert.deepEqual(got.sort(), [...c.want].sort());
  });
}

test("checkSnapshot() says what an undefined $mua_ list of the stock master.cf means", () => {
  const main = "smtpd_sender_restrictions = reject_non_fqdn_sender";
  const stock = `submission inet n - y - - smtpd
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o { smtpd_helo_restrictions = permit_mynetworks, $mua_helo_restrictions }`;
  const about = check(main, stock).filter((text) => text.includes("mua_"));
  assert.deepEqual(about, [
    'master.cf:2: warning: undefined parameter: mua_client_restrictions; smtpd_client_restrictions is empty in service "submission"',
    'master.cf:3: warning: undefined parameter: mua_sender_restrictions; smtpd_sender_restrictions is empty in service "submission": what main.cf:2 says is not used there',
    "master.cf:4: warning: undefined parameter: mua_helo_restrictions; $mua_helo_restrictions in smtpd_helo_restrictions expands to nothing",
  ]);
});

test("checkSnapshot() says which service spoils a value of main.cf", () => {
  const got = check("limit = 5\nmessage_size_limit = $limit", "25 inet n - n - - smtpd -o limit=x");
  assert.deepEqual(got, [
    'main.cf:3: error: bad numerical configuration: message_size_limit = x; in service "25" of master.cf:1',
  ]);
});

test("checkSnapshot() asks for the user file where a service looks logins up in it", () => {
  const about = (main: string, master = MASTER) => {
    const snapshot = snapshotOf(`compatibility_level = 3.6\npostern_user_file = /u\n${main}`, master);
    const files = new Map([["/u", { path: "/u", error: "No such file or directory" }]]);
    return checkSnapshot({ ...snapshot, files })
      .map(formatProblem)
      .filter((text) => text.includes("/u"));
  };
  const missing =
    "open /u: No such file or directory; named by postern_user_file; every AUTH gets 454 until a user is there: postern user add LOGIN";
  assert.deepEqual(about("smtpd_sasl_type = postern\nsmtpd_sasl_auth_enable = yes"), [
    `main.cf:4: warning: ${missing}`,
  ]);
  const submission = `${MASTER}587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n`;
  assert.deepEqual(about("smtpd_sasl_type = postern", submission), [`master.cf:3: warning: ${missing}`]);
  assert.deepEqual(about("smtpd_sasl_type = dovecot\nsmtpd_sasl_auth_enable = yes", submission), []);
  assert.deepEqual(about("smtpd_sasl_type = dovecot"), []);
});

test("checkSnapshot() names port services from the system's list", () => {
  const snapshot = snapshotOf("compatibility_level = 3.6", "mine inet n - n - - smtpd");
  const withList = { path: "/etc/services", bytes: Buffer.from("mine 2526/tcp\n"), mtimeMs: 0 };
  const has = (problems: ReturnType<typeof checkSnapshot>) =>
    problems.some(({ text }) => text === "unknown service: mine/tcp");
  assert.equal(has(checkSnapshot(snapshot)), true);
  assert.equal(has(checkSnapshot({ ...snapshot, files: new Map([["/etc/services", withList]]) })), false);
});

test("checkSnapshot() warns once of an unset compatibility_level, in the order of the lines", () => {
  const found = checkSnapshot(snapshotOf("\n\nzzz_a = 1\nzzz_b = 2", MASTER)).filter(({ at }) => at);
  assert.deepEqual(
    found.map(({ at }) => at?.line),
    [1, 3, 4],
  );
  assert.match(found[0]?.text ?? "", /compatibility_level is not set/);
});

test("checkSnapshot() takes unsupported tables of defaults for warnings", () => {
  const found = checkSnapshot(snapshotOf("compatibility_level = 3.6", MASTER)).filter(
    ({ severity }) => severity === "error",
  );
  assert.deepEqual(found.map(formatProblem), []);
});

test("formatProblem() leaves out what is missing", () => {
  assert.equal(formatProblem({ severity: "error", at: undefined, text: "t" }), "error: t");
  assert.equal(
    formatProblem({ severity: "warning", at: { file: "f", line: 2 }, text: "t", hint: "h" }),
    "f:2: warning: t; h",
  );
});

test("checkSnapshot() never throws, whatever the files say", () => {
  const name = fc.constantFrom(
    "mynetworks",
    "myhostname",
    "mydomain",
    "smtpd_restriction_classes",
    "compatibility_level",
    "x",
    "smtpd_recipient_restrictions",
  );
  const value = fc.array(
    fc.constantFrom("$x", "${", "{", "}", "hash:a", "/f", "a", ",", " ", "$$", "${x?{a}:{b}}", "yes"),
    { maxLength: 6 },
  );
  const line = fc.tuple(name, value).map(([n, v]) => `${n} = ${v.join("")}`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), fc.array(line, { maxLength: 2 }), (main, over) => {
      const options = over.map((text) => ` -o { ${text.replace(/[{}]/g, "")} }`).join("\n");
      checkSnapshot(snapshotOf(main.join("\n"), `25 inet n - n - - smtpd\n${options}`));
    }),
    { numRuns: 60 },
  );
});
