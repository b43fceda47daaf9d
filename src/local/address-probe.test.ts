/** local/address-probe.test.ts: the local agents find out whether they would deliver, and write nothing. */
import assert from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { asAddress } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRequest } from "../mail/delivery.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { createDiscardAgent } from "./discard.ts";
import { createErrorAgent } from "./error.ts";
import { Site } from "./testdata/site.ts";

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
  const site = new Site({ settings: { alias_maps: "inline:{ {list = a@x.test} }" } });
  try {
    assert.equal(await answer(site.agent, probe("alice@here.test")), "sent 2.0.0 delivers to maildir");
    assert.equal(await answer(site.agent, probe("bob@here.test")), 'bounced 5.1.1 unknown user: "bob"');
    assert.equal(await answer(site.agent, probe("list@here.test")), "sent 2.0.0 aliased to a@x.test");
    await writeFile(join(site.home("alice"), ".forward"), "b@x.test\n");
    assert.equal(await answer(site.agent, probe("alice@here.test")), "sent 2.0.0 forwards to b@x.test");
    assert.deepEqual(await readdir(site.home("alice")), [".forward"]);
  } finally {
    site.remove();
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
