/** bounce/hostile.test.ts: whatever remotes and clients wrote, a report keeps its shape: two attachments, no field of
 *  theirs, no long line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import PostalMime from "postal-mime";
import type { ReportKind } from "./delivery-status.ts";
import { composed, type Setup } from "./testdata/setup.ts";

/** Pieces that would do harm if they stood on a line of their own. */
const evil = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 20 }),
      fc.constantFrom(
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "--NEW1.1772600767/mail.example.org",
        "--\r\n",
        "X-Evil: 1",
        "\u2028",
        "\0",
      ),
      fc.constantFrom("Final-Recipient: rfc822; evil@x", "Content-Type: text/html", "w ".repeat(600), "x".repeat(1200)),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));

test("reports keep their shape whatever is in them", async () => {
  const kinds = fc.constantFrom<ReportKind>("failed", "delayed", "success");
  const words = fc.record({ address: evil, original: evil, orcpt: evil, text: evil, diagnostic: evil, mta: evil });
  await fc.assert(
    fc.asyncProperty(kinds, fc.boolean(), evil, evil, words, async (kind, smtputf8, sender, envid, w) => {
      const outcome = { text: w.text, diagnostic: w.diagnostic, remoteMta: w.mta, dsn: w.mta };
      const recipient = {
        address: `a${w.address}`,
        original: w.original,
        dsn: { orcpt: `rfc822;${w.orcpt}` },
        outcome,
      };
      const setup: Setup = { kind, smtputf8, sender: `s${sender}`, dsn: { envid }, recipients: [recipient] };
      const { reports } = await composed(setup);
      const bytes = Buffer.from(reports[0]?.message.content ?? []);
      for (const line of bytes.toString("utf8").split("\r\n")) {
        if (!/^(?:To|Return-Path):/.test(line)) assert.ok(Buffer.byteLength(line) <= 998, "RFC 5322 \u00a72.1.1");
        assert.doesNotMatch(line, /^(?:X-Evil|Content-Type: text\/html)/);
        assert.doesNotMatch(line, /[\x00-\x08\x0a-\x1f\x7f]/);
      }
      const mail = await PostalMime.parse(bytes, { attachmentEncoding: "utf8", forceRfc822Attachments: true });
      assert.equal(mail.attachments.length, 2);
      const groups = String(mail.attachments[0]?.content)
        .trim()
        .split(/\r?\n\r?\n/);
      assert.equal(groups.length, 2);
      assert.equal(groups[1]?.match(/^Final-Recipient:/gm)?.length, 1);
    }),
    { numRuns: 200 },
  );
});
