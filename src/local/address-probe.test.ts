/** local/address-probe.test.ts: the local agents find out whether they would deliver, and write nothing. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { parametersOf } from "../config/parameters.ts";
import { asAddress } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { createDiscardAgent } from "./discard.ts";
import { createErrorAgent } from "./error.ts";
import { createLocalAgent } from "./local.ts";

function probe(address: string, nexthop = ""): DeliveryRequest {
  const none = "none";
  return {
    envelope: {
      queueId: "ABCDEF" as QueueId,
      sender: asAddress("double-bounce@example.org"),
      arrivalMs: 0,
      smtputf8: false,
      body: "7BIT",
      origin: { clientName: none, clientAddress: none, helo: none, protocol: "ESMTP", service: "verify" },
    },
    transport: "local",
    nexthop,
    recipients: [{ id: 1, address: asAddress(address), original: asAddress(address) }],
    content: { sizeBytes: 2, chunks: () => [Buffer.from("\r\n")] },
    activeMs: 0,
    probe: true,
  };
}

async function answer(agent: DeliveryAgent, request: DeliveryRequest): Promise<string> {
  assert.equal(agent.probes, true);
  const [outcome] = await agent.deliver(request, new AbortController().signal);
  return `${outcome?.kind} ${outcome?.dsn} ${outcome?.text}`;
}

test("the local agent: a user exists or not, and no maildir is made", async () => {
  const root = await mkdtemp(join(tmpdir(), "address-probe-"));
  const params = parametersOf({ home_mailbox: "Maildir/" });
  const passwd = () => `alice:x:1:1::${root}/alice:/bin/sh\n`;
  const agent = createLocalAgent({ params, clock: systemClock, hostname: "mail.example.org", pid: 1, passwd });
  try {
    assert.equal(await answer(agent, probe("alice@mail.example.org")), "sent 2.0.0 delivers to maildir");
    assert.equal(await answer(agent, probe("bob@mail.example.org")), 'bounced 5.1.1 unknown user: "bob"');
    assert.deepEqual(await readdir(root), []);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("discard takes everything, error and retry nothing", async () => {
  assert.equal(await answer(createDiscardAgent(), probe("a@b.test", "b.test")), "sent 2.0.0 b.test");
  assert.equal(await answer(createErrorAgent({ soft: false }), probe("a@b.test", "5.2.1 gone")), "bounced 5.2.1 gone");
  assert.equal(
    await answer(createErrorAgent({ soft: true }), probe("a@b.test", "4.2.1 later")),
    "deferred 4.2.1 later",
  );
});
