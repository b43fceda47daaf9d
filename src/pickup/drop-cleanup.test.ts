import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import { formatShortQueueId } from "../mail/queue-id.ts";
import { createDropCleanup } from "./drop-cleanup.ts";
import { parseSubmission } from "./submission.ts";

const maildrop = mkdtempSync(join(tmpdir(), "postern-drop-"));
after(() => rmSync(maildrop, { recursive: true, force: true }));

interface Change {
  readonly to?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly directory?: string;
  readonly discard?: boolean;
  readonly content?: string;
}

async function receive({
  to = "b@x.test",
  settings = {},
  directory = maildrop,
  discard = false,
  content = "x",
}: Change) {
  for (const name of readdirSync(maildrop)) rmSync(join(maildrop, name));
  const warnings: string[] = [];
  const params = parametersOf({ myhostname: "mail.example.org", ...settings });
  const cleanup = createDropCleanup({ maildrop: directory, params, warn: (text) => void warnings.push(text) });
  const queueId = formatShortQueueId({ micros: 1_795_500_000_123_456, shard: 0 });
  const origin = {
    ...{ clientName: "localhost", clientAddress: "127.0.0.1", helo: "c", protocol: "ESMTP", service: "smtpd" },
  };
  const message = cleanup.begin({
    envelope: { queueId, sender: asAddress("a@x.test"), arrivalMs: 0, smtputf8: false, body: "8BITMIME", origin },
    recipients: [{ address: asAddress("rewritten@x.test"), original: asAddress(to), dsn: { notify: ["NEVER"] } }],
    ...{ tls: undefined, prepend: [], role: "submission" },
  });
  await message.write(Buffer.from(content));
  const result = await message.finish({ hold: false, discard });
  return { result, warnings, files: readdirSync(maildrop) };
}

test("a message becomes a complete file, with its recipients as they were given", async () => {
  const { result, files } = await receive({});
  assert.deepEqual([result.kind, files.length], ["queued", 1]);
  const text = readFileSync(join(maildrop, files[0] ?? ""));
  const end = text.indexOf("\n") + 1;
  assert.deepEqual(JSON.parse(JSON.stringify(parseSubmission(text.subarray(0, end)))), {
    ...{ sender: "a@x.test", recipients: ["b@x.test"], dsn: [{ notify: ["NEVER"] }], body: "8BITMIME" },
    originalId: "1E2406B0527E000",
  });
  assert.match(text.toString("latin1", end), /^Received: from c \(localhost \[127\.0\.0\.1\]\)\r\n\t/);
});

const refused = [
  { change: { settings: { message_size_limit: "10" }, content: "x".repeat(11) }, code: 552, why: "too large" },
  { change: { directory: join(maildrop, "none") }, code: 451, why: "the directory is not there" },
  { change: { to: "b@a..test" }, code: 553, why: "an address that would be found malformed later" },
  { change: { to: `b@${"x".repeat(1200)}` }, code: 553, why: "an address that is too long" },
];
for (const { change, code, why } of refused) {
  test(`refused with ${code}, and nothing is left: ${why}`, async () => {
    const { result, files, warnings } = await receive(change);
    assert.equal(result.kind === "refused" && result.reply.code, code);
    assert.deepEqual(files, []);
    assert.equal(warnings.length, code === 451 ? 1 : 0);
  });
}

test("a message that is discarded leaves nothing", async () => {
  const { result, files } = await receive({ discard: true });
  assert.deepEqual([result.kind, files], ["queued", []]);
});
