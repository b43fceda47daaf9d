/** Text of postqueue -p, postqueue -j and postcat against what Postfix prints. */
import assert from "node:assert/strict";
import process from "node:process";
import { before, test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueListing } from "../queue/store.ts";
import {
  formatAsctime,
  formatPostcatEnd,
  formatPostcatEnvelope,
  formatQueue,
  formatQueueHeading,
  formatQueueJson,
} from "./queue-format.ts";

before(() => {
  process.env.TZ = "UTC";
});

const ARRIVAL_MS = Date.UTC(2026, 10, 4, 6, 4, 9, 500);

function listing(change: Partial<QueueListing>): QueueListing {
  return {
    queueId: "3A1F2B4C5D6E00" as QueueId,
    queue: "deferred",
    arrivalMs: ARRIVAL_MS,
    sizeBytes: 1234,
    sender: asAddress("alice@example.org"),
    recipients: [{ address: asAddress("bob@example.net"), reason: "" }],
    ...change,
  };
}

test("formatQueue() says when there is nothing", () => {
  assert.equal(formatQueue([], { longIds: false }), "Mail queue is empty\n");
});

test("formatQueue() prints short ids as Postfix does: marks, shared reasons, an empty line between messages", () => {
  const refused = "connect to mx.example.net[192.0.2.1]:25: Connection refused";
  const text = formatQueue(
    [
      listing({
        queueId: "3A1F2B4C5D" as QueueId,
        queue: "active",
        recipients: [
          { address: asAddress("a@example.net"), reason: refused },
          { address: asAddress("b@example.net"), reason: refused },
          { address: asAddress("c@example.net"), reason: "" },
        ],
      }),
      listing({ queueId: "3A1F2B4C5E" as QueueId, queue: "hold", sender: asAddress(""), sizeBytes: 900 }),
    ],
    { longIds: false },
  );
  const indent = " ".repeat(41);
  assert.equal(
    text,
    [
      "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------",
      "3A1F2B4C5D*    1234 Wed Nov  4 06:04:09  alice@example.org",
      `${" ".repeat(76 - refused.length)}(${refused})`,
      `${indent}a@example.net`,
      `${indent}b@example.net`,
      `${" ".repeat(76 - "reason unavailable".length)}(reason unavailable)`,
      `${indent}c@example.net`,
      "",
      "3A1F2B4C5E!     900 Wed Nov  4 06:04:09  MAILER-DAEMON",
      `${indent}bob@example.net`,
      "",
      "-- 2 Kbytes in 2 Requests.",
      "",
    ].join("\n"),
  );
});

test("formatQueue() has other columns for long ids", () => {
  const text = formatQueue([listing({ queueId: "4fXyZB1cDdz1" as QueueId })], { longIds: true });
  assert.equal(
    text,
    [
      "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------",
      "4fXyZB1cDdz1          1234 Wed Nov  4 06:04:09 alice@example.org",
      `${" ".repeat(47)}bob@example.net`,
      "",
      "-- 1 Kbytes in 1 Request.",
      "",
    ].join("\n"),
  );
  assert.equal(formatQueueHeading({ longIds: true }), `${text.split("\n", 1)[0]}\n`);
});

test("formatQueueJson() prints one object per line with Postfix's spacing and escapes", () => {
  const text = formatQueueJson(
    listing({
      sender: asAddress(""),
      recipients: [
        { address: asAddress("a b@example.net"), reason: 'said "no"\n\\u00ab\x7f\x1f' },
        { address: asAddress("c@example.net"), reason: "" },
      ],
    }),
  );
  assert.equal(
    text,
    '{"queue_name": "deferred", "queue_id": "3A1F2B4C5D6E00", "arrival_time": 1793772249, "message_size": 1234, ' +
      '"forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "\\"a b\\"@example.net", ' +
      '"delay_reason": "said \\"no\\"\\n\\\\u00ab\\u007F\\u001F"}, {"address": "c@example.net"}]}\n',
  );
  assert.doesNotThrow(() => JSON.parse(text));
});

test("formatAsctime() pads the day with a blank", () => {
  assert.equal(formatAsctime(ARRIVAL_MS), "Wed Nov  4 06:04:09 2026");
});

test("postcat records name the queue and make remote text printable", () => {
  const envelope: Envelope = {
    queueId: "3A1F2B4C5D6E00" as QueueId,
    sender: asAddress("alice@example.org"),
    arrivalMs: ARRIVAL_MS,
    smtputf8: false,
    body: "8BITMIME",
    origin: {
      clientName: "unknown",
      clientAddress: "192.0.2.7",
      helo: "evil\u001b[2J",
      protocol: "ESMTP",
      service: "submission",
    },
  };
  const lines = formatPostcatEnvelope(envelope, listing({})).split("\n");
  assert.equal(lines[0], "*** ENVELOPE RECORDS deferred/3A1F2B4C5D6E00 ***");
  assert.equal(lines[1], `message_size: ${[1234, 0, 1, 0, 1234, 0].map((n) => String(n).padStart(15)).join(" ")}`);
  assert.equal(lines[2], "message_arrival_time: Wed Nov  4 06:04:09 2026");
  assert.ok(lines.includes("named_attribute: log_helo_name=evil?[2J"));
  assert.ok(lines.includes("sender: alice@example.org"));
  assert.ok(lines.includes("recipient: bob@example.net"));
  assert.ok(!lines.some((line) => line.includes("sasl_username")));
  assert.equal(lines.at(-2), "*** MESSAGE CONTENTS deferred/3A1F2B4C5D6E00 ***");
  assert.equal(
    formatPostcatEnd(listing({})),
    "*** HEADER EXTRACTED deferred/3A1F2B4C5D6E00 ***\n*** MESSAGE FILE END deferred/3A1F2B4C5D6E00 ***\n",
  );
});
