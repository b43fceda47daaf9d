/** admin/selftest-content-rows.ts: rows about content: dots, lines, sizes, smuggling, and what is completed. Mail goes to {to} and
 *  is compared at the private next hop. */
import { type SelftestRow, usersOnly, without } from "./selftest-row.ts";
import { DATA, QUEUED, said, sent, TO_ONE } from "./selftest-steps.ts";

const LONG = "x".repeat(998);
const HUNDRED = Array.from({ length: 100 }, (_, i) => i + 1);

export const CONTENT_ROWS: readonly SelftestRow[] = [
  {
    ...sent(
      ["SUB-02", "MOD-05", "MOD-06", "TRC-06"],
      "Received, Date and Message-ID are there when the client leaves them out",
      ["C: Subject: bare", "C:", "C: body"],
      ["\r\nDate: …:… ", "\r\nMessage-I", "Subject: bare\r\n", "\r\n\r\nbody\r\n"],
    ),
    unless: usersOnly,
  },
  {
    ...sent(["TRC-04"], "Received says how the message came", ["C: Subject: how", "C:", "C: x"], [" with ESMTP"]),
    unless: without("smtpd_hide_client_session", "yes"),
  },
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
    ["\r\nReceived: …\r\nReceived: from one by two;…X-B: 1\r\nSubject: order\r\nX-A: 2\r\n"],
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

/** Where 0 means no limit. */
function isBelow(limit: number, value: number): boolean {
  return limit > 0 && limit < value;
}
