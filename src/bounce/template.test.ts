/** bounce/template.test.ts: template files in the format of bounce(5), and what reports make of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parametersOf } from "../config/parameters.ts";
import { BUILT_IN_TEMPLATES } from "./built-in.ts";
import { loadTemplates } from "./load.ts";
import { expandTemplate, parseTemplateFile } from "./template.ts";
import { readBack } from "./testdata/setup.ts";

function fileOf(body: string, name = "failure"): string {
  return `# Comment\n\n${name}_template = <<END\n${body}\nEND\n\n`;
}

test("parseTemplateFile() reads several templates, comments and any end word", () => {
  const text = `${fileOf("Subject: F\n\nfailure text")}${fileOf("From: me (x)\n\n  delay\n\n# text", "delay")}`;
  const { templates, problems } = parseTemplateFile(Buffer.from(text), BUILT_IN_TEMPLATES);
  assert.deepEqual(problems, []);
  assert.equal(templates.failure.subject, "F");
  assert.deepEqual(templates.failure.text, ["failure text"]);
  assert.equal(templates.failure.postmasterSubject, "Postmaster Copy: Undelivered Mail", "headers keep their default");
  assert.equal(templates.delay.from, "me (x)");
  assert.deepEqual(templates.delay.text, ["  delay", "", "# text"]);
  assert.equal(templates.success, BUILT_IN_TEMPLATES.success);
});

test("parseTemplateFile() header names in any case, CRLF files, text without headers", () => {
  const text = fileOf("CHARSET: UTF-8\npostmaster-SUBJECT: P: q\n\nx").replaceAll("\n", "\r\n");
  const { templates, problems } = parseTemplateFile(Buffer.from(text), BUILT_IN_TEMPLATES);
  assert.deepEqual(problems, []);
  assert.equal(templates.failure.charset, "utf-8");
  assert.equal(templates.failure.postmasterSubject, "P: q");
  const bare = parseTemplateFile(Buffer.from(fileOf("\njust text")), BUILT_IN_TEMPLATES);
  assert.deepEqual(bare.templates.failure.text, ["just text"]);
});

const MISTAKES = [
  { in: fileOf("Subject:\n\nx"), want: /^3: empty "Subject" header value/, why: "empty value" },
  { in: fileOf("Subject: \u00fc\n\nx"), want: /^3: non-ASCII "Subject" header value/, why: "8-bit header" },
  { in: fileOf("Bcc: me\n\nx"), want: /^3: unknown "Bcc" header label/, why: "unknown header" },
  { in: fileOf("Postmaster-Subject: x\n\nx", "success"), want: /^3: inapplicable/, why: "no postmaster gets it" },
  { in: fileOf("Subject: x\n\n"), want: /^3: missing message text/, why: "no text" },
  { in: fileOf("Subject: x\n\n\u00fc"), want: /^3: 8-bit message text/, why: "8-bit text in us-ascii" },
  { in: fileOf("Charset: x y\n\nx"), want: /^3: bad "Charset" header value/, why: "no name of a character set" },
  { in: fileOf("x", "bounce"), want: /^3: unknown template "bounce_template"/, why: "unknown template" },
  { in: "failure_template = <<EOF\nx\n", want: /^1: missing "EOF" marker/, why: "no end" },
  { in: "myhostname = x\n", want: /^1: template definition expected/, why: "a main.cf" },
  {
    in: fileOf("$nonsense"),
    want: /^1: failure_template: undefined \$name in template: nonsense/,
    why: "unknown name",
  },
  { in: fileOf("${x"), want: /^1: failure_template: /, why: "bad $name syntax" },
  { in: fileOf("$delay_warning_time_years"), want: /unrecognized suffix "years"/, why: "unknown unit" },
];
for (const { in: text, want, why } of MISTAKES) {
  test(`loadTemplates() keeps the built-in text: ${why}`, () => {
    const { templates, problems } = loadTemplates(parametersOf({}), Buffer.from(text));
    assert.match(problems.map((problem) => `${problem.line}: ${problem.text}`).join("\n"), want);
    assert.deepEqual(templates, BUILT_IN_TEMPLATES);
  });
}

const EXPANSIONS = [
  { in: "$myhostname, ${mydomain}; $$5", want: "mail.example.org, example.org; $5", why: "parameters and a dollar" },
  { in: "$delay_warning_time_hours h", want: "36 h", why: "hours" },
  { in: "$(delay_warning_time_days)d", want: "1d", why: "whole days" },
  { in: "$maximal_queue_lifetime_weeks", want: "2", why: "weeks" },
  { in: "$maximal_queue_lifetime_seconds", want: "1209600", why: "seconds" },
  { in: "  \\n $mail_name", want: "  \\n Postern", why: "backslashes and leading blanks are text" },
];
for (const { in: text, want, why } of EXPANSIONS) {
  test(`expandTemplate() ${why}: ${text}`, () => {
    const params = parametersOf({ delay_warning_time: "36h", maximal_queue_lifetime: "14d", mydomain: "example.org" });
    const template = { ...BUILT_IN_TEMPLATES.failure, text: [text] };
    assert.deepEqual(expandTemplate(template, params), [want]);
  });
}

test("expandTemplate() shows international names only in a UTF-8 text", () => {
  const params = parametersOf({ myhostname: "mail.xn--bcher-kva.test", smtputf8_enable: "yes" });
  const template = { ...BUILT_IN_TEMPLATES.failure, text: ["$myhostname"] };
  assert.deepEqual(expandTemplate(template, params), ["mail.xn--bcher-kva.test"]);
  assert.deepEqual(expandTemplate({ ...template, charset: "utf-8" }, params), ["mail.b\u00fccher.test"]);
});

test("a report uses the template: headers, character set, bytes", async () => {
  const text = "Charset: iso-8859-1\nFrom: Post (us)\nSubject: Zur\u00fcck\n".replace("\u00fc", "ue");
  const templateFile = Buffer.from(fileOf(`${text}\nGr\u00fc\u00dfe von $myhostname`), "latin1");
  const { text: all, bytes, mail, composed } = await readBack({ templateFile });
  assert.equal(mail.subject, "Zurueck");
  assert.match(all, /\r\nFrom: Post@mail\.example\.org \(us\)\r\n/);
  assert.match(all, /Content-Type: text\/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n/);
  assert.ok(bytes.includes(Buffer.from("Gr\u00fc\u00dfe von mail.example.org", "latin1")));
  assert.match(mail.text ?? "", /Gr\u00fc\u00dfe von mail/);
  assert.equal(composed.envelope.body, "8BITMIME");
});

test("a UTF-8 template gives UTF-8 bytes", async () => {
  const templateFile = fileOf("Charset: utf-8\n\nGr\u00fc\u00dfe");
  const { mail, text } = await readBack({ templateFile, smtputf8: true, recipients: [{ address: "\u65e5@far.test" }] });
  assert.match(mail.text ?? "", /Gr\u00fc\u00dfe[\s\S]*<\u65e5@far\.test>/);
  assert.match(text, /charset=utf-8\r\n/);
});

test("loadTemplates() takes any bytes", () => {
  const params = parametersOf({});
  const line = fc.oneof(
    fc.constantFrom(
      "failure_template = <<A",
      "delay_template=<<A",
      "A",
      "Subject: x",
      "Charset: utf-8",
      "",
      "$$",
      "$x",
    ),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { templates } = loadTemplates(params, Buffer.from(lines.join("\n")));
      for (const template of Object.values(templates)) {
        for (const out of expandTemplate(template, params)) assert.doesNotMatch(out, /[\r\n]/);
        assert.match(template.from + template.subject, /^[\x09\x20-\x7e]*$/);
      }
    }),
  );
});
