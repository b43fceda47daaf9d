/** master/bounce-templates.test.ts: what `check` says of the parameters of delivery reports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checked } from "./testdata/checked.ts";

const MASTER = "smtp inet n - n - - smtpd\n";
const MAIN = "compatibility_level = 3.10\nmyhostname = mail.example.org\nalias_maps =\n";
const GOOD = "failure_template = <<EOF\nSubject: x\n\ntext for $myhostname\nEOF\n";

for (const { why, main, files, want } of [
  { why: "a template file that is good", main: "bounce_template_file = /t", files: { "/t": GOOD }, want: [] },
  { why: "one beside main.cf", main: "bounce_template_file = t.cf", files: { "/c/t.cf": GOOD }, want: [] },
  {
    why: "one that is not there",
    main: "bounce_template_file = /t",
    files: {},
    want: ["main.cf:4: error: open /t: No such file or directory; named by bounce_template_file"],
  },
  {
    why: "one with mistakes, each with its line",
    main: "bounce_template_file = t.cf",
    files: { "/c/t.cf": `${GOOD}delay_template = <<EOF\nBcc: x\n\ny\nEOF\nlonely\n` },
    want: [
      '/c/t.cf:6: warning: unknown "Bcc" header label -- ignoring this template',
      "/c/t.cf:11: warning: template definition expected: name_template = <<EOF",
    ],
  },
  {
    why: "notify_classes that nobody knows",
    main: "notify_classes = all",
    files: {},
    want: ['main.cf:4: error: unknown notify_classes value "all" in "all"'],
  },
]) {
  test(`check tells ${why}`, async () => {
    const problems = await checked({
      "/c/main.cf": `${MAIN}${main}\nmail_owner = nobody\n`,
      "/c/master.cf": MASTER,
      ...files,
    });
    assert.deepEqual(
      problems.filter((line) => !/services|passwd/.test(line)),
      want,
    );
  });
}
