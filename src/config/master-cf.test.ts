/** Tests of config/master-cf.ts and config/service-options.ts. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseMasterCf } from "./master-cf.ts";

const parse = (text: string) => parseMasterCf(text, "master.cf");
const texts = (text: string) => parse(text).problems.map((p) => `${p.at?.line} ${p.severity} ${p.text}`);
/** name=value of each -o, then the arguments. */
const shown = (text: string) => {
  const [service] = parse(text).services;
  return [service?.overrides.map(({ name, value }) => `${name}=${value}`), service?.args];
};

test("parseMasterCf() reads the eight fields", () => {
  const { services, problems } = parse("relay unix y n y 60? 5 smtp\n127.0.0.1:2525 inet n - - - 0 smtpd -v");
  assert.deepEqual(problems, []);
  assert.deepEqual(services[0], {
    name: "relay",
    type: "unix",
    private: true,
    unprivileged: false,
    chroot: true,
    wakeup: 60,
    maxproc: 5,
    command: "smtp",
    args: [],
    overrides: [],
    fields: ["relay", "unix", "y", "n", "y", "60?", "5"],
    at: { file: "master.cf", line: 1 },
  });
  assert.deepEqual([services[1]?.maxproc, services[1]?.args], [0, ["-v"]]);
});

test("parseMasterCf() takes - for the default", () => {
  const [service] = parse("x unix - - - - - smtp").services;
  const { private: isPrivate, unprivileged, chroot, wakeup, maxproc } = service ?? {};
  assert.deepEqual([isPrivate, unprivileged, chroot, wakeup, maxproc], [true, true, false, 0, undefined]);
});

test("parseMasterCf() knows all types", () => {
  const types = ["inet", "unix", "fifo", "pass", "unix-dgram"];
  const { services } = parse(types.map((type) => `a ${type} n - n - - smtpd`).join("\n"));
  assert.deepEqual(
    services.map(({ type }) => type),
    types,
  );
});

const options = [
  { in: "smtpd -o a=b", want: [["a=b"], []], why: "plain" },
  { in: "smtpd -oa=b", want: [["a=b"], []], why: "attached" },
  { in: "smtpd -vo a=b -v", want: [["a=b"], ["-v", "-v"]], why: "behind another flag" },
  { in: "smtpd -o a=", want: [["a="], []], why: "empty" },
  { in: "smtpd -o { a = b, c d }", want: [["a=b, c d"], []], why: "braces protect blanks" },
  { in: "smtpd -o {a=b c} -o d=e", want: [["a=b c", "d=e"], []], why: "braces without blanks" },
  { in: "smtpd -o { a = {x y} z }", want: [["a={x y} z"], []], why: "nested braces" },
  { in: "smtpd -o a=b=c", want: [["a=b=c"], []], why: "the first = counts" },
  { in: "pipe flags=R argv=/x -o y", want: [[], ["flags=R", "argv=/x", "-o", "y"]], why: "options end at an argument" },
  { in: "pipe -o a=b flags=R { argv=/x y }", want: [["a=b"], ["flags=R", "argv=/x y"]], why: "then arguments" },
];
for (const c of options) {
  test(`parseMasterCf() -o ${c.why}: ${c.in}`, () => {
    assert.deepEqual(shown(`s unix - - n - - ${c.in}`), c.want);
    assert.deepEqual(texts(`s unix - - n - - ${c.in}`), []);
  });
}

const meant = [
  { in: "smtpd -o a = b", want: [["a=b"], []], why: "blanks around =" },
  { in: "smtpd -o a = b, c d -o e=f", want: [["a=b, c d", "e=f"], []], why: "several words, up to the next option" },
  { in: "smtpd -o a=b, c", want: [["a=b, c"], []], why: "a blank behind a comma" },
  { in: "smtpd -o a =b -v", want: [["a=b"], ["-v"]], why: "half a blank" },
  { in: "smtpd -o a = -o b=c", want: [["a=", "b=c"], []], why: "an empty value" },
  { in: "smtpd -o a = {x y} z", want: [["a={x y} z"], []], why: "braces in the value stay" },
  { in: "pipe -o a = b flags=R", want: [["a=b"], ["flags=R"]], why: "one word before arguments" },
  { in: "pipe -o a = b, c flags=R", want: [["a=b, c"], ["flags=R"]], why: "and what a comma promises" },
];
for (const c of meant) {
  test(`parseMasterCf() reads what 2005 meant, ${c.why}: ${c.in}`, () => {
    const line = `s unix - - n - - ${c.in}`;
    assert.deepEqual(shown(line), c.want);
    assert.equal(parse(line).problems.length, 1);
    assert.match(texts(line)[0] ?? "", /^1 warning "-o .*" is read as one value/);
  });
}

test("parseMasterCf() names line and right spelling of an option with blanks", () => {
  const [problem] = parse("s inet n - n - - smtpd\n -o x=y\n# c\n -o a = b, c\n").problems;
  assert.deepEqual(problem, {
    severity: "warning",
    at: { file: "master.cf", line: 4 },
    text: '"-o a = b, c" is read as one value; Postfix refuses blanks here when the service starts',
    hint: "write -o { a = b, c }",
  });
});

