/** cleanup/hostile.test.ts: messages that are made to cost much. A time that grows with the square of the size would run into the
 *  time limit of the tests by far. The one line of 1 GB through a server is test/interop/hostile-content.interop.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import type { StoredBody } from "../queue/store.ts";
import { createContentChecks } from "./content-checks.ts";
import { HeaderIntake } from "./header-block.ts";
import { submit, submitBytes } from "./testdata/submit.ts";
import { turnsDuring } from "./testdata/turns.ts";

const LIMIT_MS = 60_000;
/** Nothing is looked up, but the structure is read. */
const CHECKS = createContentChecks(parametersOf({ strict_mime_encoding_domain: "yes" }), {
  open: () => assert.fail("no table"),
});
const BROKEN = "x".repeat(2000);

/** One line each of a header that is 100 KB, or many fields. */
const HEADERS = [
  { in: "a: b\r\n".repeat(100_000), want: "queued", why: "100,000 fields" },
  { in: "To: a@b.c\r\n".repeat(90_000), want: "queued", why: "90,000 times To" },
  { in: "From: a@b.c\r\n".repeat(70_000), want: "queued", why: "70,000 times the same From" },
  { in: "Bcc: a\r\n".repeat(100_000), want: "queued", why: "100,000 fields to drop" },
  { in: "X: \xe9\r\n".repeat(100_000), want: "queued", why: "100,000 fields to encode" },
  { in: "Resent-To: a@b.c\r\n".repeat(50_000), want: "queued", why: "50,000 blocks of Resent- fields" },
  { in: "x:\r\n".repeat(300_000), want: "552 5.3.4 Error: message header too big", why: "300,000 fields" },
  { in: `X: a\r\n${" b\r\n".repeat(100_000)}`, want: "queued", why: "100,000 folded lines" },
  { in: `To: \xe9${"(".repeat(99_000)}\r\n`, want: "queued", why: "comments that do not end" },
  { in: `To: \xe9${"(".repeat(49_000)}${")".repeat(49_000)}\r\n`, want: "queued", why: "comments in comments" },
  { in: `To: ${'"'.repeat(99_999)}\r\n`, want: "queued", why: "quotation marks" },
  { in: `To: "${",".repeat(99_000)}"\r\n`, want: "queued", why: "commas in quotation marks" },
  { in: `To: ${"<".repeat(99_999)}\r\n`, want: "queued", why: "angle brackets" },
  { in: `To: ${":;".repeat(49_000)}@\r\n`, want: "queued", why: "groups" },
  { in: `From: ${"@".repeat(99_000)}\r\n`, want: "queued", why: "a From of @ alone" },
  { in: `From: a@${"b.".repeat(49_000)}\r\n`, want: "queued", why: "a domain without end" },
  { in: `Subject: ${"\xe9 ".repeat(49_000)}\r\n`, want: "queued", why: "a Subject to encode" },
  { in: `Subject: ${"=?utf-8?Q?".repeat(9900)}\r\n`, want: "queued", why: "encoded words that do not end" },
  { in: `Subject: =?x?Q?${"=C3".repeat(30_000)}?=\r\n`, want: "queued", why: "an encoded word of 90 KB" },
  { in: `Content-Type: a/b; ${'name="\xe9";'.repeat(9000)}\r\n`, want: "queued", why: "9,000 parameters to encode" },
  { in: `Content-Type: text/plain; charset=${"\xff".repeat(90_000)}\r\n`, want: "queued", why: "a character set" },
  { in: `Date: ${"(".repeat(99_000)}\r\n`, want: "queued", why: "a date" },
  { in: `Message-ID: <${"a.".repeat(49_000)}@\r\n`, want: "queued", why: "a Message-ID that does not end" },
  { in: `Subject: ${" ".repeat(99_000)}x\r\n`, want: "queued", why: "blanks to fold at" },
  { in: "\xff\xfe\x00: \x00\r\n\x01\r\n", want: "queued", why: "no header at all" },
  { in: ": x\r\n", want: "queued", why: "a field without name" },
  { in: "From\x00: a@b\r\nTo: \x00\r\n", want: "queued", why: "NUL" },
];
for (const { in: header, want, why } of HEADERS) {
  test(`a hostile header costs bounded time: ${why} (LIM-12)`, { timeout: LIMIT_MS }, async () => {
    const { result, fields } = await submit(`${header}\r\ntext\r\n`, { step: 65_536 });
    assert.equal(result, want);
    assert.ok(fields.every((field) => !/[\r\n](?![\n \t])/.test(field)));
  });
}

/** A slice of 65,536 units has at most 3,900 fields. */
const LARGE = [
  { in: "a: b\r\n".repeat(100_000), least: 100, why: "100,000 fields" },
  { in: "To: a\r\n".repeat(100_000), least: 40, why: "100,000 times To, to be rewritten" },
  { in: "X: \xe9\r\n".repeat(100_000), least: 100, why: "100,000 fields to encode" },
  { in: "Resent-To: a@b.c\r\n".repeat(50_000), least: 80, why: "50,000 blocks of Resent- fields" },
];
for (const { in: header, least, why } of LARGE) {
  test(`a large header does not hold the event loop: ${why} (LIM-12)`, { timeout: LIMIT_MS }, async () => {
    const turns = await turnsDuring(() => submit(`${header}\r\ntext\r\n`, { step: 65_536 }));
    assert.ok(turns >= least, `${turns} turns`);
  });
}

