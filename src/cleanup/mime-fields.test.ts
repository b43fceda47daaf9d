import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isMimeField, parseContentType, parseEncoding } from "./mime-fields.ts";

const types = [
  { value: " text/plain; charset=utf-8", want: "text/plain []", why: "plain" },
  { value: " TEXT/HTML", want: "text/html []", why: "any case" },
  { value: "multipart/mixed;boundary=abc", want: "multipart/mixed [abc]", why: "no blanks" },
  { value: 'multipart/mixed; Boundary = "a b\\"c"', want: 'multipart/mixed [a b"c]', why: "quoted, RFC 2045 §5.1" },
  { value: 'multipart/mixed;\r\n\tboundary="a\r\n b"', want: "multipart/mixed [a b]", why: "folded" },
  { value: "multipart/mixed; boundary=a; boundary=b", want: "multipart/mixed [a,b]", why: "two, each counts" },
  { value: "multipart/mixed; boundary=a/b", want: "multipart/mixed [a]", why: "unquoted tspecial ends it" },
  { value: "multipart/mixed; boundary", want: "multipart/mixed []", why: "no value" },
  { value: 'multipart/mixed; boundary=""', want: "multipart/mixed []", why: "an empty one", boundaries: [""] },
  { value: 'multipart/mixed; boundary="open', want: "multipart/mixed [open]", why: "open quotation mark" },
  {
    value: "(c (nested) \\) c) multipart (x) / (y) digest (z); (w) boundary (v) = (u) q",
    want: "multipart/digest [q]",
    why: "comments",
  },
  { value: "message", want: "message/ []", why: "no subtype" },
  { value: "message/rfc822 cruft", want: "message/rfc822 []", why: "cruft behind" },
  { value: "application/x-y", want: "other/x-y []", why: "a type of no interest" },
  { value: '"text"/plain', want: "none", why: "quoted type is none" },
  { value: "", want: "none", why: "empty" },
  { value: "(only a comment", want: "none", why: "open comment" },
];
for (const c of types) {
  test(`parseContentType() ${c.why}: ${JSON.stringify(c.value)}`, () => {
    const got = parseContentType(c.value);
    assert.equal(got ? `${got.type}/${got.subtype} [${got.boundaries.join(",")}]` : "none", c.want);
    if (c.boundaries) assert.deepEqual(got?.boundaries, c.boundaries);
  });
}

const encodings = [
  { value: " 8BIT", want: "8bit", why: "any case" },
  { value: " base64 (really)", want: "base64", why: "a comment" },
  { value: "(x)quoted-printable;", want: "quoted-printable", why: "cruft" },
  { value: " x-uuencode", want: undefined, why: "not of RFC 2045" },
  { value: " constructor", want: undefined, why: "a name every object has" },
  { value: "", want: undefined, why: "empty" },
];
for (const c of encodings) {
  test(`parseEncoding() ${c.why}: "${c.value}"`, () => assert.equal(parseEncoding(c.value), c.want));
}

test("isMimeField() knows the six fields of RFC 2045 and 2183, and no other Content-", () => {
  assert.ok(["mime-version", "content-type", "content-id"].every(isMimeField));
  assert.ok(!["content-length", "content-md5", "subject", "x"].some(isMimeField));
});

test("parseContentType() reads back any boundary that is quoted as RFC 2045 says", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[\x20-\x7e]{1,70}$/), (boundary) => {
      const quoted = boundary.replace(/[\\"]/g, "\\$&");
      assert.deepEqual(parseContentType(`multipart/mixed; x="y;z"; boundary="${quoted}"`)?.boundaries, [boundary]);
    }),
  );
});

test("parseContentType() takes anything, in linear time", () => {
  fc.assert(fc.property(fc.string(), (value) => void parseContentType(value)));
  for (const unit of ["(", "\\", '"', ";", "=", "boundary=", " ", '"\\', "()"]) parseContentType(unit.repeat(50_000));
});
