/** test/interop/checks-messages.ts: rules and messages for checks.interop.ts. */

/** Lines of each table. `A:` and `!` at the start of a line say the action themselves. */
export const RULES = {
  header_checks: [
    "/^A: *(.*)/ $1",
    "/^Received: .*helo-of-a-secret/ IGNORE",
    "/^(Content-.*|Mime-.*)/ INFO primary $1",
  ],
  mime_header_checks: ["/^A: *(.*)/ $1", "/^(Content-.*|Mime-.*)/ INFO mime $1"],
  nested_header_checks: ["/^A: *(.*)/ $1", "/^(.*)/ INFO nested $1"],
  body_checks: ["/^! *(.*)/ $1", "/^(--.*)/ INFO boundary $1", "/^(%.{0,5})/ INFO long $1", "/^$/ INFO empty"],
};

export interface CheckedMessage {
  readonly why: string;
  readonly content: string;
}

const header = (...fields: string[]) => `${fields.join("\r\n")}\r\nSubject: a\r\n\r\nb`;
const body = (...lines: string[]) => `Subject: a\r\n\r\n${lines.join("\r\n")}`;
const lines = (...all: string[]) => all.join("\r\n");

/** Multipart in multipart. */
const nest = (depth: number) =>
  `Subject: a\r\n${Array.from({ length: depth }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`).join("")}\r\nend`;

const PARTS = lines(
  "Subject: a",
  "Mime-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="x y"',
  "Content-Length: 5",
  "Content-Foo: x",
  "Content-Id: <x>",
  "Content-MD5: x",
  "Content-Description: x",
  "Content-Disposition: x",
  "",
  "pre",
  "--x y",
  "Content-Foo: part",
  "A:WARN part",
  " folded",
  "A:PREPEND X-P: q",
  "A:IGNORE",
  "A:REPLACE X-Q: r",
  "A:STRIP s",
  "",
  "body",
  "--x y  ",
  "Content-Type: message/rfc822",
  "",
  "Subject: nested",
  "Content-Type: text/plain",
  "A:WARN nested",
  "A:PREPEND X-P: q",
  "A:PREPEND bad",
  "",
  "!WARN nb",
  "--x y--",
  "epilogue",
  "--x y",
  "A:WARN no header",
  "!WARN e",
);

const DIGEST = lines(
  "Subject: a",
  "Content-Type: multipart/digest; boundary=zz",
  "",
  "--zz",
  "",
  "A:WARN digest",
  "",
  "!WARN x",
  "no: header",
  "--zz",
  "A:WARN p",
  "no header here",
  "!WARN x",
  "--zz",
  "Content-Type: text/plain",
  "",
  "A:WARN not a header",
  "--zz--",
);

const ODD_BOUNDARIES = lines(
  "Subject: a",
  "Content-Type: multipart/mixed; (comment) boundary=one; boundary=two; charset=x",
  "",
  "--one",
  "A:WARN first",
  "",
  "--two",
  "A:WARN second",
  "",
  "--onetwothree",
  "A:WARN third",
  "",
  "--on",
  "A:WARN no part",
  "-- one",
  "--one--",
  "--two",
  "A:WARN closed",
);

export const ACTIONS: readonly CheckedMessage[] = [
  { why: "nothing matches", content: header("X: y") },
  { why: "REJECT", content: header("Message-Id: <x@y>", "A: REJECT", "A: WARN later") },
  { why: "REJECT with text", content: header("A: REJECT no thanks") },
  { why: "REJECT with status", content: header("A: REJECT 5.1.1 no such thing") },
  { why: "REJECT for now", content: header("A: REJECT 4.7.5 later") },
  { why: "REJECT with a status of success", content: header("A: REJECT 2.7.5 later") },
  { why: "REJECT with what looks like a status", content: header("A: REJECT 5.7.1x foo") },
  {
    why: "WARN, INFO, DUNNO, OK",
    content: header("A: WARN w", " folded", "A: WARN", "A: INFO i", "A: DUNNO x", "A: OK x"),
  },
  { why: "in any case, after a tab", content: header("A: warn\tlower") },
  { why: "STRIP, IGNORE", content: header("A: STRIP s", "A: STRIP", "A: IGNORE x") },
  { why: "unknown words", content: header("A: BOGUS z", "A: REJECTED z") },
  { why: "PASS ends the checks", content: `${header("A: PASS ok", "A: WARN x")}\r\n!WARN b` },
  { why: "DISCARD", content: header("A: DISCARD gone", "A: WARN x") },
  { why: "DISCARD without text", content: header("A: DISCARD", "A: REJECT") },
  { why: "HOLD once", content: header("A: HOLD h", "A: HOLD h2", "A: WARN x") },
  {
    why: "FILTER",
    content: header("A: FILTER", "A: FILTER bad", "A: FILTER smtp:[127.0.0.1]:1", "A: FILTER discard:"),
  },
  {
    why: "REDIRECT",
    content: header("A: REDIRECT", "A: REDIRECT bad", "A: REDIRECT x@r.test", "A: FILTER discard:", "A: WARN x"),
  },
  { why: "BCC", content: header("A: BCC", "A: BCC bad", "A: BCC x@r.test", "A: BCC X@R.test", "A: BCC one@b.test") },
  { why: "REDIRECT leaves out BCC", content: header("A: BCC x@r.test", "A: REDIRECT r@r.test") },
  {
    why: "PREPEND",
    content: header(
      "A: PREPEND",
      "A: PREPEND bad",
      "A: PREPEND X-New: a",
      "A: PREPEND From: z@z.test",
      "A: PREPEND Bcc: z@z.test",
    ),
  },
  {
    why: "REPLACE",
    content: header(
      "A: REPLACE",
      "A: REPLACE bad",
      "A: REPLACE X-Rep: b",
      "A: REPLACE To: me",
      "A: REPLACE Bcc: me@x.test",
      "A: REPLACE From: who",
      "A: REPLACE X-Long: a",
      " b",
      "\tc",
    ),
  },
  { why: "an empty result", content: header("A:") },
  { why: "a long field is logged in part", content: header(`A: WARN ${"x".repeat(300)}`) },
  { why: "UTF-8", content: header("A: REPLACE X-Utf8: caf\xc3\xa9") },
  { why: "bytes that are no UTF-8", content: header("A: REPLACE X-Latin: caf\xe9") },
  { why: "body: WARN, STRIP, IGNORE", content: body("!WARN b", "!STRIP s", "!IGNORE", "", "end") },
  { why: "body: PREPEND, REPLACE", content: body("!PREPEND", "!REPLACE", "!PREPEND pre", "!REPLACE rep", ".end") },
  { why: "body: REJECT", content: body("!REJECT nope", "!WARN x") },
  { why: "body: DISCARD", content: body("!DISCARD", "!WARN x") },
  { why: "body: HOLD", content: body("!HOLD", "!WARN x") },
  { why: "body: FILTER, REDIRECT", content: body("!FILTER discard:", "!REDIRECT z@z.test", "!WARN") },
  { why: "body: BCC", content: body("!BCC b@c.test", "!WARN") },
  { why: "body: PASS", content: body("!PASS", "!WARN x") },
  { why: "body: an empty result", content: body("!") },
  { why: "classes of fields, parts, enclosed messages", content: PARTS },
  { why: "multipart/digest, missing headers", content: DIGEST },
  { why: "several boundaries, cruft behind them", content: ODD_BOUNDARIES },
  { why: "the most that may nest", content: nest(102) },
  { why: "nested too deep", content: nest(103) },
  { why: "8-bit text is no fault", content: header("X: \xe9") },
  {
    why: "lines around the limit of a piece",
    content: body(...[2046, 2047, 2048, 2049, 4100].map((n) => `%${"y".repeat(n - 6)}%zzzz`)),
  },
  { why: "only so much of a part is checked", content: body(`!WARN 1`, ...Array(600).fill("x".repeat(99)), "!WARN 2") },
  { why: "blanks before the colon", content: header("A : WARN x") },
  { why: "no header at all", content: "\r\n!WARN x" },
  { why: "a body without an empty line", content: lines("Subject: a", "!WARN x") },
  { why: "the line of a mailbox", content: `From me Mon Jan\r\n${header("A: WARN x")}` },
  { why: "49 hops", content: header(...Array(48).fill("Received: x")) },
  { why: "50 hops", content: header(...Array(49).fill("Received: x")) },
];

export const STRICT: readonly CheckedMessage[] = [
  { why: "8-bit header", content: header("X: caf\xe9", "A: WARN x", "Y: \xe9") },
  { why: "8-bit body", content: body("b\xe9", "!WARN x", "\xe9") },
  { why: "8-bit body that says so", content: lines("Subject: a", "Content-Transfer-Encoding: 8bit", "", "b\xe9") },
  {
    why: "message/rfc822 in base64",
    content: lines(
      "Subject: a",
      "Content-Type: message/rfc822",
      "Content-Transfer-Encoding: base64",
      "",
      "b",
      "!WARN x",
    ),
  },
  {
    why: "multipart in quoted-printable",
    content: lines(
      "Subject: a",
      "Content-Type: multipart/mixed",
      "Content-Transfer-Encoding: quoted-printable",
      "",
      "b",
    ),
  },
  {
    why: "message/partial in 8bit, and a REJECT",
    content: lines(
      "Subject: a",
      "Content-Type: message/partial",
      "Content-Transfer-Encoding: 8bit",
      "",
      "b",
      "!REJECT",
    ),
  },
  { why: "several faults", content: lines("Subject: a\xe9", "", "b\xe9") },
];

/** Lines that make and unmake structure, thrown together. */
const WORDS: readonly string[] = [
  ...["--b", "--b--", "--c", "--c--", "--bc", "--", "--b  x", "-- b", "", "", "", " ", "\t", " folded", "\tfolded"],
  ...["A: WARN x", "A: IGNORE", "A: REPLACE X: y", "A:PREPEND X: z", "!WARN y", "!IGNORE", "!REPLACE z"],
  ...["text", ": no name", "no colon", "X-Y: z", "Subject: n", "Mime-Version: 1.0", "Content-Id: <x>"],
  ...["Content-Type: text/plain", "Content-Type: message/rfc822", "Content-Type: message/delivery-status"],
  ...["Content-Type: multipart/mixed; boundary=b", 'Content-Type: multipart/digest; boundary="c"', "Content-Type:"],
  ...["Content-Type: multipart/mixed;\r\n boundary=c", "Content-Type: multipart/mixed; boundary=", "content-type: x"],
  ...['CONTENT-TYPE: MULTIPART/MIXED; BOUNDARY="b"; boundary=c', "Content-Type: (x) multipart/(y)mixed;boundary=(z)b"],
  ...["Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: x", "\xe9"],
  ...[`%${"y".repeat(2045)}`, `%${"y".repeat(4100)}`, `X-Long: ${"z".repeat(3000)}`],
];

/** The same at each run, so that a difference can be looked at again. */
export function randomMessages(count: number, seed: number): readonly CheckedMessage[] {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  return Array.from({ length: count }, (_, i) => {
    const content = Array.from({ length: 5 + next(40) }, () => WORDS[next(WORDS.length)]);
    return { why: `message ${i} of seed ${seed}`, content: ["Subject: a", ...content].join("\r\n") };
  });
}

/** For the rules of the client. */
export const OUTGOING: readonly CheckedMessage[] = [
  {
    why: "actions",
    content: header(
      ...["A: WARN w", " folded", "A: WARN", "A: INFO i", "A: STRIP s", "A: IGNORE", "A: DUNNO", "A: OK"],
      ...["A: PREPEND X-P: y", "A: REPLACE X-R: y", "A: REPLACE From: me@x.test", "A: PREPEND", "A: PREPEND bad"],
      `A: WARN ${"x".repeat(100)}`,
    ),
  },
  {
    why: "actions that cannot be done any more",
    content: `${header("A: REJECT x", "A: HOLD", "A: PASS", "A: BCC a@b", "A: FILTER", "A: BOGUS")}\r\n!DISCARD\r\n!REDIRECT`,
  },
  {
    why: "bodies",
    content: body("!WARN b", "!IGNORE", "!STRIP", "!PREPEND p", "!REPLACE .r", "!PREPEND", "%long", "end"),
  },
  { why: "classes", content: PARTS },
  { why: "digest", content: DIGEST },
  { why: "any size", content: body(...Array(600).fill("x".repeat(99)), "!WARN 2") },
  { why: "no depth is too deep", content: nest(103) },
  { why: "a table that fails in the header", content: header("A:", "A: WARN") },
  { why: "a table that fails in the body", content: body("!WARN x", "!", "!WARN y") },
];

/** With body_checks_size_limit = 4, and 0. */
export const SIZES: readonly CheckedMessage[] = [
  {
    why: "where a segment begins",
    content: lines(
      ...["Subject: a", "Content-Type: multipart/mixed; boundary=b", "", "%1", "%2", "--b", "", "%3", "%4"],
      ...["--b", "Content-Type: message/rfc822", "", "Subject: n", "", "%5", "%6", "--b--", "%7", "%8"],
    ),
  },
];

export const DISABLED: readonly CheckedMessage[] = [
  { why: "no parts are found", content: PARTS },
  { why: "nothing is too deep", content: nest(103) },
];

export const OVERRIDDEN: readonly CheckedMessage[] = [
  { why: "nothing is checked", content: PARTS },
  { why: "nothing is too deep", content: nest(103) },
];
