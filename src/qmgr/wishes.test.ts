/** What senders ask of the queue: FUTURERELEASE, DELIVERBY, MT-PRIORITY, as the scheduler keeps it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { outcome, World } from "./testdata/world.ts";

const sent = async (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");
const later = async (r: DeliveryRequest) => outcome(r, "deferred", "4.2.0", "host said: 450 later");

test("FR-02: scheduler delivers a held message when its time has come, not with the next look at the queue", async () => {
  const world = new World({ deliver: sent });
  await world.send(["a@x.test"], {
    wishes: { futureRelease: { untilMs: world.clock.now() + 60_000, request: "for;60" } },
  });
  world.queue.poke();
  await world.clock.advance(59_999);
  world.queue.flushed();
  assert.equal(world.store.messages.size, 1);
  await world.clock.advance(1);
  assert.equal(world.store.messages.size, 0);
  assert.ok(world.lines.some((line) => line.includes("delay=60,") && line.includes("status=sent")));
});

test("FR-07: scheduler counts backoff and lifetime of a held message from its release", async () => {
  let tries = 0;
  const deliver = (r: DeliveryRequest) => {
    if (r.envelope.sender !== "") tries++;
    return r.envelope.sender === "" ? sent(r) : later(r);
  };
  const day = 86_400_000;
  const world = new World({ deliver, settings: { maximal_queue_lifetime: "1h", delay_warning_time: "10m" } });
  await world.send(["a@x.test"], {
    wishes: { futureRelease: { untilMs: world.clock.now() + day, request: "for;86400" } },
  });
  await world.clock.advance(day);
  assert.equal(tries, 1);
  assert.ok(!world.lines.some((line) => line.includes("delay notification")), "not late yet");
  await world.clock.advance(301_000);
  assert.equal(tries, 2, "minimal_backoff_time");
  await world.clock.advance(3_000_000);
  assert.equal(world.store.messages.size, 1, "not expired yet");
  await world.clock.advance(3_000_000);
  assert.ok(world.lines.some((line) => line.includes("status=expired")));
  assert.equal(world.store.messages.size, 0);
});
