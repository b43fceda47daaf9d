/** The parameter page shows what a declaration says, and marks what Postfix does not have. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bool, text } from "../src/config/declare.ts";
import { formatPage } from "./generate-docs.ts";

test("formatPage() lists name, default, type, doc, and marks Postern's own", () => {
  const page = formatPage({
    soft_bounce: bool("no", "Turns 5xx into 4xx."),
    postern_note: text("", "Any note.", { origin: "postern", restart: true }),
    default_rbl_reply: text("$rbl_code `x`", "The reply.", { raw: true }),
  });
  assert.match(page, /3 parameters, 1 of them Postern's own: \[postern_note\]\(#postern_note\)\./);
  assert.match(page, /## soft_bounce\n\nDefault: `no`\. Type: bool\.\n\nTurns 5xx into 4xx\.\n/);
  assert.match(
    page,
    /## postern_note\n\nDefault: empty\. Type: text\. \*\*Postern's own\.\*\* A change needs a restart\.\n/,
  );
  assert.match(page, /Default: `` \$rbl_code `x` ``\. Type: text\. Expanded when used/);
  assert.ok(page.indexOf("## default_rbl_reply") < page.indexOf("## postern_note"), "sorted by name");
});
