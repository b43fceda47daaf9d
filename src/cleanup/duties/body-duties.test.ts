/** cleanup/duties/body-duties.test.ts: 8-bit content and fields in the parts of submitted messages, through cleanup as a whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Submission, submit } from "../testdata/submit.ts";

const HEAD =
  "From: a@x.test\r\nMessage-Id: <1@x.test>\r\nDate: Tue, 24 Nov 2026 07:00:00 +0100\r\nMIME-Version: 1.0\r\n";
const MIXED = `${HEAD}Content-Transfer-Encoding: 8bit\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n`;
const TEXT = "Content-Type: text/plain; charset=utf-8\r\n";
const SAID = "Content-Transfer-Encoding: 8bit\r\n";
const parts = (...all: readonly string[]) => `${all.map((one) => `--b\r\n${one}\r\n`).join("")}--b--\r\n`;
const EIGHT_BIT = "8-bit content of a part is called 7bit";
const LABELLED = `Content-Transfer-Encoding of parts replaced (${EIGHT_BIT}; transfer_encoding:fix)`;

interface Row extends Submission {
  /** The body. */
  readonly in: string;
  readonly want: string;
  readonly why: string;
  readonly head?: string;
  readonly changes?: readonly string[];
  readonly log?: RegExp;
}

const ROWS: readonly Row[] = [
  {
    in: parts("\r\nplain", `${TEXT}\r\ngr\xc3\xbcn`),
    want: parts("\r\nplain", `${TEXT}${SAID}\r\ngr\xc3\xbcn`),
    changes: [LABELLED],
    why: "MSG-14: a part without label",
  },
  {
    in: parts(`content-transfer-encoding : 7bit\r\n${TEXT}X: y\r\n\r\n\xc3\xbc`),
    want: parts(`${TEXT}X: y\r\n${SAID}\r\n\xc3\xbc`),
    changes: [LABELLED],
    why: "a part that is called 7bit",
  },
  {
    in: parts("\r\n\xc3\xbc"),
    want: parts(`Content-Type: text/plain; charset=utf-8\r\n${SAID}\r\n\xc3\xbc`),
    changes: [LABELLED],
    why: "a part without fields says what it is",
  },
  {
    in: parts("X: y\r\n\r\n\xfc"),
    want: parts(`X: y\r\nContent-Type: text/plain; charset=unknown-8bit\r\n${SAID}\r\n\xfc`),
    changes: [LABELLED],
    why: "in what character set, nobody knows",
  },
  {
    in: parts("Content-Type: image/x\r\n\xfc"),
    want: parts(`Content-Type: image/x\r\n${SAID}\xfc`),
    changes: [LABELLED],
    why: "the empty line was forgotten",
  },
  {
    in: parts(`Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n${TEXT}\r\n\xc3\xbc\r\n--c--`, "\r\nx"),
    want: parts(
      `Content-Type: multipart/alternative; boundary=c\r\n${SAID}\r\n--c\r\n${TEXT}${SAID}\r\n\xc3\xbc\r\n--c--`,
      "\r\nx",
    ),
    changes: [LABELLED],
    why: "RFC 2045 section 6.4: what is around it says so, too",
  },
  {
    in: parts(`Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n${TEXT}${SAID}\r\n\xc3\xbc\r\n--c--`),
    want: parts(`Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n${TEXT}${SAID}\r\n\xc3\xbc\r\n--c--`),
    why: "as Thunderbird writes it: each content has its label",
  },
  {
    in: parts("Content-Type: multipart/mixed; boundary=c\r\n\r\n\xc3\xbc\r\n--c\r\n\r\nx\r\n--c--\r\n"),
    want: parts(`Content-Type: multipart/mixed; boundary=c\r\n${SAID}\r\n\xc3\xbc\r\n--c\r\n\r\nx\r\n--c--\r\n`),
    changes: [LABELLED],
    why: "a preamble",
  },
  {
    in: parts("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n\xc3\xbc", "\r\nx"),
    want: parts(
      `Content-Type: message/rfc822\r\n${SAID}\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n${SAID}\r\n\xc3\xbc`,
      "\r\nx",
    ),
    changes: [LABELLED],
    why: "an enclosed message",
  },
  {
    in: parts("Content-Transfer-Encoding: quoted-printable\r\n\r\n\xc3\xbc", `${SAID}\r\n\xc3\xbc`),
    want: parts("Content-Transfer-Encoding: quoted-printable\r\n\r\n\xc3\xbc", `${SAID}\r\n\xc3\xbc`),
    why: "quoted-printable that is none",
  },
  {
    in: parts("Content-Transfer-Encoding: x-yenc\r\n\r\n\xfc"),
    want: parts("Content-Transfer-Encoding: x-yenc\r\n\r\n\xfc"),
    why: "an encoding that nobody knows",
  },
  {
    in: parts(`Content-Transfer-Encoding: utf-8\r\n${TEXT}\r\n\xc3\xbc`),
    want: parts(`${TEXT}${SAID}\r\n\xc3\xbc`),
    changes: [LABELLED],
    why: "no encoding",
  },
  {
    in: parts(`${TEXT}\r\n${"x".repeat(1022)}`, `${TEXT}\r\n\xc3\xbc`),
    want: parts(
      `${TEXT}Content-Transfer-Encoding: quoted-printable\r\n\r\n${`${"x".repeat(73)}=\r\n`.repeat(13)}${"x".repeat(73)}`,
      `${TEXT}${SAID}\r\n\xc3\xbc`,
    ),
    changes: ["body encoded (a line of the body is longer than 998 bytes; long_body:fix)", LABELLED],
    why: "beside long lines",
  },
  {
    in: parts('Content-Disposition: attachment; filename="\xc3\xbc.txt"\r\nContent-Description: gr\xc3\xbcn\r\n\r\nx'),
    want: parts(
      "Content-Disposition: attachment; filename*=utf-8''%C3%BC.txt\r\nContent-Description: =?utf-8?B?Z3LDvG4=?=\r\n\r\nx",
    ),
    changes: [
      'fields of parts encoded (8-bit text in Content-Disposition of a part: attachment; filename="??.txt"; eight_bit_header:fix)',
    ],
    why: "MSG-13: fields of a part",
  },
  {
    in: parts("Content-Type: message/rfc822\r\n\r\nSubject: \xfc\r\nMessage-ID: <\xfc@x>\r\n\r\nx"),
    want: parts("Content-Type: message/rfc822\r\n\r\nSubject: =?iso-8859-1?B?/A==?=\r\nMessage-ID: <\xfc@x>\r\n\r\nx"),
    changes: ["fields of parts encoded (8-bit text in Subject of a part: ?; eight_bit_header:fix)"],
    log: /warning: \w+: check eight_bit_header: 8-bit text in Subject of a part: \? \(repaired in part\)/,
    why: "MSG-13: of an enclosed message, and one that has no other form",
  },
  {
    in: parts("Content-Description: gr\xc3\xbcn\r\nX: \xfc\r\n\r\nx"),
    want: parts("Content-Description: gr\xc3\xbcn\r\nX: =?iso-8859-1?B?/A==?=\r\n\r\nx"),
    smtputf8: true,
    changes: ["fields of parts encoded (8-bit text in X of a part: ?; eight_bit_header:fix)"],
    why: "UTF-8 of an SMTPUTF8 message",
  },
  {
    in: parts("Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--", `${TEXT}\r\n\xc3\xbc`),
    want: parts("Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--", `${TEXT}\r\n\xc3\xbc`),
    log: /check transfer_encoding: 8-bit content of a part is called 7bit \(cannot be repaired\)$/m,
    why: "a part is signed",
  },
  {
    in: parts(`${TEXT}\r\n\xc3\xbc`),
    head: `DKIM-Signature: x\r\n${MIXED}`,
    want: parts(`${TEXT}\r\n\xc3\xbc`),
    log: /check transfer_encoding: 8-bit content of a part is called 7bit \(left as it is: the message is signed\)$/m,
    why: "the message is signed",
  },
  {
    in: parts(`${TEXT}\r\n\xc3\xbc`),
    settings: { postern_submission_checks: "transfer_encoding:warn" },
    want: parts(`${TEXT}\r\n\xc3\xbc`),
    log: /check transfer_encoding: 8-bit content of a part is called 7bit$/m,
    why: "warn",
  },
  {
    in: parts(`X: \xfc\r\n${TEXT}\r\n\xc3\xbc`),
    settings: { postern_submission_checks: "transfer_encoding:off, eight_bit_header:off" },
    want: parts(`X: \xfc\r\n${TEXT}\r\n\xc3\xbc`),
    why: "off",
  },
  {
    in: parts(`X: \xfc\r\n${TEXT}\r\n\xc3\xbc`),
    settings: { disable_mime_input_processing: "yes" },
    want: parts(`X: \xfc\r\n${TEXT}\r\n\xc3\xbc`),
    why: "no parts are looked for",
  },
];
for (const { in: body, head = MIXED, want, why, changes = [], log: logged, ...given } of ROWS) {
  test(`8-bit content of parts: ${why}`, async () => {
    const done = await submit(head + body, given);
    assert.equal(done.result, "queued");
    assert.equal(done.body, want);
    const told = done.envelope?.changes?.list.map(({ what, why, rule }) => `${what} (${why}; ${rule})`) ?? [];
    assert.deepEqual(told, changes);
    const warnings = done.log.filter((line) => line.includes(": check ")).join("\n");
    if (logged) assert.match(warnings, logged);
    else assert.equal(warnings, "");
    for (const step of [1, 7]) assert.equal((await submit(head + body, { ...given, step })).body, want);
  });
}

