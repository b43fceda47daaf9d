/** admin/selftest-session-rows.ts: rows about the session, the order of commands and pipelining (RFC 5321, RFC 2920). */
import { inClear, type SelftestRow, without } from "./selftest-row.ts";

const strict = without("strict_rfc821_envelopes", "yes");

export const SESSION_ROWS: readonly SelftestRow[] = [
  {
    ids: ["SMTP-01"],
    what: "the greeting begins with 220 and the server's name",
    on: "mx",
    from: "connected",
    steps: ["S: 220 {me}…"],
  },
  {
    ids: ["SMTP-03"],
    what: "HELO is answered in one line",
    on: "mx",
    from: "greeted",
    steps: ["C: HELO client.example.net", "!S: 250-…", "S: 250 {me}"],
  },
  {
    ids: ["SMTP-04"],
    what: "the EHLO reply begins with the server's name",
    on: "mx",
    from: "greeted",
    steps: ["C: EHLO client.example.net", "S: 250-{me}", "!S: 250-", "S: 250 …"],
  },
  {
    ids: ["SMTP-05"],
    what: "EHLO without a name is refused",
    on: "mx",
    from: "greeted",
    steps: ["C: EHLO", "S: 501 …"],
  },
  {
    ids: ["SMTP-06"],
    what: "address literals are names, the tag in any case",
    on: "submission",
    from: "greeted",
    steps: ["C: EHLO [127.0.0.1]", "S: 250 …", "C: EHLO [IPV6:fe80::1]", "S: 250 …", "C: EHLO [IPv6:::1]", "S: 250 …"],
  },
  {
    ids: ["SMTP-07"],
    what: "a name without address is no reason to refuse",
    on: "submission",
    from: "greeted",
    steps: ["C: EHLO DESKTOP-AB12", "S: 250 …", "C: EHLO nosuch.invalid", "S: 250 …", "C: HELO a_b", "S: 250 …"],
  },
  {
    ids: ["SMTP-08"],
    what: "EHLO again resets the transaction and keeps the login",
    on: "submission",
    from: "login",
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …", "C: EHLO client.example.net", "S: 250 …"],
      ...["C: RCPT TO:<{to}>", "S: 503 …", "C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"],
    ],
  },
  {
    ids: ["SMTP-09"],
    what: "a refused EHLO changes nothing",
    on: "submission",
    from: "login",
    steps: ["C: MAIL FROM:<{sender}>", "S: 250 …", "C: EHLO", "S: 501 …", "C: RCPT TO:<{to}>", "S: 250 …"],
  },
  {
    ids: ["SMTP-10"],
    what: "no transaction before EHLO",
    on: "submission",
    from: "greeted",
    unless: (service) => inClear(service) ?? without("smtpd_helo_required", "no")(service),
    steps: ["C: MAIL FROM:<{sender}>", "S: 503 …"],
  },
  {
    ids: ["SMTP-11"],
    what: "NOOP, RSET, HELP, VRFY, QUIT before EHLO",
    on: "mx",
    from: "greeted",
    unless: inClear,
    steps: [
      ...["C: NOOP", "S: 250 …", "C: RSET", "S: 250 …", "C: HELP", "S: 214 …", "C: VRFY postmaster", "N: 503 …"],
      ...["C: QUIT", "S: 221 …"],
    ],
  },
  {
    ids: ["SMTP-12", "MOD-12"],
    what: "verbs in small letters; the local part arrives as it was written",
    on: "submission",
    from: "login",
    steps: [
      ...["C: mail from:<{sender}> size=10", "S: 250 …", "C: rcpt to:<Some.One+X@{elsewhere}>", "S: 250 …"],
      ...["C: data", "S: 354 …", "C: Subject: case", "C:", "C: .", "S: 250 …queued as …"],
    ],
    arrives: ["RCPT TO:<Some.One+X@{elsewhere}>"],
  },
  {
    ids: ["SMTP-13"],
    what: "white space at the end of a command",
    on: "mx",
    from: "tls",
    steps: ["C: RSET   ", "S: 250 …"],
  },
  {
    ids: ["SMTP-14", "SMTP-15"],
    what: "a blank behind the colon, no angle brackets",
    on: "submission",
    from: "login",
    unless: strict,
    steps: ["C: MAIL FROM: <{sender}>", "S: 250 …", "C: RCPT TO:{to}", "S: 250 …"],
  },
  {
    ids: ["SMTP-16", "SMTP-36"],
    what: "500 for unknown verbs, 502 for those not served",
    on: "mx",
    from: "tls",
    steps: [
      "C: FOO",
      "S: 500 …",
      "C: EXPN list",
      "S: 502 …",
      "C: TURN",
      "S: 502 …",
      "C: SEND FROM:<a@b.test>",
      "S: 502 …",
    ],
  },
  {
    ids: ["SMTP-17", "SUB-25"],
    what: "DATA and RSET take no argument",
    on: "submission",
    from: "login",
    steps: [
      ...["C: RSET x", "S: 501 …", "C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"],
      ...["C: DATA now", "S: 501 …", "C: RSET", "S: 250 …"],
    ],
  },
  {
    ids: ["SMTP-18"],
    what: "the argument of NOOP is ignored",
    on: "mx",
    from: "tls",
    steps: ["C: NOOP hello", "S: 250 …"],
  },
  {
    ids: ["SMTP-19", "PIPE-01"],
    what: "a reply for each command of a group, in order",
    on: "submission",
    from: "login",
    steps: [
      ...["C: RSET", "C: MAIL FROM:<{sender}>", "C: MAIL FROM:<{sender}>", "C: RCPT TO:<{to}>", "C: RSET"],
      ...["S: 250 2.0.0 …", "S: 250 2.1.0 …", "S: 503 …", "S: 250 2.1.5 …", "S: 250 2.0.0 …"],
    ],
  },
];
