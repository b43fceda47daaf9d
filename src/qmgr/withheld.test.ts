/** Destinations that get no mail because somebody decided so: which, what their mail is told, and what lets it go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryRequest } from "../mail/delivery.ts";
import { settled } from "./testdata/manual-clock.ts";
import { outcome, World } from "./testdata/world.ts";
import { Withheld } from "./withheld.ts";

const lane = (key: string) => ({ key, transport: { name: key.split(":", 1)[0] ?? "" } });

const decisions: readonly {
  defer?: readonly string[];
  paused?: readonly string[];
  flushedMs?: number;
  key: string;
  dueMs?: number;
  want: string | undefined;
  why: string;
}[] = [
  { key: "smtp:x.test", want: undefined, why: "nothing is withheld" },
  { defer: ["smtp"], key: "smtp:x.test", want: "deferred transport", why: "defer_transports names it" },
  { defer: ["smtp"], key: "relay:x.test", want: undefined, why: "another transport" },
  { defer: ["SMTP"], key: "smtp:x.test", want: undefined, why: "names are compared as they are, as Postfix does" },
  { defer: ["smtp"], flushedMs: 5, key: "smtp:x", dueMs: 5, want: undefined, why: "flushed" },
  { defer: ["smtp"], flushedMs: 5, key: "smtp:x", dueMs: 6, want: "deferred transport", why: "due after the flush" },
  { defer: ["smtp"], flushedMs: 5, key: "smtp:x", want: "deferred transport", why: "new mail was not flushed" },
  { paused: ["smtp"], key: "smtp:x", want: "delivery paused by the operator: smtp", why: "the whole transport" },
  { paused: ["smtp:x"], key: "smtp:X", want: "delivery paused by the operator: smtp:x", why: "case of a next hop" },
  { paused: ["smtp:x"], key: "smtp:xx", want: undefined, why: "another next hop" },
  { paused: ["smtp:"], key: "smtp:x", want: undefined, why: "no next hop is a next hop of its own" },
  {
    paused: ["smtp:x"],
    flushedMs: 5,
    key: "smtp:x",
    dueMs: 1,
    want: "delivery paused by the operator: smtp:x",
    why: "a flush does not resume",
  },
];
for (const { defer = [], paused = [], flushedMs, key, dueMs, want, why } of decisions) {
  test(`Withheld.reasonFor() ${why}`, () => {
    const withheld = new Withheld(defer);
    withheld.paused = paused;
    if (flushedMs !== undefined) withheld.flushed(flushedMs);
    const reason = withheld.reasonFor(lane(key), dueMs);
    assert.deepEqual([reason?.text, reason?.dsn], [want, want && "4.3.2"]);
    if (defer.length + paused.length === 0) assert.ok(withheld.none);
  });
}

const sent = async (r: DeliveryRequest) => outcome(r, "sent", "2.0.0", "250 2.0.0 Ok");
const DEFERRED = / relay=none, delay=0, delays=0\/0\/0\/0, dsn=4\.3\.2, status=deferred \(deferred transport\)$/;

test("scheduler defers what goes by a transport in defer_transports, with Postfix's line, and flush lets it go once", async () => {
  const world = new World({ deliver: sent, settings: { defer_transports: "relay, smtp" } });
  await world.send(["a@x.test"]);
  await settled();
  assert.match(world.lines.find((line) => line.startsWith("postfix/error: Q1: to=<a@x.test>,")) ?? "", DEFERRED);
  await world.clock.advance(400_000);
  assert.equal(
    world.lines.filter((line) => DEFERRED.test(line.replace(/delay=[\d.]+, delays=[^,]*/, "delay=0, delays=0/0/0/0")))
      .length,
    2,
    "tried again, deferred again",
  );
  for (const { rows } of world.store.messages.values()) {
    for (const row of rows.values()) row.recipient = { ...row.recipient, dueMs: world.clock.now() };
  }
  world.queue.poke();
  await settled();
  assert.equal(world.store.messages.size, 1, "a release or requeue alone does not lift it");
  for (const { rows } of world.store.messages.values()) {
    for (const row of rows.values()) row.recipient = { ...row.recipient, dueMs: world.clock.now() };
  }
  world.queue.flushed();
  await settled();
  assert.equal(world.store.messages.size, 0);
  await world.send(["b@x.test"]);
  await settled();
  assert.equal(world.store.messages.size, 1, "later mail is deferred again");
});

test("scheduler pause() tells mail that waits in memory, lets what is under way end, and reopens", async () => {
  const open: (() => void)[] = [];
  const deliver = (r: DeliveryRequest) =>
    new Promise<Awaited<ReturnType<typeof sent>>>((resolve) => open.push(() => void sent(r).then(resolve)));
  const world = new World({ deliver, settings: { initial_destination_concurrency: "1" } });
  for (const to of ["a@x.test", "b@x.test", "c@y.test"]) await world.send([to]);
  world.queue.pause(["smtp:x.test"]);
  await settled();
  assert.deepEqual(
    world.store.waiting.map(({ address, reason }) => [address, reason]),
    [
      ["a@x.test", ""],
      ["b@x.test", "delivery paused by the operator: smtp:x.test"],
      ["c@y.test", ""],
    ],
  );
  assert.equal(
    world.queue.status().lanes.find((l) => l.lane === "smtp:x.test")?.reason,
    "delivery paused by the operator: smtp:x.test",
  );
  for (const end of open) end();
  await settled();
  assert.deepEqual(
    world.store.waiting.map(({ address }) => address),
    ["b@x.test"],
  );
  world.queue.pause([]);
  await world.clock.advance(400_000);
  assert.equal(open.length, 3);
  open[2]?.();
  await settled();
  assert.equal(world.store.messages.size, 0);
  assert.deepEqual(world.store.mistakes, []);
});

test("scheduler a paused destination with a backlog larger than the memory does not hide other mail", async () => {
  const world = new World({ deliver: sent, settings: { qmgr_message_active_limit: "10" } });
  for (let i = 0; i < 3000; i++) await world.send([`u${i}@x.test`], { quiet: true });
  await world.send(["last@y.test"], { quiet: true });
  world.queue.pause(["smtp:x.test"]);
  world.queue.start();
  await world.clock.advance(2000);
  assert.ok(world.lines.some((line) => line.includes("to=<last@y.test>") && line.includes("status=sent")));
  assert.equal(world.store.messages.size, 3000);
  assert.equal(world.store.claimed, 0);
});

test("scheduler reconfigure() takes a new defer_transports to mail in memory", async () => {
  const deliver = () => new Promise<never>(() => undefined);
  const world = new World({ deliver, settings: { initial_destination_concurrency: "1" } });
  for (const to of ["a@x.test", "b@x.test"]) await world.send([to]);
  world.settings = { ...world.settings, defer_transports: "smtp" };
  world.queue.reconfigure();
  await settled();
  assert.deepEqual(
    world.store.waiting.map(({ reason }) => reason),
    ["", "deferred transport"],
  );
});
