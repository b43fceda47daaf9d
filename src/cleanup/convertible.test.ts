import assert from "node:assert/strict";
import { test } from "node:test";
import { whyInconvertible } from "./convertible.ts";

const LIMITS = { lineLimit: 2048, nestingLimit: 100, boundaryLimit: 2048, disabled: false };
const CTE = "Content-Transfer-Encoding";
const multipart = (subtype: string, boundary: string) =>
  `Content-Type: multipart/${subtype}; boundary=${boundary}\r\n${CTE}: binary\r\n\r\n`;
const BINARY = `${CTE}: binary\r\n\r\n\0\r\n`;
const SEALED = "binary content within a signed part";

const CASES: readonly { why: string; in: string; want?: string; accepts?: "7bit" }[] = [
  { why: "a binary message", in: BINARY },
  { why: "a binary part", in: `${multipart("mixed", "b")}--b\r\n${BINARY}--b--\r\n` },
  {
    why: "a signed part that is binary",
    in: `${multipart("signed", "b")}--b\r\n${BINARY}--b\r\n\r\nsig\r\n--b--\r\n`,
    want: SEALED,
  },
  {
    why: "an encrypted one",
    in: `${multipart("encrypted", "b")}--b\r\n\r\nx\r\n--b\r\n${BINARY}--b--\r\n`,
    want: SEALED,
  },
  {
    why: "a part of a signed part",
    in: `${multipart("signed", "b")}--b\r\n${multipart("mixed", "c")}--c\r\n${BINARY}--c--\r\n--b--\r\n`,
    want: SEALED,
  },
  {
    why: "a signed part in a part in an enclosed message",
    in: `Content-Type: message/rfc822\r\n${CTE}: binary\r\n\r\n${multipart("mixed", "a")}--a\r\n${multipart("signed", "b")}--b\r\n${BINARY}--b--\r\n`,
    want: SEALED,
  },
  {
    why: "a binary part beside a signed one",
    in: `${multipart("mixed", "a")}--a\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--a\r\n${BINARY}--a--\r\n`,
  },
  {
    why: "the same where the signed one has no end",
    in: `${multipart("mixed", "a")}--a\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--a\r\n${BINARY}--a--\r\n`,
  },
  {
    why: "8-bit text in a signed part",
    in: `${multipart("signed", "b")}--b\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
  },
  {
    why: "8-bit text in a signed part, for 7 bits",
    in: `${multipart("signed", "b")}--b\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
    accepts: "7bit",
    want: "8bit content within a signed part",
  },
  {
    why: "a piece of a message",
    in: `Content-Type: message/partial; number=1; id=x\r\n${CTE}: binary\r\n\r\n\0\r\n`,
    want: "binary content in message/partial",
  },
  { why: "NUL in text", in: "Subject: x\r\n\r\na\0b\r\n", want: "binary content that is not called so" },
  { why: "a bare CR in text", in: "Subject: x\r\n\r\na\rb\r\n", want: "binary content that is not called so" },
  { why: "a bare LF in text", in: "Subject: x\r\n\r\na\nb\r\n", want: "binary content that is not called so" },
  { why: "a CR at the very end", in: "Subject: x\r\n\r\na\r", want: "binary content that is not called so" },
  {
    why: "a field of a part that hides another",
    in: `${multipart("mixed", "b")}--b\r\nX: y\nContent-Type: image/x\r\n\r\nx\r\n--b--\r\n`,
    want: "binary content that is not called so",
  },
  { why: "a folded field of a part", in: `${multipart("mixed", "b")}--b\r\nX: y\r\n z\r\n\r\nx\r\n--b--\r\n` },
  { why: "8-bit text", in: `${CTE}: 8bit\r\n\r\n\xe9\r\n` },
  { why: "no body", in: "Subject: x\r\n" },
];

for (const { why, want, accepts = "8bit", in: text } of CASES) {
  test(`BDAT-09: whyInconvertible() ${why}`, async () => {
    const bytes = Buffer.from(text, "latin1");
    const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    for (const chunks of [[bytes], single]) {
      const content = { sizeBytes: bytes.length, chunks: () => chunks };
      assert.equal(await whyInconvertible(content, { limits: LIMITS, accepts }), want);
    }
  });
}
