/** Fairness within one destination: single messages pass a mailing, nobody fills the way past it, and the mailing goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const sent = async (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");

/** Each delivery takes 100 ms, one at a time. Tells in which order messages of which sender went. */
function slowWorld(settings: Readonly<Record<string, string>> = {}) {
  const order: string[] = [];
  const world: World = new World({
    deliver: async (r) => {
      await world.clock.sleep(100);
      order.push(`${r.envelope.sender} ${r.recipients.length}`);
      return sent(r);
    },
    settings: { smtp_destination_concurrency_limit: "1", smtp_destination_recipient_limit: "10", ...settings },
  });
  return { world, order };
}

const many = (count: number, domain = "x.test") => Array.from({ length: count }, (_, i) => `u${i}@${domain}`);

test("a single message takes turns with a mailing that came before it", async () => {
  const { world, order } = slowWorld();
  await world.send(many(100), { sender: "list@example.org" });
  await world.send(["a@x.test"], { sender: "anne@example.org" });
  await world.clock.advance(250);
  assert.deepEqual(order, ["list@example.org 10", "anne@example.org 1"]);
  await world.clock.advance(2000);
  assert.equal(order.length, 11, "and the mailing goes on");
});

test("also when most of the mailing waits in the store", async () => {
  const { world, order } = slowWorld();
  await world.send(many(5000), { sender: "list@example.org", quiet: true });
  world.queue.start();
  await settled();
  assert.equal(world.queue.status().lanes[0]?.queuedRecipients, 990, "no more of it than before");
  await world.send(["a@x.test"], { sender: "anne@example.org" });
  await world.clock.advance(250);
  assert.equal(order[1], "anne@example.org 1");
  await world.clock.advance(60_000);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("whoever sends many single messages waits behind himself, and everybody else passes", async () => {
  const { world, order } = slowWorld({ qmgr_message_active_limit: "400" }); // the lane's share: 100
  for (let i = 0; i < 300; i++) await world.send(["a@x.test"], { sender: "news@example.org" });
  await world.send(["b@x.test"], { sender: "anne@example.org" });
  await world.send(["c@x.test"], { sender: "ben@example.org" });
  await world.clock.advance(100 * 60);
  const passed = (sender: string) => order.indexOf(`${sender} 1`);
  assert.ok(passed("anne@example.org") >= 0 && passed("ben@example.org") >= 0, `${order.length}`);
  await world.clock.advance(400_000);
  assert.equal(order.length, 302);
  assert.deepEqual(world.store.mistakes, []);
});

test("what waits in order is not starved by ever more that passes", async () => {
  const { world, order } = slowWorld();
  await world.send(many(400), { sender: "list@example.org" });
  for (let i = 0; i < 60; i++) {
    await world.send(["a@x.test"], { sender: `user${i}@example.org` });
    await world.clock.advance(50);
  }
  const [list, singles] = [
    order.filter((o) => o.startsWith("list")).length,
    order.filter((o) => o.startsWith("user")).length,
  ];
  assert.ok(Math.abs(list - singles) <= 2, `${list} of the mailing, ${singles} of the others`);
});

test("a sender is who logged in, whatever the envelope says; more than one delivery does not pass", async () => {
  const { world, order } = slowWorld();
  await world.send(many(300), { sender: "list@example.org" });
  for (let i = 0; i < 30; i++) await world.send(["a@x.test"], { sender: `bounce-${i}@example.org`, login: "news" });
  await world.send(many(11), { sender: "big@example.org" });
  await world.clock.advance(100 * 50);
  assert.equal(order.filter((o) => o.startsWith("bounce")).length, 20, "30 were sent; 10 wait behind the mailing");
  assert.ok(!order.some((o) => o.startsWith("big")));
});

test("a destination that dies takes what was about to pass with it", async () => {
  let tries = 0;
  const world = new World({
    deliver: async (r) => {
      tries++;
      await world.clock.sleep(100);
      return outcome(r, "deferred", "4.4.1", "connect to mx.test: Connection refused");
    },
    settings: { smtp_destination_concurrency_limit: "1", smtp_destination_recipient_limit: "10" },
  });
  await world.send(many(100));
  await world.send(["a@x.test"], { sender: "anne@example.org" });
  await world.clock.advance(150);
  assert.equal(tries, 1);
  assert.equal(world.store.claimed, 0);
  assert.ok(world.store.waiting.every(({ reason }) => reason.endsWith("connect to mx.test: Connection refused")));
  assert.equal(world.queue.status().activeRecipients, 0);
});
