import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { type AnvilRequest, MAX_BATCH } from "./anvil.ts";
import { AnvilServer } from "./server.ts";

const A = {};

function setUp(settings: Readonly<Record<string, string>> = {}) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const sink = ({ severity, text }: { severity: string; text: string }) => lines.push(`${severity}: ${text}`);
  const log = new Log({ sink, now: () => clock.now(), tag: "postfix/anvil", id: 1 });
  const server = new AnvilServer({ params: parametersOf(settings), clock, log });
  /** What was logged since this was asked last; times, which are local, as T. */
  const logged = () => lines.splice(0).map((line) => line.replace(/at [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d$/, "at T"));
  return { clock, server, logged };
}

test("AnvilServer answers a batch in its order", () => {
  const { server } = setUp();
  const batch: AnvilRequest[] = [
    ["connect", "smtp:192.0.2.1"],
    ["connect", "smtp:192.0.2.1"],
    ["mail", "smtp:192.0.2.1"],
    ["peek", "smtp:192.0.2.1"],
    ["newtls", "smtp:192.0.2.1"],
    ["peek", "smtp:192.0.2.1"],
    ["disconnect", "smtp:192.0.2.1"],
    ["connect", "smtp:192.0.2.1"],
  ];
  assert.deepEqual(server.answer(A, batch), [[1, 1], [2, 2], [1], [0], [1], [1], [], [2, 3]]);
});

const bad: readonly { readonly batch: unknown; readonly why: string }[] = [
  { batch: undefined, why: "nothing" },
  { batch: [["connect"]], why: "no client" },
  { batch: [["connect", 1]], why: "a client that is no text" },
  { batch: [["connect", "x".repeat(600)]], why: "an endless client" },
  {
    batch: [
      ["connect", "smtp:a"],
      ["startedAt", "smtp:a"],
    ],
    why: "an unknown operation",
  },
  { batch: Array.from({ length: MAX_BATCH + 1 }, () => ["connect", "smtp:a"]), why: "an endless batch" },
];
for (const { batch, why } of bad) {
  test(`AnvilServer refuses ${why}, and counts nothing of it`, () => {
    const { server } = setUp();
    assert.throws(() => server.answer(A, batch as AnvilRequest[]), RangeError);
    assert.deepEqual(server.answer(A, [["connect", "smtp:a"]]), [[1, 1]]);
  });
}

test("AnvilServer logs the highest values as anvil(8) does, then begins anew", async () => {
  const { clock, server, logged } = setUp();
  const anvil = server.local(A);
  for (let i = 0; i < 3; i++) await anvil.connect("smtp:192.0.2.1");
  await anvil.connect("587:192.0.2.2");
  await anvil.count("mail", "587:192.0.2.2");
  await anvil.count("mail", "587:192.0.2.2");
  await anvil.count("rcpt", "587:192.0.2.2");
  await anvil.count("newtls", "587:192.0.2.2");
  await anvil.count("auth", "587:192.0.2.2");
  await clock.advance(599_999);
  assert.deepEqual(logged(), []);
  await clock.advance(1);
  assert.deepEqual(logged(), [
    "info: statistics: max connection rate 3/60s for (smtp:192.0.2.1) at T",
    "info: statistics: max connection count 3 for (smtp:192.0.2.1) at T",
    "info: statistics: max message rate 2/60s for (587:192.0.2.2) at T",
    "info: statistics: max recipient rate 1/60s for (587:192.0.2.2) at T",
    "info: statistics: max newtls rate 1/60s for (587:192.0.2.2) at T",
    "info: statistics: max auth rate 1/60s for (587:192.0.2.2) at T",
    "info: statistics: max cache size 2 at T",
  ]);
  await clock.advance(600_000);
  assert.deepEqual(logged(), [], "nothing happened since");
  await anvil.connect("smtp:192.0.2.1");
  server.close();
  assert.deepEqual(logged(), [
    "info: statistics: max connection rate 1/60s for (smtp:192.0.2.1) at T",
    "info: statistics: max connection count 4 for (smtp:192.0.2.1) at T",
    "info: statistics: max cache size 2 at T",
  ]);
  assert.equal(clock.timers, 0, "nothing goes on after the end");
});

test("AnvilServer keeps over a reload what it has counted, and follows the new times", async () => {
  const { clock, server, logged } = setUp();
  const anvil = server.local(A);
  await anvil.connect("smtp:192.0.2.1");
  server.configure(parametersOf({ anvil_status_update_time: "10s", anvil_rate_time_unit: "1h" }));
  await clock.advance(10_000);
  assert.equal(logged()[0], "info: statistics: max connection rate 1/3600s for (smtp:192.0.2.1) at T");
  await clock.advance(100_000);
  assert.deepEqual(await anvil.connect("smtp:192.0.2.1"), { count: 2, rate: 2 });
});
