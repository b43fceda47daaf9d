import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { LineBatch } from "./line-batch.ts";
import { lineFormat } from "./line-format.ts";
import { formatMaillog } from "./maillog.ts";

const at = new Date(2026, 10, 4, 9, 5, 3).getTime();

const cases = [
  { severity: "info", line: "Nov  4 09:05:03 mx postfix/smtpd[7]: text\n", why: "space-padded day, no word for info" },
  { severity: "warning", line: "Nov  4 09:05:03 mx postfix/smtpd[7]: warning: text\n", why: "severity in front" },
] as const;
for (const c of cases) {
  test(`formatMaillog() ${c.why}`, () => {
    assert.equal(formatMaillog({ at, tag: "postfix/smtpd", id: 7, severity: c.severity, text: "text" }, "mx"), c.line);
  });
}

test("LineBatch drops lines for a slow reader, counts them, and says how many", () => {
  let waiting = 0;
  let written = "";
  const batch = new LineBatch(
    { write: (lines) => (written += lines), waitingBytes: () => waiting },
    lineFormat("text", "mx"),
    systemClock,
  );
  const record = { at, tag: "t", id: 1, severity: "info", text: "x" } as const;
  batch.sink(record);
  waiting = 5 * 1024 * 1024;
  batch.sink(record);
  batch.sink(record);
  waiting = 0;
  batch.sink(record);
  batch.flush();
  const lines = written.trimEnd().split("\n");
  assert.equal(lines.length, 3);
  assert.match(lines[1] ?? "", /warning: 2 log lines were lost/);
});
