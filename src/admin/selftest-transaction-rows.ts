/** admin/selftest-transaction-rows.ts: rows about transactions: their order, their addresses, who may begin one (RFC 5321, RFC 2920). */
import { inClear, ownDomain, type SelftestRow, usersOnly, without } from "./selftest-row.ts";

const strict = without("strict_rfc821_envelopes", "yes");
const pipelining = without("smtpd_forbid_unauth_pipelining", "no");

export const TRANSACTION_ROWS: readonly SelftestRow[] = [
  {
    ids: ["SMTP-22"],
    what: "RCPT without MAIL",
    on: "mx",
    from: "tls",
    steps: ["C: RCPT TO:<{to}>", "S: 503 …"],
  },
  {
    ids: ["SMTP-23"],
    what: "DATA without a recipient",
    on: "submission",
    from: "login",
    steps: [
      "C: DATA",
      "S: 503 …",
      "C: MAIL FROM:<{sender}>",
      "S: 250 …",
      "C: RCPT TO:<>",
      "S: 501 …",
      "C: DATA",
      "S: 5…",
    ],
  },
  {
    ids: ["SMTP-24"],
    what: "MAIL inside a transaction changes nothing",
    on: "submission",
    from: "login",
    steps: [
      ...[
        "C: MAIL FROM:<{sender}>",
        "S: 250 …",
        "C: MAIL FROM:<{sender}>",
        "S: 503 …",
        "C: RCPT TO:<{to}>",
        "S: 250 …",
      ],
    ],
  },
  {
    ids: ["SMTP-25"],
    what: "RSET forgets sender and recipients",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …", "C: RSET", "S: 250 …"],
      ...["C: DATA", "S: 503 …", "C: RCPT TO:<{to}>", "S: 503 …"],
    ],
  },
  {
    ids: ["SMTP-26"],
    what: "QUIT, then the server closes",
    on: "mx",
    from: "tls",
    steps: ["C: QUIT", "S: 221 …", "X:"],
  },
  {
    ids: ["SMTP-29", "DSN-09"],
    what: "unknown parameters of MAIL and RCPT",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}> FOO=BAR", "S: 555 …", "C: MAIL FROM:<{sender}> NOTIFY=NEVER", "S: 5…"],
      ...[
        "C: MAIL FROM:<{sender}>",
        "S: 250 …",
        "C: RCPT TO:<{to}> RET=FULL",
        "S: 5…",
        "C: RCPT TO:<{to}> X=1",
        "S: 555 …",
      ],
    ],
  },
  {
    ids: ["SMTP-31", "SMUG-12"],
    what: "control characters in commands",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …", 'R: "RCPT TO:<a\\u0000b@{elsewhere}>\\r\\n"', "S: 50…"],
      ...['R: "RCPT TO:<\\"a\\rb\\"@{elsewhere}>\\r\\n"', "S: 50…"],
    ],
  },
  {
    ids: ["SMTP-32"],
    what: "source routes are dropped",
    on: "submission",
    from: "login",
    unless: strict,
    steps: [
      ...[
        "C: MAIL FROM:<{sender}>",
        "S: 250 …",
        "C: RCPT TO:<@a.test,@b.test:{to}>",
        "S: 250 …",
        "C: DATA",
        "S: 354 …",
      ],
      ...["C: Subject: route", "C:", "C: .", "S: 250 …queued as …"],
    ],
    arrives: ["RCPT TO:<{to}>"],
  },
  {
    ids: ["SMTP-33"],
    what: "needless quotes of a local part are taken away",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …", 'C: RCPT TO:<"some\\one"@{elsewhere}>', "S: 250 …"],
      ...["C: DATA", "S: 354 …", "C: Subject: quotes", "C:", "C: .", "S: 250 …queued as …"],
    ],
    arrives: ["RCPT TO:<someone@{elsewhere}>"],
  },
  {
    ids: ["SMTP-34", "NAM-01"],
    what: "mail to postmaster, with and without domain, in any case",
    on: "mx",
    from: "tls",
    unless: ownDomain,
    steps: [
      ...["C: MAIL FROM:<>", "S: 250 …", "C: RCPT TO:<postMASTER>", "S: 250 …", "C: RCPT TO:<{local}>", "S: 250 …"],
    ],
  },
  {
    ids: ["SMTP-35"],
    what: "VRFY says 252 where nothing was verified",
    on: "mx",
    from: "tls",
    unless: without("disable_vrfy_command", "yes"),
    steps: ["C: VRFY postmaster", "S: 252 …"],
  },
  {
    ids: ["SMTP-38"],
    what: "a client that speaks HTTP is sent away",
    on: "mx",
    from: "greeted",
    unless: ({ params }) =>
      /\bget\b/i.test(params.text("smtpd_forbidden_commands")) ? undefined : "smtpd_forbidden_commands",
    steps: ["C: GET / HTTP/1.0", "S: 221 …", "X:"],
  },
  {
    ids: ["PIPE-08"],
    what: "content sent before 354 ends the session",
    on: "submission",
    from: "login",
    unless: pipelining,
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"],
      ...["C: DATA", "C: Subject: too early", "S: 554 …", "X:"],
    ],
  },
  {
    ids: ["PIPE-09"],
    what: "the next transaction follows the last dot",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}>", "C: RCPT TO:<{to}>", "C: DATA", "S: 250 …", "S: 250 …", "S: 354 …"],
      ...["C: Subject: one", "C:", "C: .", "C: MAIL FROM:<{sender}>", "C: RCPT TO:<{to}>"],
      ...["S: 250 …queued as …", "S: 250 2.1.0 …", "S: 250 2.1.5 …"],
    ],
    arrives: ["Subject: one"],
  },
  {
    ids: ["ESC-03"],
    what: "an enhanced code to clients that said HELO",
    on: "mx",
    from: "greeted",
    unless: inClear,
    steps: [
      "C: HELO client.example.net",
      "S: 250 …",
      "C: RCPT TO:<{to}>",
      "S: 503 5.5.1 …",
      "C: NOOP",
      "S: 250 2.0.0 …",
    ],
  },
  {
    ids: ["SUB-16"],
    what: "strangers cannot relay, in no spelling of the recipient",
    on: "mx",
    from: "tls",
    unless: ownDomain,
    steps: [
      ...["C: MAIL FROM:<>", "S: 250 …", "C: RCPT TO:<{to}>", "N: 2…"],
      ...["C: RCPT TO:<someone%{elsewhere}@{domain}>", "N: 2…", 'C: RCPT TO:<"someone@{elsewhere}"@{domain}>', "N: 2…"],
      ...["C: RCPT TO:<@{domain}:{to}>", "N: 2…", "C: RCPT TO:<{elsewhere}!someone@{domain}>", "N: 2…"],
    ],
  },
  {
    ids: ["SUB-15"],
    what: "without a login no mail, not even to ourselves",
    on: "submission",
    from: "tls",
    unless: (service) => usersOnly(service) ?? ownDomain(service),
    steps: ["C: MAIL FROM:<{sender}>", "N: 9…", "C: RCPT TO:<{local}>", "N: 2…", "C: RCPT TO:<{to}>", "N: 2…"],
  },
  {
    ids: ["EHLO-01"],
    what: "no ETRN on submission",
    on: "submission",
    from: "tls",
    unless: usersOnly,
    steps: ["C: EHLO client.example.net", "!S: 250-ETRN", "S: 250 …", "C: ETRN {domain}", "S: 50…"],
  },
];
