import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { Counters } from "./counters.ts";

const UNIT_MS = 60_000;
const KEY = "smtp:192.0.2.1";
const [A, B] = [{ name: "a" }, { name: "b" }];

function setUp(maxClients?: number) {
  const clock = new ManualClock();
  const counters = new Counters({ clock, rateUnitMs: UNIT_MS, ...(maxClients === undefined ? {} : { maxClients }) });
  return { clock, counters };
}

test("Counters count connections of all holders, and give each back once", () => {
  const { counters } = setUp();
  assert.deepEqual(counters.connect(A, KEY), { count: 1, rate: 1 });
  assert.deepEqual(counters.connect(B, KEY), { count: 2, rate: 2 });
  assert.deepEqual(counters.connect(B, "smtp:192.0.2.2"), { count: 1, rate: 1 }, "another client");
  assert.deepEqual(counters.connect(B, "587:192.0.2.1"), { count: 1, rate: 1 }, "another service");
  counters.disconnect(A, KEY);
  counters.disconnect(A, KEY);
  assert.deepEqual(counters.connect(A, KEY), { count: 2, rate: 3 }, "what A did not have was not taken from B");
});

test("Counters drop what a dead holder had, and keep the rates", () => {
  const { counters } = setUp();
  for (let i = 0; i < 3; i++) counters.connect(A, KEY);
  counters.connect(B, KEY);
  counters.drop(A);
  assert.deepEqual(counters.connect(B, KEY), { count: 2, rate: 5 });
  counters.drop(A);
  counters.disconnect(A, KEY);
  assert.equal(counters.connect(B, KEY).count, 3);
});

const windows = [
  { afterMs: 0, want: [2, 2], why: "the same moment" },
  { afterMs: UNIT_MS, want: [2, 2], why: "the last moment of the window" },
  { afterMs: UNIT_MS + 1, want: [1, 1], why: "the next window" },
  { afterMs: 100 * UNIT_MS, want: [1, 1], why: "long after" },
];
for (const c of windows) {
  test(`Counters count in one window: ${c.why}`, async () => {
    const { clock, counters } = setUp();
    counters.connect(A, KEY);
    counters.count("mail", KEY);
    await clock.advance(c.afterMs);
    const { count, rate } = counters.connect(A, KEY);
    assert.equal(count, 2, "connections have no window");
    assert.deepEqual([rate, counters.count("mail", KEY)], c.want);
  });
}

test("Counters: the window begins with the first event, not with each", async () => {
  const { clock, counters } = setUp();
  assert.equal(counters.count("rcpt", KEY), 1);
  await clock.advance(40_000);
  assert.equal(counters.count("rcpt", KEY), 2);
  await clock.advance(40_000);
  assert.equal(counters.count("rcpt", KEY), 1);
});

test("Counters peek counts nothing, and sees nothing of an old window", async () => {
  const { clock, counters } = setUp();
  assert.equal(counters.peek("newtls", KEY), 0);
  assert.equal(counters.size, 0, "asking makes no entry");
  counters.connect(A, KEY);
  counters.count("newtls", KEY);
  counters.count("auth", KEY);
  assert.deepEqual([counters.peek("newtls", KEY), counters.peek("newtls", KEY), counters.peek("auth", KEY)], [1, 1, 1]);
  await clock.advance(UNIT_MS + 1);
  assert.equal(counters.peek("newtls", KEY), 0);
});

test("Counters forget idle clients after the time unit, with one timer for all", async () => {
  const { clock, counters } = setUp();
  counters.connect(A, "smtp:busy");
  for (let i = 0; i < 100; i++) counters.count("mail", `smtp:${i}`);
  await clock.advance(30_000);
  for (let i = 100; i < 200; i++) counters.count("mail", `smtp:${i}`);
  assert.deepEqual([counters.size, clock.timers], [201, 1]);
  await clock.advance(30_001);
  assert.equal(counters.size, 101, "the first hundred");
  await clock.advance(30_001);
  assert.deepEqual([counters.size, clock.timers], [1, 0], "who has a connection stays");
  counters.disconnect(A, "smtp:busy");
  await clock.advance(UNIT_MS + 1);
  assert.deepEqual([counters.size, clock.timers], [0, 0]);
});

test("Counters stay bounded in a flood of addresses; connections are never forgotten", () => {
  const { counters } = setUp(10);
  for (let i = 0; i < 5; i++) counters.connect(A, `smtp:busy${i}`);
  for (let i = 0; i < 1000; i++) {
    counters.connect(B, `smtp:flood${i}`);
    counters.disconnect(B, `smtp:flood${i}`);
    assert.ok(counters.size <= 10);
  }
  assert.equal(counters.takeForgotten(), 995);
  assert.equal(counters.takeForgotten(), 0);
  for (let i = 0; i < 5; i++) assert.equal(counters.connect(A, `smtp:busy${i}`).count, 2);
  assert.equal(counters.connect(B, "smtp:flood999").rate, 2, "the last of the flood is remembered");
});

test("Counters follow a change of the time unit", async () => {
  const { clock, counters } = setUp();
  counters.count("mail", KEY);
  counters.rateUnitMs = 10_000;
  await clock.advance(10_001);
  assert.equal(counters.count("mail", KEY), 1);
});

type Step =
  | readonly ["connect" | "disconnect" | "drop", holder: number, client: number]
  | readonly ["wait", ms: number];

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom("connect", "connect", "disconnect", "drop"), fc.nat(2), fc.nat(2)),
    fc.tuple(fc.constant("wait"), fc.nat(UNIT_MS)),
  ) as fc.Arbitrary<Step>,
  { maxLength: 60 },
);

test("Counters agree with a plain count, whatever happens, and end empty", () =>
  fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const { clock, counters } = setUp(4);
      const holders = [{}, {}, {}];
      const open: { holder: number; client: number }[] = [];
      for (const [what, x, y] of all) {
        if (what === "wait") await clock.advance(x);
        else if (what === "drop") {
          counters.drop(holders[x] ?? {});
          for (let i = open.length - 1; i >= 0; i--) if (open[i]?.holder === x) open.splice(i, 1);
        } else if (what === "connect") {
          open.push({ holder: x, client: y ?? 0 });
          const want = open.filter(({ client }) => client === y).length;
          assert.equal(counters.connect(holders[x] ?? {}, `smtp:${y}`).count, want);
        } else {
          const i = open.findIndex(({ holder, client }) => holder === x && client === y);
          if (i >= 0) open.splice(i, 1);
          counters.disconnect(holders[x] ?? {}, `smtp:${y}`);
        }
      }
      for (const holder of holders) counters.drop(holder);
      await clock.advance(2 * UNIT_MS);
      assert.equal(counters.size, 0);
    }),
    { numRuns: 60 },
  ));
