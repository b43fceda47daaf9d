/** cleanup/encoded-lines.test.ts: bodies with lines above 998 bytes, through cleanup as a whole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { submit } from "./testdata/submit.ts";

const HEAD = "From: a@x.test\r\nMessage-Id: <1@x.test>\r\nDate: Tue, 24 Nov 2026 07:00:00 +0100\r\n";
const MIME = `${HEAD}MIME-Version: 1.0\r\n`;
const LONG = `${"word ".repeat(300)}=20 \xc3\xa9 end. `;
const BASE64 = Buffer.alloc(3000, "binary\x00\xff").toString("base64");
const QUOTED = `${"=C3=A9x".repeat(400)}=\r\nshort=20\r\n`;

function unquoted(text: string): string {
  return text
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const multipart = (...parts: readonly string[]) =>
  `${MIME}Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts.map((part) => `--b\r\n${part}\r\n`).join("")}--b--\r\n`;
const part = (head: string, body: string) => `Content-Type: ${head}\r\n\r\n${body}`;

const CASES = [
  { in: `${HEAD}\r\n${LONG}\r\nnext\r\n`, want: [LONG, "next"], why: "plain text without MIME fields" },
  {
    in: `${MIME}Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${LONG}\r\n`,
    want: [LONG],
    why: "8bit",
  },
  { in: `${HEAD}\r\n${LONG}`, want: [LONG], why: "no line end at the end" },
  {
    in: multipart(part("text/plain", "short"), part("text/html", `${LONG}\r\n`)),
    want: [LONG, "short"],
    why: "one part",
  },
  {
    in: multipart(part("message/rfc822", `Subject: x\r\nContent-Type: text/plain\r\n\r\n${LONG}`)),
    want: [LONG],
    why: "an enclosed message",
  },
  { in: multipart(`\r\n${LONG}`), want: [LONG], why: "a part without fields" },
];
for (const c of CASES) {
  test(`DAT-08: long lines leave as quoted-printable: ${c.why}`, async () => {
    const { result, fields, body, envelope, log } = await submit(c.in);
    assert.equal(result, "queued");
    assert.ok(
      body.split("\r\n").every((line) => line.length <= 998),
      body,
    );
    const text = unquoted(body);
    for (const want of c.want) assert.ok(text.includes(want), text);
    assert.match([...fields, body].join("\r\n"), /^Content-Transfer-Encoding: quoted-printable$/m);
    assert.match(
      log.join("\n"),
      /changes: .*body encoded \(a line of the body is longer than 998 bytes; long_body:fix\)/,
    );
    assert.ok(envelope?.changes);
    for (const step of [1, 100, 997]) assert.equal((await submit(c.in, { step })).body, body);
  });
}

test("DAT-08: one line of base64 becomes lines of 76, the same bytes", async () => {
  const message = `${MIME}Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${BASE64}\r\n`;
  const { fields, body } = await submit(message);
  assert.ok(fields.includes("Content-Transfer-Encoding: base64"));
  assert.ok(body.split("\r\n").every((line) => line.length <= 76));
  assert.equal(body.replaceAll("\r\n", ""), BASE64);
});

test("DAT-08: quoted-printable gets soft breaks, none inside a character", async () => {
  const message = `${MIME}Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${QUOTED}`;
  const { body } = await submit(message);
  assert.ok(body.split("\r\n").every((line) => line.length <= 76));
  assert.equal(unquoted(body), unquoted(QUOTED));
});

const LEFT = [
  { in: `${MIME}Content-Type: multipart/signed; boundary=b\r\n\r\n${LONG}`, why: "MOD-02: a signed message" },
  { in: multipart(part("multipart/signed; boundary=c", `--c\r\n\r\n${LONG}\r\n--c--`)), why: "MOD-02: a signed part" },
  { in: `DKIM-Signature: v=1\r\n${HEAD}\r\n${LONG}`, why: "MOD-02: DKIM" },
  {
    in: multipart(part("text/plain", "x")).replace("--b\r\n", `${LONG}\r\n--b\r\n`),
    why: "in front of the first part",
  },
  { in: `${multipart(part("text/plain", "x"))}${LONG}`, why: "behind the last part" },
];
for (const c of LEFT) {
  test(`long lines stay and are logged: ${c.why}`, async () => {
    const { body, log } = await submit(c.in);
    assert.equal(body, c.in.slice(c.in.indexOf("\r\n\r\n") + 4));
    assert.match(log.join("\n"), /warning: \w+: check long_body: .* \((?:cannot be repaired|left as it is: .*)\)/);
  });
}

const GRADES = [
  { grade: "off", want: "queued", logs: false },
  { grade: "warn", want: "queued", logs: true },
  {
    grade: "reject",
    want: "554 5.6.0 Error: message refused by check long_body: a line of the body is longer than 998 bytes",
    logs: true,
  },
];
for (const { grade, want, logs } of GRADES) {
  test(`check long_body:${grade} (DAT-08)`, async () => {
    const settings = { postern_submission_checks: `long_body:${grade}` };
    const { result, body, log } = await submit(`${HEAD}\r\n${LONG}`, { settings });
    assert.equal(result, want);
    if (grade !== "reject") assert.equal(body, LONG);
    assert.equal(/check[ =:]long_body/.test(log.join("\n")), logs);
  });
}

const EDGES = [
  { line: 998, changes: false, why: "DAT-07: 998 bytes pass as they are" },
  { line: 999, changes: true, why: "999 do not" },
];
for (const { line, changes, why } of EDGES) {
  for (const end of ["\r\n", ""]) {
    test(`${why}${end === "" ? ", without a line end" : ""}`, async () => {
      const message = `${HEAD}\r\nab\r\n${"x".repeat(line)}${end}`;
      for (const step of [1, 3, 1000, 5000]) {
        const { envelope } = await submit(message, { step });
        assert.equal(envelope?.changes !== undefined, changes, `step ${step}`);
      }
    });
  }
}

test("any body means the same afterwards", async () => {
  const line = fc.oneof(
    fc.string({ maxLength: 50 }).map((text) => text.replace(/[^\x20-\x7e]/g, "~")),
    fc.integer({ min: 900, max: 1100 }).map((length) => "y ".repeat(length).slice(0, length)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const content = lines.join("\r\n");
      const { body, fields } = await submit(`${HEAD}\r\n${content}`);
      const encoded = fields.includes("Content-Transfer-Encoding: quoted-printable");
      assert.equal(encoded ? unquoted(body) : body, content);
    }),
    { numRuns: 60 },
  );
});
