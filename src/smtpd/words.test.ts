/** Tests of the pure parsers of the SMTP dialogue: parameters, base64, forbidden commands, the tally. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { replyText } from "../mail/reply.ts";
import { decodeBase64 } from "./base64.ts";
import { hideInitialResponse } from "./commands/auth.ts";
import { looksLikeHeader, parseForbiddenCommands } from "./forbidden-commands.ts";
import { checkRcptParameters, decodeXtext, parseMailParameters } from "./mail-parameters.ts";
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
  { in: "X\u00e9", want: "555 5.5.4 Unsupported option: X?", why: "made printable" },
];
for (const c of mailCases) {
  test(`parseMailParameters() ${c.why}: ${c.in}`, () => {
    const got = parseMailParameters(c.in, { smtputf8: true });
    const { size, body, smtputf8, auth } = got.kind === "ok" ? got.value : {};
    assert.equal(got.kind === "bad" ? replyText(got.reply) : `${size} ${body} ${smtputf8} ${auth}`, c.want);
  });
}

test("checkRcptParameters() accepts none", () => {
  assert.equal(checkRcptParameters(""), undefined);
  assert.equal(checkRcptParameters("ORCPT=rfc822;a@b")?.dsn, "5.7.1");
  assert.equal(checkRcptParameters("X=1")?.code, 555);
});

test("decodeXtext() decodes what is encoded and nothing else", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }).filter((s) => /^[\x20-\x7e]+$/.test(s)),
      (text) => {
        const encoded = text.replace(
          /[^!-*,-<>-~]/g,
          (c) => `+${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
        );
        assert.equal(decodeXtext(encoded), text);
      },
    ),
  );
  for (const bad of ["", "a b", "a=b", "+3", "+3d", "+0D", "\u00e9"]) assert.equal(decodeXtext(bad), undefined, bad);
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
