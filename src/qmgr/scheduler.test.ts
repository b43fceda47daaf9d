import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { QueueError } from "../queue/store.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";

const sent = async (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");
const refused = async (r: DeliveryRequest) => outcome(r, "bounced", "5.1.1", "host said: 550 no");
const later = async (r: DeliveryRequest) => outcome(r, "deferred", "4.2.0", "host said: 450 later");
const siteDown = async (r: DeliveryRequest) => {
  await new Promise((resolve) => setImmediate(resolve)); // so that mail gathers behind it
  return outcome(r, "deferred", "4.4.1", "connect to mx.test: Connection refused");
};
const bySender = (r: DeliveryRequest) => (r.envelope.sender === "" ? sent(r) : refused(r));

test("scheduler logs a delivery as Postfix does", async () => {
  const world = new World({ deliver: sent });
  await world.send(["you@dest.test"]);
  await settled();
  assert.deepEqual(world.lines, [
    "postfix/qmgr: Q1: from=<me@example.org>, size=18, nrcpt=1 (queue active)",
    "postfix/smtp: Q1: to=<you@dest.test>, relay=mx.test[192.0.2.1]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
    "postfix/qmgr: Q1: removed",
  ]);
  assert.equal(world.store.messages.size, 0);
});

test("scheduler delivers with the built-in limits where a transport's cannot be read, until a reload mends them", async () => {
  let most = 0;
  let running = 0;
  const deliver = async (r: DeliveryRequest) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return sent(r);
  };
  const world = new World({ deliver, settings: { smtp_destination_concurrency_limit: "many" } });
  // Its client has been told yes, or will be: arrived() never throws.
  await world.send(["you@dest.test"]);
  await settled();
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(
    world.lines.filter((line) => line.includes("limits")),
    [
      "postfix/qmgr: bad numerical configuration: smtp_destination_concurrency_limit = many: transport smtp has the built-in limits",
    ],
  );
  world.settings = { smtp_destination_concurrency_limit: "1" };
  world.queue.reconfigure();
  most = 0;
  for (let i = 0; i < 3; i++) await world.send(["you@dest.test"]);
  for (let i = 0; i < 3; i++) await settled();
  assert.deepEqual([most, world.store.messages.size], [1, 0]);
});

test("scheduler keeps trying mail whose recipients no resolver can bear: neither lost from sight nor in the way of others", async () => {
  let failure: boolean | Error = false;
  const world = new World({ deliver: sent, resolverFails: () => failure });
  await world.send(["a@x.test"], { quiet: true });
  await world.send(["b@x.test"], { quiet: true });
  failure = new RangeError("a bug");
  world.queue.start();
  await settled();
  assert.equal(world.store.claimed, 0);
  assert.deepEqual(
    world.store.waiting.map(({ reason }) => reason),
    ["address resolver failure", "address resolver failure"],
  );
  failure = false;
  await world.clock.advance(400_000);
  assert.equal(world.store.messages.size, 0);
});

test("scheduler recipients of one message in one lane are one delivery, up to the recipient limit", async () => {
  const sizes: string[] = [];
  const deliver = (r: DeliveryRequest) => {
    sizes.push(`${r.nexthop} ${r.recipients.length}`);
    return sent(r);
  };
  const world = new World({ deliver, settings: { smtp_destination_recipient_limit: "2" } });
  await world.send(["a@x.test", "b@y.test", "c@x.test", "d@x.test"]);
  await settled();
  assert.deepEqual(sizes, ["x.test 2", "x.test 1", "y.test 1"]);
});

