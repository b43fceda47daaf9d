import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldParser, fieldValue, HeaderIntake, HeaderScanner, parseFields } from "./header-block.ts";

const cases = [
  { in: "A: 1\r\nB: 2\r\n\r\nbody\r\n", header: "A: 1\r\nB: 2\r\n", body: "body\r\n", why: "plain" },
  {
    in: "A: 1\r\n folded\r\n\r\nx",
    header: "A: 1\r\n folded\r\n",
    body: "x",
    why: "continuation belongs to its field",
  },
  { in: "\r\nbody", header: "", body: "body", why: "no header at all" },
  {
    in: "hello\r\nworld\r\n",
    header: "",
    body: "hello\r\nworld\r\n",
    why: "first line is no field: all body (MSG-11)",
  },
  {
    in: "A: 1\r\nno colon\r\nB: 2\r\n",
    header: "A: 1\r\n",
    body: "no colon\r\nB: 2\r\n",
    why: "forgotten empty line (MSG-12)",
  },
  { in: "From x@y Mon\r\nA: 1\r\n\r\nb", header: "From x@y Mon\r\nA: 1\r\n", body: "b", why: "mbox line is not body" },
  { in: "A : 1\r\n\r\n", header: "A : 1\r\n", body: "", why: "white space before the colon (MSG-03)" },
  {
    in: "A: 1\r\n \r\nB: 2\r\n\r\n",
    header: "A: 1\r\n \r\nB: 2\r\n",
    body: "",
    why: "a blank folded line does not end it (MSG-07)",
  },
];
for (const c of cases) {
  test(`HeaderScanner ${c.why}, at once and byte by byte`, () => {
    const whole = Buffer.from(c.in, "latin1");
    const check = (end: ReturnType<HeaderScanner["scan"]>) => {
      assert.equal(end.kind, "end");
      if (end.kind !== "end") return;
      assert.equal(whole.toString("latin1", 0, end.headerEnd), c.header);
      assert.equal(whole.toString("latin1", end.bodyStart), c.body);
    };
    check(new HeaderScanner().scan(whole));
    const scanner = new HeaderScanner();
    for (let n = 1; n <= whole.length; n++) {
      const end = scanner.scan(whole.subarray(0, n));
      if (end.kind === "more") continue;
      check(end);
      return;
    }
    assert.fail("The end was never found");
  });
}

test("parseFields() keeps bytes, lower-cases names, cuts at the size limit", () => {
  const header = Buffer.from("Subject: a\r\n b\xe9\r\nX-Long: 123456789\r\n", "latin1");
  const fields = parseFields(header, 15);
  assert.deepEqual(
    fields.map((f) => [f.name, f.text]),
    [
      ["subject", "Subject: a\r\n b\xe9".slice(0, 15)],
      ["x-long", "X-Long: 1234567"],
    ],
  );
  assert.equal(fieldValue({ name: "subject", text: "Subject: a\r\n b" }), "a b");
});

test("FieldParser: a header in slices of any size has the same fields", () => {
  const header = Buffer.from("From x\r\nSubject: a\r\n b\r\nX: 1\r\nY: 123456789\r\n");
  for (let bytes = 1; bytes <= header.length; bytes++) {
    const parser = new FieldParser(header, 12);
    let slices = 1;
    while (parser.next(bytes)) slices++;
    assert.deepEqual(parser.fields, parseFields(header, 12));
    if (bytes === 1) assert.equal(slices, parser.fields.length);
  }
});

test("HeaderIntake: a header in chunks of any size is the same", () => {
  const message = Buffer.from(`Subject: a\r\n b\r\nX: ${"x".repeat(100)}\r\n\r\nbody\r\n`);
  for (let size = 1; size <= message.length; size++) {
    const intake = new HeaderIntake();
    for (let at = 0; at < message.length; at += size) {
      const got = intake.push(Buffer.from(message.subarray(at, at + size)));
      if (got.kind === "more") continue;
      const end = message.indexOf("\r\n\r\n");
      assert.equal(got.header.toString(), message.toString("latin1", 0, end + 2));
      assert.equal(got.rest.toString(), message.toString("latin1", end + 4, at + size));
      break;
    }
  }
});