const REFUSED = [
  {
    in: parts(`${TEXT}\r\n\xc3\xbc`),
    settings: { postern_submission_checks: "transfer_encoding:reject" },
    want: "554 5.6.0 Error: message refused by check transfer_encoding: 8-bit content of a part is called 7bit",
    why: "a label",
  },
  {
    in: parts("Content-Description: \xc3\xbc\r\n\r\nx"),
    settings: { postern_submission_checks: "eight_bit_header:reject" },
    want: "554 5.6.0 Error: message refused by check eight_bit_header: 8-bit text in Content-Description of a part: ??",
    why: "a field",
  },
];
for (const { in: body, settings, want, why } of REFUSED) {
  test(`8-bit content of parts is refused: ${why}`, async () => {
    const { result, log, envelope } = await submit(MIXED + body, { settings });
    assert.equal(result, want);
    assert.equal(envelope, undefined);
    assert.match(log.join("\n"), /: reject: END-OF-MESSAGE from .*\n.*: explain: rule=/);
    assert.equal((await submit(MIXED + body, { settings, options: { role: "mx" } })).result, "queued");
  });
}

const QUOTED = "Content-Transfer-Encoding: quoted-printable";
const SEVEN_BIT = [
  { in: `${HEAD}${TEXT}\r\ngr\xc3\xbcn\r\n`, fields: QUOTED, body: "gr=C3=BCn\r\n", why: "without label" },
  {
    in: `${HEAD}${TEXT}Content-Transfer-Encoding: 7bit\r\n\r\n\xc3\xbc\r\n`,
    fields: QUOTED,
    body: "=C3=BC\r\n",
    why: "that is called 7bit",
  },
  {
    in: `${HEAD}${TEXT}Content-Transfer-Encoding: utf-8\r\n\r\n\xc3\xbc\r\n`,
    fields: QUOTED,
    body: "=C3=BC\r\n",
    why: "no encoding",
  },
  {
    in: "Subject: \xc3\xbc\r\n\r\n\xc3\xbc",
    fields: "Content-Type: text/plain; charset=utf-8",
    body: "=C3=BC",
    why: "without MIME fields",
  },
  {
    in: `${HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts(`${TEXT}\r\n\xc3\xbc`, `${SAID}${TEXT}\r\n\xc3\xbc`, "\r\nx")}`,
    fields: "Content-Type: multipart/mixed; boundary=b",
    body: parts(`${TEXT}${QUOTED}\r\n\r\n=C3=BC`, `${TEXT}${QUOTED}\r\n\r\n=C3=BC`, "\r\nx"),
    why: "in a part",
  },
  {
    in: `${HEAD}Content-Type: message/rfc822\r\n\r\nSubject: \xfc\r\n\r\n\xfc\r\n`,
    fields: "Content-Type: message/rfc822",
    body: `Subject: =?iso-8859-1?B?/A==?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n${QUOTED}\r\n\r\n=FC\r\n`,
    why: "in an enclosed message",
  },
];
for (const { in: message, fields, body, why } of SEVEN_BIT) {
  test(`force_mime_input_conversion: undeclared 8-bit content becomes 7-bit: ${why}`, async () => {
    for (const declared of ["7BIT", "8BITMIME"] as const) {
      const given = { settings: { force_mime_input_conversion: "yes" }, declared };
      const done = await submit(message, given);
      assert.equal(done.result, "queued");
      assert.equal(done.body, body);
      assert.ok(done.fields.includes(fields), done.fields.join("\n"));
      assert.doesNotMatch([...done.fields, done.body].join("\r\n"), /[\x80-\xff]|: 8bit/);
      assert.equal(done.envelope?.body, declared);
      assert.equal((await submit(message, { ...given, step: 1 })).body, body);
    }
  });
}

