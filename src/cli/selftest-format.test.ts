import assert from "node:assert/strict";
import { test } from "node:test";
import type { SelftestResult } from "../admin/selftest-player.ts";
import { formatFailure, formatSkipped, formatSummary } from "./selftest-format.ts";

function result(outcome: SelftestResult["outcome"], id: string, why: string): SelftestResult {
  return { ids: [id], what: "a row", service: "smtp", outcome, why, dialogue: ["C: NOOP", "S: 500 no"] };
}
const LOOK = { colours: false };

test("formatFailure() tells what failed whole, and nothing of the rest", () => {
  assert.equal(
    formatFailure(result("failed", "SMTP-11", "expected: 250 …"), LOOK),
    "FAILED SMTP-11: a row (smtp)\n  C: NOOP\n  S: 500 no\n  expected: 250 …\n",
  );
  assert.equal(formatFailure(result("passed", "SMTP-11", ""), LOOK), "");
});

test("formatSkipped() says each reason once, and what to do about recipients", () => {
  const no = (address: string) => `a restriction refuses it: 554 <${address}>: Recipient address rejected: no`;
  assert.equal(
    formatSkipped([
      result("skipped", "SMTP-11", no("a@b.test")),
      result("skipped", "SMTP-12", "no TLS"),
      result("skipped", "SMTP-13", no("c@d.test")),
    ]),
    "skipped: a restriction refuses it: 554 <...>: Recipient address rejected: no: SMTP-11, SMTP-13\n" +
      "skipped: no TLS: SMTP-12\n  (recipients in another domain: --domain)\n",
  );
});

test("formatSummary() counts", () => {
  assert.equal(formatSummary({ passed: 60, failed: 1, skipped: 2 }, LOOK), "60 passed, 1 failed, 2 skipped\n");
});
