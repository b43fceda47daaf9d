import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import PostalMime from "postal-mime";
import { type Reencoding, reencoded } from "./reencode.ts";

const LIMITS = { lineLimit: 2048, nestingLimit: 100, boundaryLimit: 2048, disabled: false };

const QUOTED: Reencoding = { limits: LIMITS, accepts: "7bit", binary: "quoted-printable" };

async function converted(chunks: readonly Buffer[], how = QUOTED): Promise<Buffer> {
  const out: Uint8Array[] = [];
  const content = { sizeBytes: 0, chunks: () => chunks };
  for await (const piece of reencoded(content, how).chunks()) out.push(Buffer.from(piece));
  return Buffer.concat(out);
}

const CTE = "Content-Transfer-Encoding";
const MULTIPART = "Content-Type: multipart/mixed; boundary=b";

const CASES = [
  { why: "plain ASCII stays", in: "Subject: x\r\n\r\nhello =\r\n", want: "Subject: x\r\n\r\nhello =\r\n" },
  {
    why: "8-bit content that is not called so stays",
    in: "Subject: x\r\n\r\n\xe9\r\n",
    want: "Subject: x\r\n\r\n\xe9\r\n",
  },
  {
    why: "8bit becomes quoted-printable, the field at the end of the header",
    in: `${CTE}: 8bit\r\nSubject: x\r\n\r\nna\xefve=\r\n`,
    want: `Subject: x\r\n${CTE}: quoted-printable\r\n\r\nna=EFve=3D\r\n`,
  },
  {
    why: "binary: bare CR and LF and NUL are kept",
    in: `${CTE}: binary\r\n\r\na\rb\nc\0\r\n`,
    want: `${CTE}: quoted-printable\r\n\r\na=0Db=0Ac=00\r\n`,
  },
  {
    why: "blanks at the end of a line",
    in: `${CTE}: 8bit\r\n\r\na \r\nb\t\r\n \r\n`,
    want: `${CTE}: quoted-printable\r\n\r\na=20\r\nb=09\r\n=20\r\n`,
  },
  {
    why: "soft breaks behind 73 characters, as Postfix's",
    in: `${CTE}: 8bit\r\n\r\n${"x".repeat(73)}\xe9\r\n${"y".repeat(73)}\r\n`,
    want: `${CTE}: quoted-printable\r\n\r\n${"x".repeat(73)}=\r\n=E9\r\n${"y".repeat(73)}\r\n`,
  },
  { why: "no line end at the end", in: `${CTE}: 8bit\r\n\r\n\xe9`, want: `${CTE}: quoted-printable\r\n\r\n=E9` },
  { why: "base64 stays", in: `${CTE}: base64\r\n\r\n4pyT\r\n`, want: `${CTE}: base64\r\n\r\n4pyT\r\n` },
  {
    why: "each part by itself; the whole says 7bit",
    in: `${MULTIPART}\r\n${CTE}: 8bit\r\n\r\npre\r\n--b\r\n${CTE}: 8bit\r\nX: y\r\n\r\n\xe9\r\n--b\r\n\r\n=\r\n--b\r\n${CTE}: base64\r\n\r\nAAAA\r\n--b--\r\npost\r\n`,
    want: `${MULTIPART}\r\n${CTE}: 7bit\r\n\r\npre\r\n--b\r\nX: y\r\n${CTE}: quoted-printable\r\n\r\n=E9\r\n--b\r\n\r\n=\r\n--b\r\n${CTE}: base64\r\n\r\nAAAA\r\n--b--\r\npost\r\n`,
  },
  {
    why: "an enclosed message: the part says 7bit, its own header decides",
    in: `Content-Type: message/rfc822\r\n${CTE}: 8bit\r\n\r\nSubject: n\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n`,
    want: `Content-Type: message/rfc822\r\n${CTE}: 7bit\r\n\r\nSubject: n\r\n${CTE}: quoted-printable\r\n\r\n=E9\r\n`,
  },
  {
    why: "an enclosed message in a part",
    in: `${MULTIPART}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
    want: `${MULTIPART}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n${CTE}: quoted-printable\r\n\r\n=E9\r\n--b--\r\n`,
  },
  {
    why: "a folded field of the encoding",
    in: `${CTE}:\r\n 8bit\r\n\r\n\xe9\r\n`,
    want: `${CTE}: quoted-printable\r\n\r\n=E9\r\n`,
  },
  {
    why: "a part that ends within its header",
    in: `${MULTIPART}\r\n\r\n--b\r\nX: y\r\n`,
    want: `${MULTIPART}\r\n\r\n--b\r\nX: y\r\n`,
  },
  {
    why: "a boundary ends a part's header",
    in: `${MULTIPART}\r\n\r\n--b\r\n${CTE}: 8bit\r\n--b\r\n\r\n\xe9\r\n`,
    want: `${MULTIPART}\r\n\r\n--b\r\n${CTE}: quoted-printable\r\n--b\r\n\r\n\xe9\r\n`,
  },
  { why: "a header and no body", in: "Subject: x\r\n", want: "Subject: x\r\n" },
  { why: "nothing", in: "", want: "" },
];
for (const c of CASES) {
  test(`reencoded() ${c.why}`, async () => {
    const bytes = Buffer.from(c.in, "latin1");
    assert.equal((await converted([bytes])).toString("latin1"), c.want);
    const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    assert.equal((await converted(single)).toString("latin1"), c.want, "one byte at a time");
  });
}

test("reencoded() a reader gets the same text back, and nothing but ASCII has left", async () => {
  const text = fc
    .array(fc.constantFrom("ä", "=", " ", "\t", "\r\n", "x".repeat(80), ".", "--b", "€", "a"), { maxLength: 40 })
    .map((words) => `${words.join("")}.`);
  await fc.assert(
    fc.asyncProperty(text, text, fc.nat(300), async (first, second, at) => {
      const part = (body: string) =>
        `--frontier\r\nContent-Type: text/plain; charset=utf-8\r\n${CTE}: 8bit\r\n\r\n${body}\r\n`;
      const message = Buffer.from(
        `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=frontier\r\n${CTE}: 8bit\r\n\r\n${part(first)}${part(second)}--frontier--\r\n`,
      );
      const out = await converted([message.subarray(0, at), message.subarray(at)]);
      assert.ok(out.every((byte) => byte < 128));
      assert.ok(
        out
          .toString()
          .split("\r\n")
          .every((line) => line.length <= 998 && (line.length <= 76 || !line.endsWith("="))),
      );
      const [before, after] = [await PostalMime.parse(message), await PostalMime.parse(out)];
      assert.equal(after.text, before.text);
    }),
    { numRuns: 60 },
  );
});

test("reencoded() long lines come in pieces", async () => {
  const line = "é".repeat(5000);
  const out = await converted([Buffer.from(`${CTE}: 8bit\r\n\r\n${line}\r\n`)]);
  const body = out.toString().split("\r\n\r\n")[1] ?? "";
  const decoded = body
    .replace(/=\r\n/g, "")
    .replace(/(=[0-9A-F]{2})+/g, (hex) => Buffer.from(hex.replaceAll("=", ""), "hex").toString());
  assert.equal(decoded, `${line}\r\n`);
});

const BINARY: Reencoding = { limits: LIMITS, accepts: "8bit", binary: "base64" };
const BINARY_7BIT: Reencoding = { ...BINARY, accepts: "7bit" };
const ALL_OCTETS = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("latin1");
const BASE64_OCTETS = Buffer.from(ALL_OCTETS, "latin1")
  .toString("base64")
  .replace(/.{1,76}/g, "$&\r\n");

const BINARY_CASES: readonly { why: string; in: string; want: string; how?: Reencoding }[] = [
  {
    why: "all octets of a message without parts, the last line end is content",
    in: `${CTE}: binary\r\n\r\nab\r\n`,
    want: `${CTE}: base64\r\n\r\nYWINCg==\r\n`,
  },
  { why: "without a last line end", in: `${CTE}: binary\r\n\r\nab`, want: `${CTE}: base64\r\n\r\nYWI=\r\n` },
  { why: "nothing at all", in: `${CTE}: binary\r\n\r\n`, want: `${CTE}: base64\r\n\r\n` },
  {
    why: "8bit stays for a hop that takes it",
    in: `${CTE}: 8bit\r\n\r\n\xe9\r\n`,
    want: `${CTE}: 8bit\r\n\r\n\xe9\r\n`,
  },
  {
    why: "a binary part; the line end in front of the boundary is the boundary's; the whole says 8bit",
    in: `${MULTIPART}\r\n${CTE}: binary\r\n\r\n--b\r\n${CTE}: binary\r\nX: y\r\n\r\n${ALL_OCTETS}\r\n--b\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
    want: `${MULTIPART}\r\n${CTE}: 8bit\r\n\r\n--b\r\nX: y\r\n${CTE}: base64\r\n\r\n${BASE64_OCTETS}--b\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
  },
  {
    why: "for a hop with 7 bits",
    in: `${MULTIPART}\r\n${CTE}: binary\r\n\r\n--b\r\n${CTE}: binary\r\n\r\n\0\r\n\r\n--b\r\n${CTE}: 8bit\r\n\r\n\xe9\r\n--b--\r\n`,
    want: `${MULTIPART}\r\n${CTE}: 7bit\r\n\r\n--b\r\n${CTE}: base64\r\n\r\nAA0K\r\n--b\r\n${CTE}: quoted-printable\r\n\r\n=E9\r\n--b--\r\n`,
    how: BINARY_7BIT,
  },
  {
    why: "no nested encodings: an enclosed message says 8bit, its content is base64",
    in: `Content-Type: message/rfc822\r\n${CTE}: binary\r\n\r\nSubject: n\r\n${CTE}: binary\r\n\r\n\0\n\r\r\n`,
    want: `Content-Type: message/rfc822\r\n${CTE}: 8bit\r\n\r\nSubject: n\r\n${CTE}: base64\r\n\r\nAAoNDQo=\r\n`,
  },
  {
    why: "an empty part",
    in: `${MULTIPART}\r\n${CTE}: binary\r\n\r\n--b\r\n${CTE}: binary\r\n\r\n--b--\r\n`,
    want: `${MULTIPART}\r\n${CTE}: 8bit\r\n\r\n--b\r\n${CTE}: base64\r\n\r\n--b--\r\n`,
  },
];
for (const { why, how = BINARY, ...c } of BINARY_CASES) {
  test(`BDAT-09: reencoded() ${why}`, async () => {
    const bytes = Buffer.from(c.in, "latin1");
    assert.equal((await converted([bytes], how)).toString("latin1"), c.want);
    const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    assert.equal((await converted(single, how)).toString("latin1"), c.want, "one byte at a time");
  });
}

test("BDAT-09: reencoded() a reader gets the same octets back, however they come", async () => {
  const octets = fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes));
  const lines = fc.array(fc.constantFrom("\r\n", "\r", "\n", "\0", "--", "-", "x".repeat(70)), { maxLength: 30 });
  const text = lines.map((words) => Buffer.from(words.join(""), "latin1"));
  await fc.assert(
    fc.asyncProperty(fc.oneof(octets, text), fc.boolean(), fc.nat(300), async (body, seven, at) => {
      const head = `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=frontier\r\n${CTE}: binary\r\n\r\n--frontier\r\n`;
      const part = `Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n${CTE}: binary\r\n\r\n`;
      const message = Buffer.concat([Buffer.from(head + part), body, Buffer.from("\r\n--frontier--\r\n")]);
      const out = await converted([message.subarray(0, at), message.subarray(at)], seven ? BINARY_7BIT : BINARY);
      assert.ok(out.every((byte) => byte !== 0 && byte < 128));
      const [attachment] = (await PostalMime.parse(out)).attachments;
      assert.deepEqual(Buffer.from(attachment?.content as ArrayBuffer), body);
    }),
    { numRuns: 200 },
  );
});
