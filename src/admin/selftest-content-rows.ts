/** admin/selftest-content-rows.ts: rows about content and its extensions: DATA and BDAT, sizes, DSN, UTF-8, smuggling, and what
 *  is completed. Mail goes to {to} and is compared at the private next hop. */
import { type SelftestRow, type SelftestService, without } from "./selftest-row.ts";

const TO_ONE = ["C: MAIL FROM:<{sender}>", "S: 250 …", "C: RCPT TO:<{to}>", "S: 250 …"];
const DATA = [...TO_ONE, "C: DATA", "S: 354 …"];
const QUEUED = ["C: .", "S: 250 …queued as …"];

/** `unless` for an EHLO keyword that is not announced. */
function keyword(name: string): NonNullable<SelftestRow["unless"]> {
  return ({ params }: SelftestService) =>
    new RegExp(`(?:^|[\\s,])${name}(?:[\\s,]|$)`, "i").test(params.text("smtpd_discard_ehlo_keywords"))
      ? `smtpd_discard_ehlo_keywords has ${name}`
      : undefined;
}

function sent(ids: readonly string[], what: string, steps: readonly string[], arrives: readonly string[]): SelftestRow {
  return { ids, what, on: "submission", from: "login", steps: [...DATA, ...steps, ...QUEUED], arrives };
}

function said(
  ids: readonly string[],
  what: string,
  steps: readonly string[],
  unless?: SelftestRow["unless"],
): SelftestRow {
  return { ids, what, on: "submission", from: "login", steps, ...(unless && { unless }) };
}

const LONG = "x".repeat(998);
const HUNDRED = Array.from({ length: 100 }, (_, i) => i + 1);

const DATA_ROWS: readonly SelftestRow[] = [
  sent(
    ["SUB-02", "MOD-05", "MOD-06", "TRC-04", "TRC-06"],
    "Received, Date and Message-ID are there when the client leaves them out",
    ["C: Subject: bare", "C:", "C: body"],
    ["\r\nDate: …:… ", "\r\nMessage-I", " with ESMTP", "Subject: bare\r\n", "\r\n\r\nbody\r\n"],
  ),
  sent(
    ["MOD-15", "TRC-07"],
    "Bcc and Return-Path do not leave the server",
    ["C: Subject: copy", "C: Bcc: secret@{elsewhere}", "C: Return-Path: <secret@{elsewhere}>", "C:", "C: x"],
    ["Subject: copy", "!secret@"],
  ),
  sent(
    ["TRC-01", "MSG-09"],
    "Received on top, older ones and the order of fields stay",
    [
      "C: Received: from one by two; Mon, 02 Mar 2026 10:00:00 +0000",
      "C: X-B: 1",
      "C: Subject: order",
      "C: X-A: 2",
      "C:",
      "C: x",
    ],
    ["\r\n\r\nReceived: …Received: from one by two;…X-B: 1\r\nSubject: order\r\nX-A: 2\r\n"],
  ),
  {
    ...sent(
      ["TRC-03"],
      "no recipient in Received where there are two",
      ["C: Subject: two", "C:", "C: x"],
      ["Subject: two", "!\tfor <"],
    ),
    steps: [
      ...TO_ONE,
      "C: RCPT TO:<other@{elsewhere}>",
      "S: 250 …",
      "C: DATA",
      "S: 354 …",
      "C: Subject: two",
      "C:",
      "C: x",
      ...QUEUED,
    ],
  },
  sent(
    ["DAT-02", "DAT-04"],
    "dots at the beginning of lines; nothing is added",
    ["C: Subject: dots", "C:", "C: ..", "C: ..x", "C: ...", "C: end"],
    ["\r\n\r\n.\r\n.x\r\n..\r\nend\r\n…END"],
  ),
  sent(
    ["DAT-07"],
    "a line of 998 octets arrives whole",
    ["C: Subject: long", "C:", `C: ${LONG}`],
    [`\r\n\r\n${LONG}\r\n`],
  ),
  sent(
    ["DAT-08", "LIM-03"],
    "a longer line arrives in lines of at most 998 octets",
    ["C: Subject: longer", "C:", `C: ${LONG}${LONG}`],
    ["Subject: longer", `!${LONG}x`],
  ),
  {
    ...sent(
      ["DAT-09", "LIM-05"],
      "a message of 64 KiB",
      ["C: Subject: big", "C:", ...Array<string>(100).fill(`C: ${"y".repeat(700)}`)],
      ["Subject: big", "yyyy\r\n…END"],
    ),
    unless: ({ params }) =>
      isBelow(params.get("message_size_limit"), 80_000) ? "message_size_limit is lower" : undefined,
  },
  {
    ids: ["DAT-10", "LIM-06"],
    what: "a message to 100 recipients",
    on: "submission",
    from: "login",
    unless: ({ params }) =>
      isBelow(params.get("smtpd_recipient_limit"), 100) ? "smtpd_recipient_limit is lower" : undefined,
    steps: [
      ...["C: MAIL FROM:<{sender}>", "S: 250 …"],
      ...HUNDRED.map((n) => `C: RCPT TO:<r${n}@{elsewhere}>`),
      ...HUNDRED.map(() => "S: 250 …"),
      ...["C: RSET", "S: 250 …"],
    ],
  },
  said(["DAT-05", "LIM-04"], "a local part of 64 octets", [
    ...["C: MAIL FROM:<{sender}>", "S: 250 …", `C: RCPT TO:<${"l".repeat(64)}@{elsewhere}>`, "S: 250 …"],
  ]),
  said(["DAT-06", "LIM-01"], "a command line of 1000 octets", [`C: NOOP ${"n".repeat(1000)}`, "S: 250 …"]),
  said(["DAT-13"], "incomplete Resent- fields are no reason to refuse", [
    ...[...DATA, "C: Resent-To: other@{elsewhere}", "C: Subject: again", "C:", "C: x", ...QUEUED],
  ]),
  said(
    ["TRC-08", "LIM-14"],
    "too many Received fields are a loop",
    [
      ...DATA,
      ...Array<string>(101).fill("C: Received: from a by b; Mon, 02 Mar 2026 10:00:00 +0000"),
      "C:",
      "C: x",
      "C: .",
      "S: 5…",
    ],
    ({ params }) => (isBelow(params.get("hopcount_limit"), 101) ? undefined : "hopcount_limit is higher"),
  ),
  sent(
    ["MSG-12"],
    "a header without blank line behind it",
    ["C: Subject: open", "C: no colon here", "C: more"],
    ["Subject: open\r\n", "\r\n\r\nno colon here\r\nmore\r\n"],
  ),
  sent(
    ["MSG-11"],
    "a line of an mbox file in front",
    ["C: From alice Mon Mar  2 10:00:00 2026", "C: Subject: mbox", "C:", "C: x"],
    ["Subject: mbox\r\n", "!\r\nFrom alice "],
  ),
  said(["PIPE-06"], "DATA after refused recipients only", [
    ...["C: MAIL FROM:<{sender}>", "C: RCPT TO:<a b@{elsewhere}>", "C: DATA", "S: 250 …", "S: 501 …", "S: 55…"],
    ...["C: RSET", "S: 250 …"],
  ]),
  ...[
    { id: "SMUG-01", end: "\\n.\\n" },
    { id: "SMUG-02", end: "\\n.\\r\\n" },
    { id: "SMUG-03", end: "\\r\\n.\\n" },
    { id: "SMUG-04", end: "\\r.\\r" },
  ].map(
    ({ id, end }): SelftestRow => ({
      ...sent(
        [id, "SMUG-05"],
        `${end} does not end the content; commands behind it are content`,
        [],
        ["smuggled", "MAIL FROM:<x@evil.test>"],
      ),
      unless: without("smtpd_forbid_bare_newline", "reject"),
      steps: [
        ...DATA,
        `R: "Subject: smuggled\\r\\n\\r\\nx${end}MAIL FROM:<x@evil.test>\\r\\nRCPT TO:<y@evil.test>\\r\\nDATA\\r\\nx\\r\\n"`,
        ...QUEUED,
        ...["C: NOOP", "S: 250 2.0.0 Ok"],
      ],
    }),
  ),
];

