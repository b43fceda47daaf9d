import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAuth, formatCont, parseDovecotLine } from "./dovecot-wire.ts";
import { CONTEXT } from "./testdata/memory-passwords.ts";

const username = (line: string) => {
  const parsed = parseDovecotLine(line);
  return typeof parsed === "object" && parsed.kind === "reply" && parsed.reply.kind === "ok"
    ? parsed.reply.username
    : undefined;
};

const lines = [
  { in: "OK\t1\tuser=a\x01tb", want: "a\tb", why: "escaped TAB" },
  { in: "OK\t1\tuser=a\x011b", want: "a\x01b", why: "escaped escape" },
  { in: "OK\t1\tuser=a\x010b\x01rc\x01nd", want: "a\0b\rc\nd", why: "NUL, CR, LF" },
  { in: "OK\t1\tuserdb=x\tuser=a\tuser=b", want: "a", why: "the first user= counts, a longer key does not" },
  { in: "OK\t1\tUSER=a", want: undefined, why: "keys are lower case" },
];
for (const c of lines) test(`parseDovecotLine() ${c.why}`, () => assert.equal(username(c.in), c.want));

test("parseDovecotLine() knows what it does not know", () => {
  assert.equal(parseDovecotLine("SPID\t1"), undefined);
  assert.equal(parseDovecotLine(""), undefined);
  assert.equal(parseDovecotLine("MECH\tEXTERNAL\tprivate"), undefined);
  for (const bad of ["OK", "OK\t-1", "FAIL\t1x", "VERSION\t1", "VERSION\ta\tb", "MECH", "CONT\t1\tA=B"]) {
    assert.equal(parseDovecotLine(bad), "malformed", bad);
  }
});

test("parseDovecotLine() never throws", () => {
  const command = fc.constantFrom("OK", "FAIL", "CONT", "MECH", "VERSION", "DONE", "X");
  fc.assert(
    fc.property(command, fc.array(fc.string()), (name, fields) => void parseDovecotLine([name, ...fields].join("\t"))),
  );
});

test("formatAuth() and formatCont() are one line whatever the client sends", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string(), (initial, text) => {
      const context = { ...CONTEXT, clientAddress: text };
      const auth = formatAuth({ id: 1, mechanism: "PLAIN", service: text, context, initial });
      assert.doesNotMatch(auth, /[\r\n\0]/);
      assert.equal(auth.split("\t").at(-1), `resp=${Buffer.from(initial).toString("base64") || "="}`);
      assert.doesNotMatch(formatCont(1, initial), /[\r\n\0]/);
    }),
  );
});
