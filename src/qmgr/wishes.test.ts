/** What senders ask of the queue: FUTURERELEASE, DELIVERBY, MT-PRIORITY, as the scheduler keeps it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DeliveryRequest } from "../mail/delivery.ts";
import type { NewMessage } from "../queue/store.ts";
import { settled } from "./testdata/manual-clock.ts";
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

const untilOf = (world: World, seconds: number) => world.clock.now() + seconds * 1000;
const bodyOf = (message: NewMessage | undefined) =>
  message?.body.kind === "inline" ? Buffer.from(message.body.bytes).toString() : "";
const reportsOf = (world: World) => world.store.settlements.flatMap(({ append }) => append).map(bodyOf);

test("BY-03: mode R: when its time has passed the message is returned with 5.4.7, and not tried again", async () => {
  const tries: number[] = [];
  const world = new World({
    deliver: (r) => {
      if (r.envelope.sender === "") return sent(r);
      tries.push(world.clock.now());
      return later(r);
    },
  });
  const deliverBy = { untilMs: untilOf(world, 400), mode: "R", trace: false } as const;
  await world.send(["a@x.test"], { wishes: { deliverBy } });
  await world.clock.advance(399_000);
  assert.deepEqual([tries.length, world.store.messages.size], [2, 1]);
  await world.clock.advance(2_000);
  assert.equal(tries.length, 2);
  assert.ok(world.lines.some((line) => line.includes("dsn=5.4.7, status=bounced (delivery time expired)")));
  assert.match(reportsOf(world)[0] ?? "", /Deliver-By-Date: [\s\S]*Action: failed\r\nStatus: 5\.4\.7\r\n/);
  await world.clock.advance(1000);
  assert.equal(world.store.messages.size, 0);
});

test("BY-03: mode R: a try that ends after the time returns the message with the last reason", async () => {
  const world = new World({
    deliver: async (r) => {
      if (r.envelope.sender === "") return sent(r);
      world.clock.jump(0);
      await world.clock.sleep(10_000);
      return later(r);
    },
  });
  await world.send(["a@x.test"], { wishes: { deliverBy: { untilMs: untilOf(world, 5), mode: "R", trace: false } } });
  await world.clock.advance(11_000);
  assert.match(reportsOf(world)[0] ?? "", /delivery time expired: host said: 450 later[\s\S]*Status: 5\.4\.7\r\n/);
});

test("BY-03: mode R: mail for a dead destination is returned in time", async () => {
  const down = async (r: DeliveryRequest) => {
    return r.envelope.sender === ""
      ? sent(r)
      : outcome(r, "deferred", "4.4.1", "connect to mx.test: Connection refused");
  };
  const world = new World({ deliver: down, settings: { transport_retry_time: "1h" } });
  const deliverBy = { untilMs: untilOf(world, 100), mode: "R", trace: false } as const;
  for (let i = 0; i < 9; i++) await world.send([`u${i}@x.test`], { wishes: { deliverBy } });
  await world.clock.advance(4_000_000);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("BY-03: mode N: when its time has passed its sender is told once, with 4.4.7, and it is tried further", async () => {
  let up = false;
  const world = new World({
    deliver: (r) => (up || r.envelope.sender === "" ? sent(r) : later(r)),
    settings: { delay_warning_time: "1s" },
  });
  const deliverBy = { untilMs: untilOf(world, 400), mode: "N", trace: false } as const;
  await world.send(["a@x.test"], { wishes: { deliverBy } });
  await world.clock.advance(399_000);
  assert.deepEqual(reportsOf(world), [], "delay_warning_time is not what was asked for");
  await world.clock.advance(2_000);
  assert.match(reportsOf(world)[0] ?? "", /Action: delayed\r\nStatus: 4\.4\.7\r\n/);
  await world.clock.advance(4_000_000);
  assert.equal(reportsOf(world).length, 1);
  up = true;
  await world.clock.advance(4_000_000);
  assert.equal(world.store.messages.size, 0);
});

test("BY-03: mode N: late from the beginning is told at the first failure; without DELAY in NOTIFY nobody is told", async () => {
  for (const [notify, told] of [
    [undefined, 1],
    [["NEVER"], 0],
  ] as const) {
    const world = new World({ deliver: (r) => (r.envelope.sender === "" ? sent(r) : later(r)) });
    const deliverBy = { untilMs: untilOf(world, -30), mode: "N", trace: false } as const;
    await world.send(["a@x.test"], { wishes: { deliverBy }, ...(notify && { dsn: { notify } }) });
    await world.clock.advance(1000);
    assert.equal(reportsOf(world).length, told);
  }
});

const relays = [
  { notify: undefined, want: 1, why: "BY-05: traced" },
  { notify: ["FAILURE", "DELAY"], want: 1, why: "BY-04: also who wants no report of success" },
  { notify: ["NEVER"], want: 0, why: "BY-04: but not who wants none at all" },
] as const;
for (const { notify, want, why } of relays) {
  test(`a relay that must be told is reported: ${why}`, async () => {
    const deliver = async (r: DeliveryRequest) =>
      (await sent(r)).map((one) => ({ ...one, dsnAction: "passedOn" as const, reportRelay: r.envelope.sender !== "" }));
    const world = new World({ deliver });
    await world.send(["a@x.test"], notify ? { dsn: { notify } } : {});
    await world.clock.advance(1000);
    assert.equal(reportsOf(world).length, want);
    if (want > 0) assert.match(reportsOf(world)[0] ?? "", /Action: relayed\r\nStatus: 2\.0\.0\r\n/);
  });
}

async function orderOf(priorities: readonly (number | undefined)[], settings: Record<string, string> = {}) {
  const order: string[] = [];
  const waiting: (() => void)[] = [];
  const world = new World({
    deliver: async (r) => {
      order.push(String(r.envelope.priority ?? "-"));
      await new Promise<void>((resolve) => waiting.push(resolve));
      return sent(r);
    },
    settings: { smtp_destination_concurrency_limit: "1", smtp_initial_destination_concurrency: "1", ...settings },
  });
  for (const priority of priorities)
    await world.send(["a@x.test"], priority === undefined ? {} : { wishes: { priority } });
  for (let done = 0; done < priorities.length; done++) {
    await settled();
    waiting[done]?.();
  }
  await settled();
  return order.slice(1).join(" ");
}

test("PRI-05: what waits in a lane goes in the order of its priority", async () => {
  assert.equal(await orderOf([0, -9, 3, 0, 9, 3, -1]), "9 3 3 0 -1 -9");
});

test("PRI-05: the least urgent has a turn too", async () => {
  const order = (await orderOf([0, -9, ...Array.from({ length: 30 }, () => 5)])).split(" ");
  assert.ok(order.indexOf("-9") < 15, order.join(" "));
});

test("PRI-05: urgent mail passes a backlog that waits in the queue", async () => {
  const order: string[] = [];
  const world = new World({
    deliver: async (r) => {
      order.push(String(r.envelope.priority ?? "-"));
      await world.clock.sleep(1000);
      return sent(r);
    },
    settings: {
      ...{ smtp_destination_concurrency_limit: "1", smtp_initial_destination_concurrency: "1" },
      ...{ qmgr_message_active_limit: "40" },
    },
  });
  for (let i = 0; i < 60; i++) await world.send([`u${i}@x.test`]);
  await world.send(["urgent@x.test"], { wishes: { priority: 5 } });
  await world.clock.advance(5000);
  assert.ok(order.slice(0, 4).includes("5"), order.join(" "));
  await world.clock.advance(100_000);
  assert.deepEqual([world.store.messages.size, world.store.mistakes], [0, []]);
});

test("FR-02, BY-03, PRI-05: whatever senders wish, nobody is lost, sent twice, or sent before its time", async () => {
  const wish = fc.record({
    priority: fc.option(fc.integer({ min: -9, max: 9 }), { nil: undefined }),
    holdS: fc.option(fc.integer({ min: 1, max: 4000 }), { nil: undefined }),
    byS: fc.option(fc.integer({ min: -100, max: 4000 }), { nil: undefined }),
    returned: fc.boolean(),
    site: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(wish, { minLength: 1, maxLength: 12 }),
      fc.array(fc.boolean(), { maxLength: 9 }),
      async (wishes, luck) => {
        const mistakes: string[] = [];
        let calls = 0;
        const world = new World({
          settings: {
            ...{ smtp_destination_concurrency_limit: "2", qmgr_message_active_limit: "6" },
            ...{ queue_run_delay: "1h", minimal_backoff_time: "1000s", maximal_queue_lifetime: "6h" },
          },
          deliver: async (r) => {
            const { futureRelease, deliverBy, sender, queueId } = r.envelope;
            const nowMs = world.clock.now();
            if (sender !== "" && futureRelease && nowMs < futureRelease.untilMs) mistakes.push(`${queueId} too early`);
            if (deliverBy?.mode === "R" && nowMs >= deliverBy.untilMs) mistakes.push(`${queueId} too late`);
            await new Promise((resolve) => setImmediate(resolve));
            return sender === "" || luck[calls++ % 9] !== false ? sent(r) : later(r);
          },
        });
        world.queue.start();
        for (const { priority, holdS, byS, returned, site } of wishes) {
          const futureRelease = holdS && { untilMs: untilOf(world, holdS), request: `for;${holdS}` };
          const mode = returned ? ("R" as const) : ("N" as const);
          const deliverBy = byS !== undefined && { untilMs: untilOf(world, byS), mode, trace: false };
          const asked = { priority, ...(futureRelease && { futureRelease }), ...(deliverBy && { deliverBy }) };
          await world.send([`a@x${site}.test`], { wishes: asked });
        }
        await world.clock.advance(86_400_000);
        assert.deepEqual([mistakes, world.store.mistakes, world.store.messages.size], [[], [], 0]);
        assert.ok([...world.store.done.values()].every((times) => times === 1));
      },
    ),
    { numRuns: 25 },
  );
});
