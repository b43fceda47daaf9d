/** bounce/golden.test.ts: whole reports to the byte, in testdata/*.eml. With POSTERN_UPDATE_GOLDEN=1 they are rewritten; read
 *  the diff before committing it. A parser of somebody else must find in each what the setup put in. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import PostalMime from "postal-mime";
import { composed, type Setup } from "./testdata/setup.ts";

const REMOTE = { remoteMta: "mx.far.test", relay: "mx.far.test[192.0.2.9]:25" };
const MULTILINE = "550-5.1.1 No such user 550-5.1.1 Bcc: everybody@b.test 550 5.1.1 here";

const SETUPS: Readonly<Record<string, Setup>> = {
  failed: {
    dsn: { envid: "QQ314159" },
    recipients: [
      {
        address: "x@far.test",
        original: "alias@b.test",
        dsn: { orcpt: "rfc822;Bob+X@Example.ORG" },
        outcome: {
          ...REMOTE,
          text: `host mx.far.test[192.0.2.9] said: ${MULTILINE} (in reply to RCPT TO command)`,
          diagnostic: `smtp; ${MULTILINE}`,
        },
      },
      { address: "y@far.test", dsn: { notify: ["NEVER"] } },
      { address: "z@far.test", outcome: { dsn: "5.4.4", text: "Host or domain name not found" } },
    ],
  },
  delayed: {
    kind: "delayed",
    settings: { delay_warning_time: "4h", enable_threaded_bounces: "yes" },
    content: Buffer.from("Subject: Hi\r\nMessage-ID: <m@b.test>\r\n\r\nbody\r\n"),
    recipients: [{ address: "x@far.test", outcome: { ...REMOTE, kind: "deferred", dsn: "4.2.0", text: "450 later" } }],
  },
  success: {
    kind: "success",
    recipients: [
      {
        address: "x@old.test",
        outcome: { ...REMOTE, kind: "sent", dsn: "2.0.0", text: "250 2.0.0 Ok", dsnAction: "relayed" },
      },
      { address: "y@b.test", outcome: { kind: "sent", dsn: "2.0.0", text: "delivered to maildir", relay: "local" } },
    ],
  },
  "double-bounce": { sender: "", settings: { notify_classes: "2bounce" } },
  smtputf8: {
    smtputf8: true,
    sender: "jürgen@b.test",
    dsn: { ret: "HDRS" },
    recipients: [{ address: "日本@far.test", dsn: { orcpt: "utf-8;usér@x.test" } }],
  },
};

for (const [name, setup] of Object.entries(SETUPS)) {
  test(`the report "${name}" is the golden one`, async () => {
    const { reports } = await composed(setup);
    const bytes = Buffer.from(reports[0]?.message.content ?? []);
    const file = new URL(`./testdata/${name}.eml`, import.meta.url);
    if (process.env.POSTERN_UPDATE_GOLDEN === "1") writeFileSync(file, bytes);
    assert.equal(bytes.toString("utf8"), readFileSync(file, "utf8"));
    const mail = await PostalMime.parse(bytes, { attachmentEncoding: "utf8", forceRfc822Attachments: true });
    const [status, original, ...more] = mail.attachments;
    assert.match(status?.mimeType ?? "", /^message\/(?:global-)?delivery-status$/);
    assert.match(original?.mimeType ?? "", /^(?:message\/rfc822|message\/global(?:-headers)?|text\/rfc822-headers)$/);
    assert.equal(more.length, 0);
    const groups = String(status?.content)
      .trim()
      .split(/\r?\n\r?\n/);
    const told = (setup.recipients ?? [{ address: "x@far.test" }]).filter(
      (one) => !("dsn" in one && one.dsn?.notify?.includes("NEVER")),
    );
    assert.equal(groups.length, 1 + told.length);
    for (const [i, { address }] of told.entries()) assert.ok(groups[i + 1]?.includes(address));
  });
}
