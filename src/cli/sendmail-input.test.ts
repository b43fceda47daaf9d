import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DotEnd, endOfHeader, recipientsInHeader, withoutMailboxLines } from "./sendmail-input.ts";

function read(chunks: readonly string[]): string {
  const dot = new DotEnd();
  let text = "";
  for (const chunk of chunks) {
    if (dot.ended) break;
    text += dot.push(Buffer.from(chunk, "latin1")).toString("latin1");
  }
  return dot.ended ? text : text + dot.end().toString("latin1");
}

const dots = [
  { in: "a\n.\nb\n", want: "a\n", why: "a dot alone ends" },
  { in: "a\r\n.\r\nb\r\n", want: "a\r\n", why: "also with CRLF" },
  { in: ".\nb\n", want: "", why: "the first line" },
  { in: "a\n.", want: "a\n", why: "a dot at the end of the input" },
  { in: "a\n..\nb\n", want: "a\n..\nb\n", why: "two dots are content" },
  { in: "a.\nb\n", want: "a.\nb\n", why: "a dot in a line is content" },
  { in: "a\n.\rb\n", want: "a\n.\rb\n", why: "a dot and a bare CR are content" },
  { in: "a\n.\r", want: "a\n.\r", why: "the same at the end" },
  { in: "a\n. \n", want: "a\n. \n", why: "a blank behind the dot" },
  { in: "", want: "", why: "nothing" },
];
for (const c of dots) {
  test(`DotEnd ${c.why}: ${JSON.stringify(c.in)}`, () => {
    assert.equal(read([c.in]), c.want);
    assert.equal(read([...c.in]), c.want);
  });
}

test("DotEnd gives the same for any chunks", () => {
  const parts = fc.array(fc.constantFrom("a", ".", "\n", "\r", "\n.\n", "\n.\r\n"));
  fc.assert(fc.property(parts, (texts) => assert.equal(read(texts), read([texts.join("")]))));
});

const mailbox = [
  { in: "From a Mon\nSubject: x\n", want: "Subject: x\n", why: "an mbox line" },
  { in: ">From a\nFrom b\nx\n", want: "x\n", why: "several" },
  { in: "Subject: x\nFrom a\n", want: "Subject: x\nFrom a\n", why: "only in front" },
  { in: "From: a@b\n", want: "From: a@b\n", why: "a field is none" },
];
for (const c of mailbox) {
  test(`withoutMailboxLines() ${c.why}`, () => assert.equal(withoutMailboxLines(Buffer.from(c.in)).toString(), c.want));
}

const ends = [
  { in: "A: b\n\nbody", want: 6, why: "LF" },
  { in: "A: b\r\n\r\nbody", want: 8, why: "CRLF" },
  { in: "\nbody", want: 1, why: "no header" },
  { in: "A: b\n", want: undefined, why: "not there yet" },
  { in: "A: b\n\r", want: undefined, why: "half of it" },
];
for (const c of ends) test(`endOfHeader() ${c.why}`, () => assert.equal(endOfHeader(Buffer.from(c.in)), c.want));

const headers = [
  {
    in: "To: a@x.test\nCc: b@x.test\nBcc: c@x.test\n\n",
    want: ["a@x.test", "b@x.test", "c@x.test"],
    why: "all fields",
  },
  { in: 'To: "B, C" <b@x.test>,\n\td (e@x.test)\n\n', want: ["b@x.test", "d"], why: "names, folding, comments" },
  { in: "To: team: a@x.test, b@x.test;\n\n", want: ["a@x.test", "b@x.test"], why: "a group" },
  { in: "Apparently-To: a@x.test\nReply-To: n@x.test\n\n", want: ["a@x.test"], why: "not every field with addresses" },
  { in: "Resent-To: r@x.test\nTo: a@x.test\n\n", want: ["r@x.test"], why: "a resent message" },
  { in: "Subject: x\nno field\nTo: a@x.test\n\n", want: [], why: "behind the end of the header" },
  { in: "To: undisclosed-recipients:;\n\n", want: [], why: "an empty group" },
  { in: "to : a@x.test", want: ["a@x.test"], why: "a blank in front of the colon, no line end" },
  { in: "To: \xc3\xbc@x.test\n\n", want: ["ü@x.test"], why: "UTF-8" },
];
for (const c of headers) {
  test(`recipientsInHeader() ${c.why}`, () =>
    assert.deepEqual(recipientsInHeader(Buffer.from(c.in, "latin1"), 102_400), c.want));
}