test("scheduler sends one bounce for all failures of a message, in the commit that removes them", async () => {
  const world = new World({ deliver: bySender });
  await world.send(["a@x.test", "b@y.test"]);
  await settled();
  const [first] = world.store.settlements;
  assert.deepEqual({ done: first?.done, appended: first?.append.length }, { done: [1, 2], appended: 1 });
  assert.match(Buffer.from(first?.append[0]?.header ?? []).toString(), /^Received: by [\s\S]*\r\n\r\n$/);
  const bounce = first?.append[0]?.body;
  assert.match(
    bounce?.kind === "inline" ? Buffer.from(bounce.bytes).toString() : "",
    /a@x\.test>: host said[\s\S]*b@y\.test>: host said/,
  );
  assert.ok(world.lines.includes("postfix/bounce: Q1: sender non-delivery notification: Q2"));
  assert.ok(world.lines.some((l) => l.includes("Q2: to=<me@example.org>")));
  assert.equal(world.store.messages.size, 0);
});

test("scheduler drops a failed bounce by rule, and says so", async () => {
  const world = new World({ deliver: refused });
  await world.send(["a@x.test"], { sender: "" });
  await settled();
  assert.ok(world.lines.some((l) => l.includes("null sender dropped")));
  assert.equal(world.store.messages.size, 0);
});

test("scheduler keeps what failed when no bounce can be made", async () => {
  const world = new World({ deliver: refused, bounceFails: () => true });
  await world.send(["a@x.test"]);
  await settled();
  assert.deepEqual(
    world.store.waiting.map((r) => r.reason),
    ["host said: 550 no"],
  );
});

test("scheduler soft_bounce defers failures", async () => {
  const world = new World({ deliver: refused, settings: { soft_bounce: "yes" } });
  await world.send(["a@x.test"]);
  await settled();
  assert.ok(world.lines.some((l) => l.includes("dsn=4.1.1, status=SOFTBOUNCE (host said: 550 no)")));
  assert.equal(world.store.waiting.length, 1);
});

test("scheduler soft_bounce and the active limit follow a reload", async () => {
  const world = new World({ deliver: refused, settings: { soft_bounce: "yes", qmgr_message_active_limit: "1" } });
  await world.send(["a@x.test"]);
  await settled();
  world.settings = { qmgr_message_active_limit: "5000" };
  world.queue.reconfigure();
  await world.send(["b@x.test"]);
  await settled();
  const status = world.lines.flatMap((line) => /to=<(.)@x.test>.*status=(\w+)/.exec(line)?.slice(1).join(" ") ?? []);
  assert.deepEqual(status, ["a SOFTBOUNCE", "b bounced"]);
});

