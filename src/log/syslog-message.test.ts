import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSyslogMessage, frameSyslogMessage } from "./syslog-message.ts";

const record = {
  at: Date.UTC(2026, 10, 4, 9, 5, 3, 7),
  tag: "postfix/smtpd",
  id: 7,
  severity: "info",
  text: "x",
} as const;
const header = { facility: "mail", hostname: "mail.example.org", sequence: 1 } as const;
const HEAD = '1 2026-11-04T09:05:03.007Z mail.example.org postfix/smtpd 7 - [meta sequenceId="1"] ';

const cases = [
  { record: {}, header: {}, want: `<22>${HEAD}x`, why: "mail.info is 2*8+6" },
  { record: { severity: "warning" }, header: {}, want: `<20>${HEAD}warning: x`, why: "the word as in Postfix's text" },
  {
    record: { severity: "panic" },
    header: { facility: "local7" },
    want: `<186>${HEAD}panic: x`,
    why: "panic is LOG_CRIT",
  },
  { record: {}, header: { message: '{"a":1}' }, want: `<22>${HEAD}{"a":1}`, why: "JSON in place of the text" },
  { record: { text: "Größe" }, header: {}, want: `<22>${HEAD}Größe`, why: "UTF-8" },
  { record: {}, header: { hostname: "" }, want: `<22>${HEAD.replace("mail.example.org", "-")}x`, why: "NILVALUE" },
  {
    record: { tag: "post fix/smtpd" },
    header: {},
    want: `<22>${HEAD.replace("postfix", "post?fix")}x`,
    why: "no blank in APP-NAME",
  },
] as const;
for (const c of cases) {
  test(`formatSyslogMessage() ${c.why}`, () => {
    assert.equal(formatSyslogMessage({ ...record, ...c.record }, { ...header, ...c.header }).toString(), c.want);
  });
}

test("formatSyslogMessage() cuts between characters at 8192 bytes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 8000, max: 8300 }), (length) => {
      const whole = `${"x".repeat(length)}€€€€€€€€`;
      const message = formatSyslogMessage({ ...record, text: whole }, header);
      assert.ok(message.length <= 8192);
      assert.ok(!message.toString("utf8").includes("\ufffd"));
    }),
    { numRuns: 50 },
  );
});

test("frameSyslogMessage() counts octets, not characters", () => {
  assert.equal(frameSyslogMessage(Buffer.from("€x")).toString(), "4 €x");
});
