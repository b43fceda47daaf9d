/** Tests of the pure parsers of the SMTP dialogue: parameters, base64, forbidden commands, the tally. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { replyText } from "../mail/reply.ts";
import { decodeBase64 } from "./base64.ts";
import { hideInitialResponse } from "./commands/auth.ts";
import { looksLikeHeader, parseForbiddenCommands } from "./forbidden-commands.ts";
import { parseMailParameters, parseRcptParameters } from "./mail-parameters.ts";
import { Tally } from "./tally.ts";

const mailCases = [
  { in: "", want: "undefined 7BIT false undefined", why: "none" },
  { in: "size=10  body=8bitmime smtputf8", want: "10 8BITMIME true undefined", why: "any case, several blanks" },
  { in: "SIZE=", want: "501 5.5.4 Bad message size syntax", why: "SIZE-07 empty" },
  { in: "SIZE=-1", want: "501 5.5.4 Bad message size syntax", why: "SIZE-07 sign" },
  { in: "SIZE=000000000000000000010", want: "501 5.5.4 Bad message size syntax", why: "SIZE-07 above 20 digits" },
  { in: "SIZE=9223372036854775807", want: `${2 ** 63} 7BIT false undefined`, why: "largest file" },
  { in: "SIZE", want: "555 5.5.4 Unsupported option: SIZE", why: "no value" },
  { in: "BODY=", want: "555 5.5.4 Unsupported option: BODY=", why: "no such body" },
  { in: "AUTH=<>", want: "undefined 7BIT false undefined", why: "AUTH=<> is nobody" },
  { in: "AUTH=a@b", want: "undefined 7BIT false a@b", why: "AUTH" },
  { in: "AUTH=a+0Ab", want: "501 5.5.4 Bad AUTH parameter syntax", why: "SMUG-12" },
  { in: "__proto__=1", want: "555 5.5.4 Unsupported option: __proto__=1", why: "no property" },
  { in: "X\u00e9", want: "555 5.5.4 Unsupported option: X?", why: "made printable (EAI-05)" },
];
for (const c of mailCases) {
  test(`parseMailParameters() ${c.why}: ${c.in}`, () => {
    const got = parseMailParameters(c.in, { smtputf8: true, dsn: true });
    const { size, body, smtputf8, auth } = got.kind === "ok" ? got.value : {};
    assert.equal(got.kind === "bad" ? replyText(got.reply) : `${size} ${body} ${smtputf8} ${auth}`, c.want);
  });
}

const rcptCases = [
  { in: "", want: undefined, why: "none" },
  { in: "notify=never", want: { notify: ["NEVER"] }, why: "any case" },
  { in: "NOTIFY=DELAY,SUCCESS", want: { notify: ["DELAY", "SUCCESS"] }, why: "in the client's order" },
  { in: "ORCPT=x400;/c=de", want: "501 5.5.4 Error: Bad ORCPT parameter syntax", why: "a bare equals sign (DSN-05)" },
  { in: "ORCPT=X400;/c+3Dde", want: { orcpt: "X400;/c=de" }, why: "another type, as given" },
  { in: "ORCPT=UTF-8;\u00e9@x", want: { orcpt: "UTF-8;\u00e9@x" }, why: "unitext (DSN-48)" },
  { in: "ORCPT=rfc822;\u00e9@x", want: "501 5.5.4 Error: Bad ORCPT parameter syntax", why: "8-bit in xtext" },
  { in: "X=1", want: "555 5.5.4 Unsupported option: X=1", why: "unknown" },
  { in: "constructor=1", want: "555 5.5.4 Unsupported option: constructor=1", why: "no property" },
];
for (const c of rcptCases) {
  test(`parseRcptParameters() ${c.why}: ${c.in}`, () => {
    const got = parseRcptParameters(c.in, { dsn: true });
    assert.deepEqual(got.kind === "bad" ? replyText(got.reply) : got.value, c.want);
  });
}

test("parameters never let anything unprintable through", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("ENVID=", "ORCPT=rfc822;", "ORCPT=utf-8;", "+0A", "\\x{0A}"),
  );
  fc.assert(
    fc.property(fc.array(word), (words) => {
      const text = words.join("");
      const mail = parseMailParameters(text, { smtputf8: true, dsn: true });
      const rcpt = parseRcptParameters(text, { dsn: true });
      const kept = [mail.kind === "ok" ? mail.value.dsn?.envid : "", rcpt.kind === "ok" ? rcpt.value?.orcpt : ""];
      for (const value of kept) assert.doesNotMatch(value ?? "", /[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
    }),
  );
});

test("decodeBase64() is strict", () => {
  for (const bad of ["A", "AA", "AAA", "=AAA", "AAA=BBB", "AA!A", "AA A", "AAAA=", "===="]) {
    assert.equal(decodeBase64(bad), undefined, bad);
  }
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(decodeBase64(Buffer.from(bytes).toString("base64")), Buffer.from(bytes));
    }),
  );
});

test("hideInitialResponse() hides secrets and nothing else", () => {
  assert.equal(hideInitialResponse("AUTH PLAIN c2VjcmV0"), "AUTH PLAIN ********");
  assert.equal(hideInitialResponse("auth  plain\tc2VjcmV0 x"), "auth  plain\t********");
  assert.equal(hideInitialResponse("\t auth PLAIN c2VjcmV0"), "\t auth PLAIN ********");
  assert.equal(hideInitialResponse("AUTH PLAIN"), "AUTH PLAIN");
  assert.equal(hideInitialResponse("MAIL FROM:<a@b> AUTH=<>"), "MAIL FROM:<a@b> AUTH=<>");
});

test("parseForbiddenCommands() takes words and inline patterns", () => {
  const forbidden = parseForbiddenCommands(["CONNECT", "regexp:{{/^[^A-Z]/ Bogus}, {/^x{2}$/i Two}}", "hash:/etc/x"]);
  for (const verb of ["CONNECT", "connect", "1", "<x", "xx"]) assert.equal(forbidden.matches(verb), true, verb);
  for (const verb of ["FOO", "foo", "XX", "hash"]) assert.equal(forbidden.matches(verb), false, verb);
  assert.equal(parseForbiddenCommands(["regexp:{{/(/ broken}}"]).matches("("), false);
});

test("looksLikeHeader() knows a header from a command", () => {
  for (const line of ["Subject: x", "X-Y:z", "From:"]) assert.equal(looksLikeHeader(line), true, line);
  for (const line of ["MAIL FROM:<a@b>", "NOOP a: b", "FOO", ": x", "X-Y :z"])
    assert.equal(looksLikeHeader(line), false, line);
});

test("Tally counts in Postfix's order", () => {
  const tally = new Tally();
  assert.equal(tally.format(), " commands=0/0");
  for (const name of ["quit", "rcpt", "rcpt", "ehlo"] as const) tally.count(name);
  for (const name of ["quit", "rcpt", "ehlo"] as const) tally.succeed(name);
  assert.equal(tally.format(), " ehlo=1 rcpt=1/2 quit=1 commands=3/4");
});
