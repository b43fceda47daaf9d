import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, asAddress } from "../mail/address.ts";
import type { DeliveryRequest } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import { createRequeueAgent } from "./requeue.ts";

const ALIASES: ReadonlyMap<string, readonly string[]> = new Map([
  ["team@example.org", ["a@example.org", "b@example.org"]],
  ["both@example.org", ["B@example.org", "c@example.org"]],
]);

const agent = createRequeueAgent({
  nextQueueId: () => "NEW" as QueueId,
  mapRecipient: async (address: Address) => {
    if (address.startsWith("broken@")) throw new MappingError("table", "gone");
    return (ALIASES.get(address) ?? [address]).map(asAddress);
  },
});

const ENVELOPE: Envelope = {
  queueId: "OLD" as QueueId,
  sender: asAddress("s@example.org"),
  arrivalMs: 1,
  smtputf8: false,
  body: "7BIT",
  origin: { clientName: "c", clientAddress: "192.0.2.1", helo: "c", protocol: "ESMTP", service: "smtp" },
  filter: "scan:[127.0.0.1]:10024",
  dsn: { envid: "e1" },
};
const CONTENT = Buffer.from("Message-ID: <m@example.org>\r\n\r\nbody\r\n");

function requestFor(...recipients: readonly string[]): DeliveryRequest {
  return {
    ...{ envelope: ENVELOPE, transport: "(requeue)", nexthop: "", activeMs: 2 },
    recipients: recipients.map((text, id) => ({
      ...{ id, address: asAddress(text), original: asAddress(`was-${text}`) },
      dsn: { notify: ["NEVER"] },
    })),
    content: { sizeBytes: CONTENT.length, chunks: () => [CONTENT] },
  };
}

const deliver = (...recipients: readonly string[]) =>
  agent.deliver(requestFor(...recipients), new AbortController().signal);

test("one message takes the place of the old, its recipients mapped again, each once", async () => {
  const [first, second, ...more] = await deliver("team@example.org", "both@example.org");
  assert.equal(more.length, 0);
  assert.deepEqual(
    [first?.kind, first?.text, second?.kind, second?.forwards],
    ["sent", "requeued as NEW", "sent", undefined],
  );
  const [forward, ...others] = first?.forwards ?? [];
  assert.equal(others.length, 0);
  assert.deepEqual(
    forward?.recipients.map(({ address, original }) => `${original} ${address}`),
    ["was-team@example.org a@example.org", "was-team@example.org b@example.org", "was-both@example.org c@example.org"],
  );
});

test("arrival, filter, and what was asked of reports stay; the queue id is new", async () => {
  const [{ forwards } = { forwards: undefined }] = await deliver("x@example.org");
  assert.deepEqual(forwards?.[0]?.envelope, { ...ENVELOPE, queueId: "NEW" });
  assert.deepEqual(forwards?.[0]?.recipients[0]?.dsn, { notify: ["NEVER"] });
  assert.equal(forwards?.[0]?.messageId, "<m@example.org>");
  assert.equal(forwards?.[0]?.head.length, 0);
});

test("where the mappings do not answer nothing is replaced: all wait", async () => {
  const outcomes = await deliver("x@example.org", "broken@example.org");
  assert.deepEqual(
    outcomes.map(({ kind, dsn, forwards }) => [kind, dsn, forwards]),
    [
      ["deferred", "4.3.0", undefined],
      ["deferred", "4.3.0", undefined],
    ],
  );
});