const LEFT = [
  {
    in: `${HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n\xfc\r\n${parts("\r\n\xfc")}`,
    problem: "8-bit content is called 7bit (repaired in part)",
  },
  { in: `${HEAD}${QUOTED}\r\n\r\n\xfc\r\n`, problem: "8-bit content of a part is called encoded (cannot be repaired)" },
];
for (const { in: message, problem } of LEFT) {
  test(`force_mime_input_conversion: what cannot be made 7-bit is logged: ${problem}`, async () => {
    const { result, log } = await submit(message, { settings: { force_mime_input_conversion: "yes" } });
    assert.equal(result, "queued");
    assert.ok(
      log.some((line) => line.endsWith(`check transfer_encoding: ${problem}`)),
      log.join("\n"),
    );
  });
}

test("force_mime_input_conversion: mail that only passes through is converted as by Postfix", async () => {
  const message = `${HEAD}${TEXT}\r\n\xc3\xbc\r\n`;
  const done = await submit(message, { settings: { force_mime_input_conversion: "yes" }, options: { role: "mx" } });
  assert.equal(done.body, "\xc3\xbc\r\n");
});

test("long lines of a message whose encoding is not looked at stay (DAT-08)", async () => {
  const body = `${"=C3=A9x".repeat(400)}\r\n`;
  const settings = { disable_mime_input_processing: "yes" };
  const done = await submit(`${HEAD}${TEXT}${QUOTED}\r\n\r\n${body}`, { settings });
  assert.equal(done.body, body);
  assert.match(
    done.log.join("\n"),
    /check long_body: a line of the body is longer than 998 bytes \(cannot be repaired\)/,
  );
});