test("a header that no mail program exceeds waits for nobody", async () => {
  const header = `From: a@x.test\r\n${"Received: from a.x.test\r\n".repeat(40)}${`DKIM-Signature: ${"x".repeat(900)}\r\n`.repeat(25)}`;
  const turns = await turnsDuring(() => submit(`${header}\r\ntext\r\n`));
  assert.ok(turns <= 1, `${turns} turns`);
});

test("a header in 20,000 pieces is not copied for each", () => {
  const intake = new HeaderIntake();
  let buffer: ArrayBufferLike | undefined;
  let copies = 0;
  for (let i = 0; i < 20_000; i++) {
    assert.equal(intake.push(Buffer.from("a: b\r\n")).kind, "more");
    if (intake.end().buffer !== buffer) copies++;
    buffer = intake.end().buffer;
  }
  assert.equal(intake.end().toString("latin1"), "a: b\r\n".repeat(20_000));
  // Each is twice as large as the one before.
  assert.ok(copies < 30, `${copies} copies`);
});

test("Message-IDs beyond any sense are not all logged", async () => {
  const { log } = await submit(`${"Message-ID: <a@b.c>\r\n".repeat(10_000)}\r\ntext\r\n`);
  assert.equal(log.filter((line) => line.includes("message-id=")).length, 100);
});

const deep = (depth: number) =>
  `Content-Type: multipart/mixed; boundary=b0\r\n\r\n${Array.from(
    { length: depth },
    (_, i) => `--b${i}\r\nContent-Type: multipart/mixed; boundary=b${i + 1}\r\n\r\n`,
  ).join("")}${BROKEN}\r\n`;
const TOO_DEEP = "550 5.6.0 MIME nesting exceeds safety limit";
const STRUCTURES = [
  { in: deep(90), checked: "queued", why: "90 deep" },
  { in: deep(10_000), checked: TOO_DEEP, why: "MSG-15: 10,000 deep" },
  {
    in: `${"Content-Type: message/rfc822\r\n\r\n".repeat(10_000)}${BROKEN}`,
    checked: "queued",
    why: "10,000 messages in messages",
  },
  {
    in: `Content-Type: multipart/mixed; boundary=b\r\n\r\n${"--b\r\n\r\n".repeat(50_000)}${BROKEN}`,
    checked: "queued",
    why: "50,000 parts",
  },
  {
    in: `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n${"X: y\r\n".repeat(50_000)}\r\n${BROKEN}`,
    checked: "queued",
    why: "a part with 50,000 fields",
  },
  {
    in: `Content-Type: multipart/mixed; ${"boundary=a;".repeat(9000)}\r\n\r\n${BROKEN}`,
    checked: TOO_DEEP,
    why: "MSG-15: 9,000 boundaries",
  },
  {
    in: `Content-Type: multipart/mixed; boundary="${"b".repeat(90_000)}"\r\n\r\n${BROKEN}`,
    checked: "queued",
    why: "a boundary of 90 KB",
  },
  {
    in: `Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\n${BROKEN}\r\n----\r\n`,
    checked: "queued",
    why: "an empty boundary",
  },
  { in: `Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n${BROKEN}`, checked: "queued", why: "no boundary" },
];
for (const { in: message, checked, why } of STRUCTURES) {
  test(`a hostile structure costs bounded time: ${why}`, { timeout: LIMIT_MS }, async () => {
    const settings = { message_size_limit: "0" };
    assert.equal((await submit(message, { settings, step: 65_536 })).result, "queued");
    assert.equal((await submit(message, { settings, step: 65_536, deps: { checks: CHECKS } })).result, checked);
  });
}

test("a line of 50 MB is shortened in pieces (DAT-08)", { timeout: LIMIT_MS }, async () => {
  const PIECE = Buffer.alloc(1 << 16, "x");
  const pieces = 800;
  const line = function* () {
    for (let i = 0; i < pieces; i++) yield PIECE;
  };
  // Keeps nothing: what is written is counted, and read from nowhere.
  const written: number[] = [];
  let longest = 0;
  const store = {
    beginBody: () => {
      const at = written.push(0) - 1;
      let open = 0;
      return {
        sizeBytes: 0,
        write: (chunk: Uint8Array) => {
          written[at] = (written[at] ?? 0) + chunk.length;
          const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
          const first = bytes.indexOf(10);
          if (at === 1) longest = Math.max(longest, open + (first < 0 ? bytes.length : first));
          open = first < 0 ? open + bytes.length : bytes.length - bytes.lastIndexOf(10) - 1;
        },
        finish: (): StoredBody => ({ kind: "file", name: "body", sizeBytes: 0 }),
        abort: async () => undefined,
      };
    },
    readBody: line,
    append: async () => undefined,
  };
  const chunks = function* () {
    yield Buffer.from("Subject: x\r\n\r\n");
    yield* line();
  };
  const settings = { message_size_limit: "0" };
  const { result } = await submitBytes(chunks(), { settings, deps: { store } });
  assert.equal(result, "queued");
  assert.equal(written[0], pieces * PIECE.length);
  assert.ok((written[1] ?? 0) > pieces * PIECE.length, String(written));
  assert.ok(longest <= 998, `a line of ${longest} bytes`);
});
