/** What `postern queue list`, `show` and --json tell of one message: why it waits, and why it does not go somewhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { QueueListing } from "../queue/store.ts";
import { formatQueueEntry, formatQueueJson } from "./queue-format.ts";
import { formatListingJson } from "./queue-json.ts";
import { formatLine, formatMessage, LINE_HEADING } from "./queue-lines.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);
const HOUR_MS = 3_600_000;
const queueId = "4BE546B05396600" as QueueId;
const REASON = "connect to mx.example.net[192.0.2.1]:25: Connection refused";

function listing(change: Partial<QueueListing> = {}): QueueListing {
  return {
    ...{ queueId, queue: "deferred", arrivalMs: NOW_MS - 2 * HOUR_MS, sizeBytes: 1234 },
    sender: asAddress("alice@example.org"),
    recipients: [{ address: asAddress("bob@example.net"), reason: REASON }],
    ...change,
  };
}

const rows: readonly { why: string; entry: Partial<QueueListing>; line: string; json: string; shown?: string }[] = [
  { why: "no wish", entry: {}, line: "", json: "" },
  {
    why: "held until a time that is to come",
    entry: { heldUntilMs: NOW_MS + HOUR_MS },
    line: "held until 2026-11-24T13:00:00Z",
    json: '"held_until": 1795525200',
  },
  {
    why: "a time that has passed holds nothing, and scripts see it all the same",
    entry: { heldUntilMs: NOW_MS - 1 },
    line: "",
    json: '"held_until": 1795521599',
  },
  {
    why: "deliver by, or return",
    entry: { deliverBy: { untilMs: NOW_MS + HOUR_MS, mode: "R", trace: false } },
    line: "deliver by 2026-11-24T13:00:00Z, else returned",
    json: '"deliver_by": 1795525200, "deliver_by_mode": "R"',
  },
  {
    why: "deliver by, or tell the sender",
    entry: { deliverBy: { untilMs: NOW_MS + HOUR_MS, mode: "N", trace: true } },
    line: "deliver by 2026-11-24T13:00:00Z, else its sender is told",
    json: '"deliver_by": 1795525200, "deliver_by_mode": "N"',
  },
  { why: "a priority below normal", entry: { priority: -3 }, line: "priority -3", json: '"priority": -3' },
  { why: "the priority 0 was said, too", entry: { priority: 0 }, line: "priority 0", json: '"priority": 0' },
  { why: "REQUIRETLS", entry: { requireTls: true }, line: "needs REQUIRETLS", json: '"require_tls": true' },
  {
    why: "TLS-Required: No",
    entry: { tlsOptional: true },
    line: "TLS optional (TLS-Required: No)",
    json: '"tls_optional": true',
  },
  {
    why: "a content filter gets it",
    entry: { filter: "smtp:[127.0.0.1]:10024" },
    line: "filter smtp:[127.0.0.1]:10024",
    json: '"content_filter": "smtp:[127.0.0.1]:10024"',
  },
  {
    why: "more than a line holds",
    entry: {
      heldUntilMs: NOW_MS + HOUR_MS,
      deliverBy: { untilMs: NOW_MS + HOUR_MS, mode: "N", trace: false },
      ...{ priority: 4, requireTls: true },
    },
    line: `held until 2026-11-24T13:00:00Z
                 deliver by 2026-11-24T13:00:00Z, else its sender is told; priority 4
                 needs REQUIRETLS`,
    json: '"held_until": 1795525200, "deliver_by": 1795525200, "deliver_by_mode": "N", "priority": 4, "require_tls": true',
  },
  {
    why: "several",
    entry: { heldUntilMs: NOW_MS + HOUR_MS, priority: 4, requireTls: true },
    line: "held until 2026-11-24T13:00:00Z; priority 4; needs REQUIRETLS",
    json: '"held_until": 1795525200, "priority": 4, "require_tls": true',
  },
];
for (const { why, entry, line, json } of rows) {
  test(`list and --json: ${why}`, () => {
    const text = formatLine(listing(entry), NOW_MS);
    const indent = " ".repeat(17);
    const wishes = line === "" ? "" : `${indent}${line}\n`;
    assert.equal(text.slice(text.indexOf("\n") + 1), `${wishes}${indent}${REASON}\n`);
    const parsed = JSON.parse(formatListingJson(listing(entry)));
    const { queue_name, queue_id, arrival_time, message_size, forced_expire, sender, recipients, ...own } = parsed;
    assert.deepEqual(own, JSON.parse(`{${json}}`));
  });

  test(`postqueue -j and -p stay Postfix's: ${why}`, () => {
    assert.equal(formatQueueJson(listing(entry)), formatQueueJson(listing()));
    const format = { longIds: false };
    assert.equal(formatQueueEntry(listing(entry), format), formatQueueEntry(listing(), format));
  });
}

const tries = [
  { why: "in minutes", nextTryMs: NOW_MS + 720_000, line: "12m", json: 1795522320, shown: "next try in 12m" },
  { why: "due", nextTryMs: NOW_MS - 1, line: "now", json: 1795521599, shown: "next try now" },
  { why: "nobody waits", nextTryMs: undefined, line: "-", json: undefined, shown: undefined },
];
for (const { why, nextTryMs, line, json, shown } of tries) {
  test(`the next try, in a column below its heading: ${why}`, () => {
    const head = formatLine(listing({ nextTryMs }), NOW_MS).split("\n", 1)[0] ?? "";
    const end = LINE_HEADING.indexOf(" NEXT") + " NEXT".length;
    assert.equal(head.slice(0, end).split(" ").at(-1), line);
    assert.equal(JSON.parse(formatListingJson(listing({ nextTryMs }))).next_try, json);
  });

  test(`show tells where each recipient goes and when: ${why}`, () => {
    const address = asAddress("bob@example.net");
    const lane = "smtp:[mx.example.net]:587";
    const entry = listing({ recipients: [{ address, reason: REASON, lane, nextTryMs }] });
    const lines = shownLines(entry);
    const route = [`by ${lane}`, ...(shown ? [shown] : [])].join(", ");
    assert.deepEqual(lines.slice(lines.indexOf("to         bob@example.net") + 1, -1), [
      `           ${route}`,
      `           ${REASON}`,
      "",
      "Subject: x",
    ]);
    assert.deepEqual(JSON.parse(formatListingJson(entry)).routes, [lane]);
  });
}

test("show names each wish", () => {
  const lines = shownLines(
    listing({
      ...{ heldUntilMs: NOW_MS + HOUR_MS, priority: 3, requireTls: true, tlsOptional: true, filter: "smtp:scan" },
      deliverBy: { untilMs: NOW_MS + 2 * HOUR_MS, mode: "R", trace: false },
    }),
  );
  const from = lines.findIndex((line) => line.startsWith("held "));
  assert.deepEqual(lines.slice(from, from + 6), [
    "held       until 2026-11-24T13:00:00Z",
    "deliver by 2026-11-24T14:00:00Z, else returned",
    "priority   3",
    "needs      REQUIRETLS",
    "TLS        optional (TLS-Required: No)",
    "filter     smtp:scan",
  ]);
});

function shownLines(entry: QueueListing): readonly string[] {
  const envelope: Envelope = {
    ...{ queueId, sender: entry.sender, arrivalMs: entry.arrivalMs, smtputf8: false, body: "7BIT" },
    origin: { clientName: "c", clientAddress: "192.0.2.7", helo: undefined, protocol: "ESMTP", service: "submission" },
  };
  return formatMessage({ envelope, listing: entry, content: "Subject: x\r\n\r\nbody" }, NOW_MS).split("\n");
}