const PIECES = [
  ...[
    "--b\r\n",
    "--c\r\n",
    "--b--\r\n",
    "--c--\r\n",
    "\r\n",
    "text\r\n",
    "\xc3\xbc\r\n",
    "\xfc \xfc",
    `${"x".repeat(1200)}\r\n`,
  ],
  ...[
    "Content-Type: multipart/mixed; boundary=c\r\n",
    "Content-Type: message/rfc822\r\n",
    TEXT,
    SAID,
    "Subject: \xfc\r\n",
  ],
  ...[
    `${QUOTED}\r\n`,
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: 7bit\r\n",
    "Content-Type: image/x\r\n",
  ],
];
for (const force of ["no", "yes"]) {
  test(`any body comes out so that there is nothing left to mend, however it is cut: force_mime_input_conversion = ${force}`, async () => {
    const settings = { force_mime_input_conversion: force, disable_mime_input_processing: "no" };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...PIECES), { maxLength: 25 }),
        fc.integer({ min: 1, max: 40 }),
        async (pieces, step) => {
          const message = MIXED + pieces.join("");
          const first = await submit(message, { settings });
          assert.equal((await submit(message, { settings, step })).body, first.body);
          const again = await submit(`${first.fields.join("\r\n")}\r\n\r\n${first.body}`, { settings });
          assert.equal(again.body, first.body);
          const clean = (text: string) => Buffer.from(text, "latin1").every((byte) => byte < 128);
          if (force === "yes" && !first.log.some((line) => line.includes("check ")))
            assert.ok(clean(first.body), first.body);
        },
      ),
      { numRuns: 300 },
    );
  });
}