const errors = [
  { in: "s", want: ['1 error missing "transport" field'] },
  { in: "s unix - - n", want: ['1 error missing "wakeup time" field'] },
  { in: "s unix - - n - -", want: ['1 error missing "command" field'] },
  { in: "s tcp - - n - - smtpd", want: ["1 error bad transport type: tcp"] },
  { in: "s unix x - n - - smtpd", want: ['1 error field "private": bad value: "x"'] },
  { in: "s unix - - n 1x - smtpd", want: ['1 error field "wakeup time": bad value: "1x"'] },
  { in: "s unix - - n - -1 smtpd", want: ['1 error field "process limit": bad value: "-1"'] },
  { in: "s unix - - n - - smtpd -o", want: ["1 error option requires an argument -- o"] },
  {
    in: "s unix - - n - - smtpd -o a",
    want: [`1 error invalid "-o a" option value: missing '=' after attribute name: "a"`],
  },
  { in: "s unix - - n - - smtpd -o { a = b", want: [`1 error missing '}' in "{ a = b"`] },
  { in: "s unix - - n - - smtpd -o {a=b}c", want: [`1 error syntax error after '}' in "{a=b}c"`] },
  { in: "s unix - - n - - smtpd -o a=b -o a=c", want: ["1 warning overriding earlier -o option: a=c"] },
];
for (const c of errors)
  test(`parseMasterCf() says what is wrong: ${c.in}`, () => assert.deepEqual(texts(c.in), c.want));

test("parseMasterCf() lets the last of two services stand", () => {
  const text = "s inet n - n - - smtpd\nt inet n - n - - smtpd\ns inet n - n - 7 smtpd";
  const { services } = parse(text);
  assert.deepEqual(
    services.map(({ name, maxproc }) => [name, maxproc]),
    [
      ["t", undefined],
      ["s", 7],
    ],
  );
  assert.deepEqual(texts(text), ['3 warning duplicate master.cf entry for service "s" (1) -- using the last entry']);
});

test("parseMasterCf() warns of options under a service line that is a comment", () => {
  const text = "smtp inet n - y - - smtpd\n#submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n";
  const { services, problems } = parse(text);
  assert.equal(services[0]?.overrides[0]?.name, "smtpd_sasl_auth_enable");
  assert.equal(problems[0]?.at?.line, 3);
  assert.match(
    problems[0]?.text ?? "",
    /belong to service "smtp" of line 1, because the line of "submission" is a comment/,
  );
});

test("parseMasterCf() does not warn of comments that are no service lines, or of whole entries that are comments", () => {
  const text =
    "a inet n - n - - smtpd\n# inet is nice\n -o x=y\n#b inet n - n - - smtpd\n# -o z=1\nc inet n - n - - smtpd\n";
  assert.deepEqual(texts(text), []);
});

test("parseMasterCf() takes the submission service of a 2005 recipe", () => {
  const { services, problems } = parse(
    readFileSync(new URL("testdata/recipe-2005/master.cf", import.meta.url), "utf8"),
  );
  assert.deepEqual(
    services[1]?.overrides.map(({ name, value, at }) => `${at.line} ${name}=${value}`),
    [
      "3 smtpd_sasl_auth_enable=yes",
      "4 smtp_sasl_security_options=noanonymous, noplaintext",
      "5 broken_sasl_auth_clients=yes",
      "6 smtpd_sender_restrictions=",
      "7 smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
    ],
  );
  assert.deepEqual(
    problems.map(({ severity, at }) => [severity, at?.line]),
    [
      ["warning", 4],
      ["warning", 5],
    ],
  );
});

test("parseMasterCf() never throws, and every override has a name and a line of the file", () => {
  const piece = fc.constantFrom(
    "s ",
    "inet ",
    "unix ",
    "n ",
    "- ",
    "smtpd ",
    "pipe ",
    "-o ",
    "-oa=b ",
    "a=b, ",
    "= ",
    "{ ",
    "} ",
    "\n",
    "\n ",
    "#",
    "-v",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = `s inet n - n - - smtpd ${pieces.join("")}`;
      const lines = text.split("\n").length;
      for (const { overrides } of parse(text).services) {
        for (const { name, at } of overrides) assert.ok(name !== "" && at.line >= 1 && at.line <= lines);
      }
    }),
    { numRuns: 500 },
  );
});

test("parseMasterCf() reads back braced options whatever they hold", () => {
  const value = fc.stringMatching(/^([!-z|~]([ -z|~]{0,20}[!-z|~])?)?$/);
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), (values) => {
      const written = values.map((v, i) => `-o { p${i} = ${v} }`).join("\n  ");
      const [service] = parse(`s inet n - n - - smtpd\n  ${written}`).services;
      assert.deepEqual(
        service?.overrides.map((o) => o.value),
        values,
      );
      assert.deepEqual(
        service?.overrides.map((o) => o.at.line),
        values.map((_, i) => i + 2),
      );
    }),
  );
});
