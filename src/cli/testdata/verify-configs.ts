/** cli/testdata/verify-configs.ts: whole configurations for `postern verify`: Postfix's own with the submission service
 *  switched on, and the classic mistakes. */

export interface SampleConfig {
  readonly why: string;
  readonly main: string;
  readonly master: string;
  readonly files?: Readonly<Record<string, string>>;
  /** What finds it. */
  readonly command?: "check";
  /** Findings, with their continuation lines joined. */
  readonly finds?: readonly RegExp[];
}

const SMTP = "smtp inet n - n - - smtpd\n";
const HEAD = "compatibility_level = 3.10\nmyhostname = mail.example.org\nmydestination = example.org\nalias_maps =\n";
const HOME = `${HEAD}mynetworks = 127.0.0.0/8 [::1]/128\n`;

/** The values that Debian's package writes, with the lines of master.cf that Postfix ships commented out. */
export const STOCK_CONFIGS: readonly SampleConfig[] = [
  {
    why: "Postfix's stock main.cf with the submission services enabled",
    main: `compatibility_level = 3.6
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.org
mydestination = $myhostname, example.org, localhost.localdomain, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
`,
    master: `smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=$mua_client_restrictions
  -o smtpd_helo_restrictions=$mua_helo_restrictions
  -o smtpd_sender_restrictions=$mua_sender_restrictions
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
smtps     inet  n       -       y       -       -       smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
`,
  },
];