test("scheduler tries again after as long as the message is old, then returns it", async () => {
  let tries = 0;
  const deliver = (r: DeliveryRequest) => {
    if (r.envelope.sender === "") return sent(r);
    tries++;
    return later(r);
  };
  const world = new World({ deliver, settings: { maximal_queue_lifetime: "1h" } });
  await world.send(["a@x.test"]);
  await world.clock.advance(299_000);
  assert.equal(tries, 1);
  await world.clock.advance(2_000);
  assert.equal(tries, 2, "minimal_backoff_time");
  await world.clock.advance(298_000);
  assert.equal(tries, 2);
  await world.clock.advance(4_400_000);
  assert.ok(world.lines.includes("postfix/qmgr: Q1: from=<me@example.org>, status=expired, returned to sender"));
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("scheduler repeats a settlement until the store takes it, without a second delivery", async () => {
  let tries = 0;
  const deliver = (r: DeliveryRequest) => {
    tries++;
    return sent(r);
  };
  const world = new World({ deliver });
  world.store.failures = 4;
  await world.send(["a@x.test"]);
  await world.clock.advance(60_000);
  assert.equal(tries, 1);
  assert.equal(world.store.messages.size, 0);
});

test("scheduler leaves a dead destination alone, tells waiting mail, and tries again", async () => {
  let tries = 0;
  let down = true;
  const deliver = (r: DeliveryRequest) => {
    tries++;
    return down ? siteDown(r) : sent(r);
  };
  const world = new World({ deliver });
  for (let i = 0; i < 30; i++) await world.send([`u${i}@x.test`]);
  await settled();
  assert.ok(tries <= 9, `${tries} tries: one cohort and what was in flight`);
  const text = "delivery temporarily suspended: connect to mx.test: Connection refused";
  assert.ok(world.lines.some((l) => l.startsWith("postfix/error: ") && l.includes(`relay=none`) && l.includes(text)));
  assert.equal(world.queue.status().lanes[0]?.reason, "connect to mx.test: Connection refused");
  down = false;
  await world.clock.advance(400_000);
  assert.equal(world.store.messages.size, 0);
  assert.equal(world.queue.status().lanes.length, 0, "the lane is forgotten");
});

test("scheduler poke() gives a dead destination another chance", async () => {
  let down = true;
  const world = new World({ deliver: (r) => (down ? siteDown(r) : sent(r)) });
  for (let i = 0; i < 9; i++) await world.send([`u${i}@x.test`]);
  await settled();
  down = false;
  const before = world.queue.status().lanes[0]?.reason;
  world.queue.poke();
  assert.ok(before !== undefined && world.queue.status().lanes.every((l) => l.reason === undefined));
});

test("scheduler defers what cannot be resolved, and resolves it again", async () => {
  let fails = true;
  const world = new World({ deliver: sent, resolverFails: () => fails });
  await world.send(["a@x.test"]);
  await settled();
  assert.ok(world.lines.some((l) => l.includes("dsn=4.3.0, status=deferred (address resolver failure)")));
  fails = false;
  await world.clock.advance(400_000);
  assert.equal(world.store.messages.size, 0);
});

test("scheduler defers for a transport that does not exist, and for an agent that throws or forgets", async () => {
  const rows = [
    {
      deliver: () => Promise.reject(new Error("bug")),
      text: "unknown mail transport error",
      log: /: transport smtp failed: Error: bug \| at /,
    },
    { deliver: async () => [], text: "unknown mail transport error", log: /: no outcome for recipient / },
    {
      deliver: () => Promise.reject(new QueueError('Cannot read content "c/1": EIO', {})),
      text: "queue file read error",
      log: /: cannot read the message: Cannot read content "c\/1": EIO$/,
    },
  ];
  for (const { deliver, text, log } of rows) {
    const world = new World({ deliver });
    await world.send(["a@x.test"]);
    await settled();
    assert.deepEqual(
      world.store.waiting.map((r) => r.reason),
      [text],
    );
    assert.ok(
      world.lines.some((line) => log.test(line)),
      world.lines.join("\n"),
    );
  }
});

test("scheduler reads what was in the queue before, and drains a backlog larger than the active set", async () => {
  const world = new World({ deliver: sent, settings: { qmgr_message_active_limit: "10" } });
  for (let i = 0; i < 500; i++) await world.send([`u${i}@x${i % 7}.test`], { quiet: i % 2 === 0 });
  world.queue.start();
  await world.clock.advance(1000);
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("scheduler stop() gives back what was not started", async () => {
  const open: (() => void)[] = [];
  const deliver = (r: DeliveryRequest) =>
    new Promise<Awaited<ReturnType<typeof sent>>>((resolve) => open.push(() => void sent(r).then(resolve)));
  const world = new World({ deliver, settings: { initial_destination_concurrency: "2" } });
  for (let i = 0; i < 6; i++) await world.send([`u${i}@x.test`]);
  const stopped = world.queue.stop();
  await settled();
  for (const end of open) end();
  await stopped;
  assert.equal(open.length, 2);
  assert.equal(world.store.waiting.length, 4);
  assert.equal(world.store.claimed, 0);
});

test("scheduler a rate delay spaces deliveries out", async () => {
  const at: number[] = [];
  const world = new World({
    deliver: (r) => {
      at.push(world.clock.now());
      return sent(r);
    },
    settings: { smtp_destination_rate_delay: "10s" },
  });
  for (let i = 0; i < 3; i++) await world.send([`u${i}@x.test`]);
  await world.clock.advance(60_000);
  assert.deepEqual(
    at.map((ms) => ms - (at[0] ?? 0)),
    [0, 10_000, 20_000],
  );
});

test("scheduler never exceeds a limit, never loses a recipient, settles each exactly once", async () => {
  const step = fc.record({
    recipients: fc.array(fc.tuple(fc.nat(30), fc.nat(4)), { minLength: 1, maxLength: 6 }),
    quiet: fc.boolean(),
    advanceMs: fc.constantFrom(0, 0, 0, 1000, 70_000, 400_000),
    kinds: fc.array(fc.constantFrom(sent, sent, later, siteDown, refused), { minLength: 1, maxLength: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(3), async (steps, slots) => {
      const kinds = steps.flatMap((s) => s.kinds);
      const flying = new Map<string, number>();
      let all = 0;
      let worst = "";
      let calls = 0;
      let calm = false;
      const deliver = async (r: DeliveryRequest) => {
        const lane = (flying.get(r.nexthop) ?? 0) + 1;
        flying.set(r.nexthop, lane);
        all++;
        if (lane > 3 || (slots > 0 && all > slots)) worst = `${lane} in ${r.nexthop}, ${all} in all, ${slots} slots`;
        await new Promise((resolve) => setImmediate(resolve));
        flying.set(r.nexthop, (flying.get(r.nexthop) ?? 0) - 1);
        all--;
        const kind = calm || r.envelope.sender === "" ? sent : (kinds[calls++ % kinds.length] ?? sent);
        return kind(r);
      };
      const world = new World({
        deliver,
        maxproc: () => slots,
        settings: {
          smtp_destination_concurrency_limit: "3",
          smtp_destination_recipient_limit: "2",
          qmgr_message_active_limit: "6",
        },
      });
      world.queue.start();
      let expected = 0;
      for (const { recipients, quiet, advanceMs } of steps) {
        expected += recipients.length;
        await world.send(
          recipients.map(([user, site]) => `u${user}@x${site}.test`),
          { quiet },
        );
        await world.clock.advance(advanceMs);
      }
      calm = true;
      await world.clock.advance(20_000_000);
      assert.equal(worst, "");
      assert.deepEqual(world.store.waiting, []);
      assert.deepEqual(world.store.mistakes, []);
      const bounces = world.store.settlements.flatMap((s) => s.append.flatMap((m) => m.recipients)).length;
      assert.equal(world.store.done.size, expected + bounces);
      assert.ok([...world.store.done.values()].every((times) => times === 1));
      assert.equal(world.queue.status().activeMessages, 0);
      assert.equal(world.queue.status().activeRecipients, 0);
    }),
    { numRuns: 25 },
  );
});

for (const { filter, settings, want, why } of [
  { filter: "smtp:[127.0.0.1]:10025", settings: {}, want: ["smtp [127.0.0.1]:10025 3"], why: "its next hop" },
  {
    filter: "smtp:",
    settings: {},
    want: ["smtp x.test 2", "smtp y.test 1"],
    why: "the recipient's domain without one",
  },
  { filter: "smtp:", settings: { default_filter_nexthop: "[f]" }, want: ["smtp [f] 3"], why: "default_filter_nexthop" },
  { filter: " smtp : [f] ", settings: {}, want: ["smtp [f] 3"], why: "blanks do not count" },
]) {
  for (const quiet of [false, true]) {
    test(`scheduler sends a filtered message to the filter, ${why}${quiet ? ", from the queue" : ""}`, async () => {
      const seen: string[] = [];
      const deliver = (r: DeliveryRequest) => {
        seen.push(`${r.transport} ${r.nexthop} ${r.recipients.length}`);
        return sent(r);
      };
      const world = new World({ deliver, settings });
      await world.send(["a@x.test", "b@y.test", "c@x.test"], { filter, quiet });
      if (quiet) world.queue.start();
      await settled();
      await world.clock.advance(1000);
      assert.deepEqual(seen, want);
      assert.equal(world.store.messages.size, 0);
    });
  }
}