const EXTENSION_ROWS: readonly SelftestRow[] = [
  said(
    ["SIZE-01", "SIZE-02"],
    "SIZE is announced; more is refused at MAIL",
    [
      ...["C: EHLO client.example.net", "S: 250-SIZE…", "S: 250 …"],
      ...["C: MAIL FROM:<{sender}> SIZE=99999999999999999999", "S: 552 …"],
    ],
    keyword("size"),
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
    keyword("8bitmime"),
  ),
  {
    ...sent(
      ["8BIT-02"],
      "8-bit content is kept for a hop that takes it",
      [],
      ["BODY=8BITMIME", "na\u00c3\u00afve\r\n"],
    ),
    unless: keyword("8bitmime"),
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
    unless: keyword("chunking"),
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
    keyword("chunking"),
  ),
  said(
    ["BDAT-05"],
    "a chunk without transaction is read and dropped",
    [...['R: "BDAT 12 LAST\\r\\nMAIL FROM:<>"', "S: 503 …", "C: NOOP", "S: 250 …"]],
    keyword("chunking"),
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
    keyword("dsn"),
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
    keyword("dsn"),
  ),
  said(
    ["DSN-03", "DSN-04"],
    "RET and ENVID that are none",
    [
      ...["C: MAIL FROM:<{sender}> RET=ALL", "S: 501 …", "C: MAIL FROM:<{sender}> RET=FULL RET=FULL", "S: 501 …"],
      ...["C: MAIL FROM:<{sender}> ENVID=a+0Ab", "S: 501 …", "C: MAIL FROM:<{sender}> ENVID=QQ314159", "S: 250 …"],
    ],
    keyword("dsn"),
  ),
  {
    ...sent(
      ["DSN-05", "DSN-20"],
      "ORCPT, NOTIFY, RET and ENVID go to a hop that knows DSN",
      [],
      ["RET=HDRS", "ENVID=a+20b", "NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Bob+2BX@Example.ORG"],
    ),
    unless: keyword("dsn"),
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
    keyword("dsn"),
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
    ...sent(
      ["EAI-03", "EAI-11"],
      "mail to a mailbox in UTF-8",
      [],
      ["RCPT TO:<b\u00c3\u00b3b@{elsewhere}>", " with UTF8SMTP"],
    ),
    unless: utf8,
    steps: [
      ...["C: MAIL FROM:<{sender}> SMTPUTF8", "S: 250 …", "C: RCPT TO:<bób@{elsewhere}>", "S: 250 …"],
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
  return without("smtputf8_enable", "no")(service) ?? keyword("smtputf8")(service);
}

/** Where 0 means no limit. */
function isBelow(limit: number, value: number): boolean {
  return limit > 0 && limit < value;
}

export const CONTENT_ROWS: readonly SelftestRow[] = [...DATA_ROWS, ...EXTENSION_ROWS];