/** What people get wrong, each with what must be found. */
export const CLASSIC_MISTAKES: readonly SampleConfig[] = [
  {
    why: "mynetworks = 0.0.0.0/0",
    main: `${HEAD}mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n`,
    master: SMTP,
    finds: [
      /main\.cf:6: error: open relay: permit_mynetworks comes before reject_unauth_destination; mynetworks \(main\.cf:5\) holds 0\.0\.0\.0\/0/,
    ],
  },
  {
    why: "a client table that says OK to anyone in front of reject_unauth_destination",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks,
  check_client_access cidr:clients,
  reject_unauth_destination
`,
    master: SMTP,
    files: { clients: "192.0.2.0/24 REJECT\n0.0.0.0/0 OK\n" },
    finds: [/main\.cf:6: error: open relay: check_client_access cidr:\S+ comes before reject_unauth_destination/],
  },
  {
    why: "permit at the end of the wrong list",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks, permit
smtpd_recipient_restrictions = permit_mynetworks, reject_unknown_recipient_domain, permit, reject_unauth_destination
`,
    master: SMTP,
    finds: [
      /main\.cf:6: error: open relay: smtpd_relay_restrictions \(main\.cf:6\) ends in permit, and smtpd_recipient_restrictions \(main\.cf:7\) ends in permit/,
    ],
  },
  {
    why: "a sender table that says OK",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks,
  check_sender_access texthash:senders, reject_unauth_destination
`,
    master: SMTP,
    files: { senders: "boss@example.org OK\n" },
    finds: [/main\.cf:6: error: open relay: check_sender_access \S+ comes before reject_unauth_destination; \S+ says OK/],
  },
  {
    why: "permit_tls_all_clientcerts with public CAs",
    main: `${HOME}smtpd_tls_security_level = may
smtpd_tls_ask_ccert = yes
smtpd_tls_CAfile = bundle.pem
smtpd_relay_restrictions = permit_tls_all_clientcerts, reject_unauth_destination
`,
    master: SMTP,
    files: { "bundle.pem": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".repeat(140) },
    finds: [/error: open relay for any client with TLS: permit_tls_all_clientcerts comes before reject_unauth_destination/],
  },
  {
    why: "a relay list emptied by -o",
    main: `${HOME}smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated\n`,
    master: `${SMTP}submission inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=
`,
    finds: [/master\.cf:4: error: open relay: smtpd_relay_restrictions \(master\.cf:4\) is empty/],
  },
  {
    why: "warn_if_reject in front of the only protection",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks, warn_if_reject reject_unauth_destination
smtpd_data_restrictions = reject_unauth_pipelining
`,
    master: SMTP,
    finds: [/main\.cf:6: error: open relay: warn_if_reject stands in front of reject_unauth_destination/],
  },
  {
    why: "private networks in mynetworks behind a proxy",
    main: `${HEAD}mynetworks = 127.0.0.0/8 10.0.0.0/8\nproxy_interfaces = 198.51.100.9\n`,
    master: SMTP,
    finds: [/main\.cf:5: warning: mynetworks trusts 10\.0\.0\.0\/8, but connections come through a proxy or NAT/],
  },
  {
    why: "private networks in mynetworks in a container",
    main: `${HEAD}mynetworks = 127.0.0.0/8 172.17.0.0/16\n`,
    master: SMTP,
    finds: [/main\.cf:5: warning: mynetworks trusts 172\.17\.0\.0\/16, where container bridges are/],
  },
  {
    why: "a submission service that inherits permit_mynetworks",
    main: `${HOME}smtpd_sasl_auth_enable = yes
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
`,
    master: "submission inet n - n - - smtpd -o smtpd_tls_security_level=encrypt\n",
    finds: [/master\.cf:1: warning: submission service submission inherits permit_mynetworks/],
  },
  {
    why: "a policy server behind a permit",
    main: `${HOME}smtpd_sasl_auth_enable = yes\n`,
    master: `submission inet n - n - - smtpd
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, check_policy_service inet:127.0.0.1:10031, reject }
`,
    finds: [/check_policy_service inet:127\.0\.0\.1:10031 is never asked about clients that have logged in/],
  },
  {
    why: "unreachable restrictions",
    main: `${HOME}smtpd_client_restrictions = permit_mynetworks, reject, check_client_access static:DUNNO
smtpd_recipient_restrictions = reject_unauth_destination, permit_auth_destination, check_policy_service inet:127.0.0.1:1
`,
    master: SMTP,
    finds: [
      /main\.cf:6: warning: smtpd_client_restrictions: check_client_access static:DUNNO is never reached/,
      /main\.cf:7: warning: smtpd_recipient_restrictions: check_policy_service inet:127\.0\.0\.1:1 is never asked/,
    ],
  },
  {
    why: "reject_sender_login_mismatch without maps",
    main: `${HOME}smtpd_sasl_auth_enable = yes\nsmtpd_sender_restrictions = reject_sender_login_mismatch\n`,
    master: SMTP,
    finds: [/main\.cf:7: warning: .*refuses every client that has logged in: smtpd_sender_login_maps is empty/],
  },
  {
    why: "a table that the proof cannot look into, under a key that the client chooses",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks,
  check_sender_access pgsql:./senders, reject_unauth_destination
`,
    master: SMTP,
    files: { senders: "hosts = 127.0.0.1:1\nuser = u\npassword = p\ndbname = d\nquery = SELECT 1\n" },
    finds: [/main\.cf:6: error: whether strangers can relay is up to pgsql:\.\/senders, under a key that the client chooses/],
  },
  {
    why: "a commented-out service line whose options belong to the service above",
    main: HOME,
    master: `${SMTP}#submission inet n - n - - smtpd
  -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
`,
    command: "check",
    finds: [/master\.cf:3: warning: these options belong to service "smtp" of line 1, because the line of "submission" is a c/],
  },
  {
    why: "duplicate parameters",
    main: `${HOME}smtpd_helo_required = yes\nsmtpd_helo_required = no\n`,
    master: SMTP,
    command: "check",
    finds: [/main\.cf:7: warning: overriding earlier entry: smtpd_helo_required=yes; it is set in line 6/],
  },
  {
    why: "a comma with nothing behind it",
    main: `${HOME}smtpd_recipient_restrictions = permit_mynetworks,\n#  reject_unlisted_sender\n`,
    master: `${SMTP}2525 inet n - n - - smtpd -o smtpd_client_restrictions=permit_mynetworks,\n`,
    command: "check",
    finds: [
      /main\.cf:6: warning: smtpd_recipient_restrictions ends in a comma: what should follow is missing/,
      /master\.cf:2: warning: smtpd_client_restrictions ends in a comma/,
    ],
  },
  {
    why: "continuation lines without white space",
    main: `${HOME}smtpd_relay_restrictions = permit_mynetworks,\nreject_unauth_destination\n`,
    master: `${SMTP}-o smtpd_helo_required=yes\n`,
    command: "check",
    finds: [
      /main\.cf:7: error: missing '=' after attribute name: .*; if it belongs to smtpd_relay_restrictions of line 6, begin/,
      /master\.cf:2: error: .*; options of a service begin with white space/,
    ],
  },
];
