/** admin/selftest-parameter-rows.ts: rows about extensions of any SMTP service: SIZE, 8BITMIME, CHUNKING, DSN, SMTPUTF8. */
import { announced, type SelftestRow, type SelftestService, usersOnly, without } from "./selftest-row.ts";
import { DATA, QUEUED, said, sent, TO_ONE } from "./selftest-steps.ts";

export const PARAMETER_ROWS: readonly SelftestRow[] = [
  said(
    ["SIZE-01", "SIZE-02"],
    "SIZE is announced; more is refused at MAIL",
    [
      ...["C: EHLO client.example.net", "S: 250-SIZE…", "S: 250 …"],
      ...["C: MAIL FROM:<{sender}> SIZE=99999999999999999999", "S: 552 …"],
    ],
    announced("size"),
  ),
  said(["SIZE-07"], "sizes that are none, or two", [
    ...["C: MAIL FROM:<{sender}> SIZE=abc", "S: 501 …", "C: MAIL FROM:<{sender}> SIZE=", "S: 5…"],
    ...["C: MAIL FROM:<{sender}> SIZE=1 SIZE=2", "S: 501 …", "C: MAIL FROM:<{sender}> SIZE=1", "S: 250 …"],
  ]),
  {
    ...sent(["SIZE-04"], "the declared size does not end the content", [], ["\r\nend\r\n"]),
    steps: [
      ...["C: MAIL FROM:<{sender}> SIZE=5", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …", "C: DATA", "S: 354 …"],
      ...["C: Subject: size", "C:", "C: longer than five", "C: end", ...QUEUED],
    ],
  },
  said(
    ["8BIT-01"],
    "BODY=7BIT and BODY=8BITMIME, nothing else",
    [
      ...["C: MAIL FROM:<{sender}> BODY=9BIT", "S: 5…", "C: MAIL FROM:<{sender}> body=8bitmime", "S: 250 …", "C: RSET"],
      ...["S: 250 …", "C: MAIL FROM:<{sender}> BODY=7BIT", "S: 250 …"],
    ],
    announced("8bitmime"),
  ),
  {
    ...sent(
      ["8BIT-02"],
      "8-bit content is kept for a hop that takes it",
      [],
      ["BODY=8BITMIME", "na\u00c3\u00afve\r\n"],
    ),
    unless: announced("8bitmime"),
    steps: [
      ...["C: MAIL FROM:<{sender}> BODY=8BITMIME", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …", "C: DATA", "S: 354 …"],
      ...["C: Subject: bits", "C: MIME-Version: 1.0", "C: Content-Type: text/plain; charset=utf-8"],
      ...["C: Content-Transfer-Encoding: 8bit", "C:", "C: naïve", ...QUEUED],
    ],
  },
  {
    ids: ["BDAT-01", "BDAT-11", "SUB-29"],
    what: "chunks are a message; dots and verbs in them mean nothing",
    on: "submission",
    from: "login",
    unless: (service) => usersOnly(service) ?? announced("chunking")(service),
    steps: [
      ...[...TO_ONE, 'R: "BDAT 19\\r\\nSubject: chunks\\r\\n\\r\\n"', "S: 250 …"],
      ...['R: "BDAT 16 LAST\\r\\n.\\r\\nQUIT\\r\\n..\\r\\nx\\r\\n"', "S: 250 …queued as …"],
    ],
    arrives: ["Subject: chunks\r\n", "\r\nMessage-I", "\r\n\r\n.\r\nQUIT\r\n..\r\nx\r\n"],
  },
  said(
    ["BDAT-03", "BDAT-06", "BDAT-02"],
    "DATA after BDAT; RSET between chunks; then DATA again",
    [
      ...[...TO_ONE, 'R: "BDAT 3\\r\\nabc"', "S: 250 …", "C: DATA", "S: 503 …", "C: RSET", "S: 250 …"],
      ...[...DATA, "C: Subject: again", "C:", ...QUEUED],
    ],
    announced("chunking"),
  ),
  said(
    ["BDAT-04"],
    "a chunk after the last one is read and refused",
    [
      ...TO_ONE,
      'R: "BDAT 10 LAST\\r\\nSubject: x"',
      "S: 250 …queued as …",
      'R: "BDAT 3\\r\\nabc"',
      "S: 503 …",
      "C: NOOP",
      "S: 250 …",
    ],
    announced("chunking"),
  ),
  said(
    ["BDAT-05"],
    "a chunk without transaction is read and dropped",
    [...['R: "BDAT 12 LAST\\r\\nMAIL FROM:<>"', "S: 503 …", "C: NOOP", "S: 250 …"]],
    announced("chunking"),
  ),
  said(
    ["DSN-01"],
    "what may be asked about reports changes no reply",
    [
      ...[
        "C: MAIL FROM:<{sender}> ret=hdrs ENVID=a+20b",
        "S: 250 …",
        "C: RCPT TO:<{to}> NOTIFY=success,Failure ORCPT=rfc822;{to}",
      ],
      ...["S: 250 …"],
    ],
    announced("dsn"),
  ),
  said(
    ["DSN-02"],
    "NOTIFY that is none",
    [
      ...[
        "C: MAIL FROM:<{sender}>",
        "S: 250 …",
        "C: RCPT TO:<{to}> NOTIFY=NEVER,SUCCESS",
        "S: 501 …",
        "C: RCPT TO:<{to}> NOTIFY=",
      ],
      ...[
        "S: 501 …",
        "C: RCPT TO:<{to}> NOTIFY=SUCCESS NOTIFY=DELAY",
        "S: 501 …",
        "C: RCPT TO:<{to}> NOTIFY=NEVER",
        "S: 250 …",
      ],
    ],
    announced("dsn"),
  ),
  said(
    ["DSN-03", "DSN-04"],
    "RET and ENVID that are none",
    [
      ...["C: MAIL FROM:<{sender}> RET=ALL", "S: 501 …", "C: MAIL FROM:<{sender}> RET=FULL RET=FULL", "S: 501 …"],
      ...["C: MAIL FROM:<{sender}> ENVID=a+0Ab", "S: 501 …", "C: MAIL FROM:<{sender}> ENVID=QQ314159", "S: 250 …"],
    ],
    announced("dsn"),
  ),
  {
    ...sent(
      ["DSN-05", "DSN-20"],
      "ORCPT, NOTIFY, RET and ENVID go to a hop that knows DSN",
      [],
      ["RET=HDRS", "ENVID=a+20b", "NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Bob+2BX@Example.ORG"],
    ),
    unless: announced("dsn"),
    steps: [
      ...["C: MAIL FROM:<{sender}> RET=HDRS ENVID=a+20b", "S: 250 …"],
      ...["C: RCPT TO:<{to}> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob+2BX@Example.ORG", "S: 250 …"],
      ...["C: DATA", "S: 354 …", "C: Subject: report", "C:", ...QUEUED],
    ],
  },
  said(
    ["DSN-07", "LIM-22"],
    "a RCPT line of more than 1036 octets",
    [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …"],
      ...[
        `C: RCPT TO:<${"l".repeat(60)}@${"d".repeat(60)}.invalid> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;${"+41".repeat(300)}@x.test`,
      ],
      ...["S: 250 …"],
    ],
    announced("dsn"),
  ),
  said(
    ["EAI-01", "EAI-02"],
    "SMTPUTF8 has no parameters",
    [
      ...["C: EHLO client.example.net", "S: 250-SMTPUTF8", "S: 250 …", "C: MAIL FROM:<{sender}> SMTPUTF8=1", "S: 5…"],
      ...["C: MAIL FROM:<{sender}> SMTPUTF8", "S: 250 …"],
    ],
    utf8,
  ),
  {
    ...sent(["EAI-03"], "mail to a mailbox in UTF-8", [], ["RCPT TO:<b\u00c3\u00b3b@{elsewhere}>"]),
    unless: utf8,
    steps: [
      ...["C: MAIL FROM:<{sender}> SMTPUTF8", "S: 250 …", "C: RCPT TO:<bób@{elsewhere}>", "S: 250 …"],
      ...["C: DATA", "S: 354 …", "C: Subject: é", "C:", ...QUEUED],
    ],
  },
  {
    ...sent(["EAI-11"], "Received says that it came with SMTPUTF8", [], [" with UTF8SMTP"]),
    unless: (service) => utf8(service) ?? without("smtpd_hide_client_session", "yes")(service),
    steps: [
      ...["C: MAIL FROM:<{sender}> SMTPUTF8", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"],
      ...["C: DATA", "S: 354 …", "C: Subject: é", "C:", ...QUEUED],
    ],
  },
  said(
    ["EAI-09"],
    "bytes that are no UTF-8",
    [...["C: MAIL FROM:<{sender}> SMTPUTF8", "S: 250 …", 'R: "RCPT TO:<\\u00ff@{elsewhere}>\\r\\n"', "S: 50…"]],
    utf8,
  ),
];

function utf8(service: SelftestService): string | undefined {
  return without("smtputf8_enable", "no")(service) ?? announced("smtputf8")(service);
}
