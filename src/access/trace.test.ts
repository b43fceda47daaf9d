/** access/trace.test.ts: what a trace says of an evaluation, its bounds, and that it is kept only for whom it is wanted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import type { AccessPolicy, Lookup } from "./access.ts";
import { compileAccess } from "./compile.ts";
import { NotAsked } from "./not-asked.ts";
import { STRANGER } from "./testdata/stranger.ts";
import { formatLookup, Trace, TracePool } from "./trace.ts";

const RULE = { text: "reject", at: "main.cf:3", parameter: "smtpd_recipient_restrictions" };
const PLACE = { stage: "recipient", depth: 1 } as const;

for (const c of [
  { told: "REJECT", want: 'texthash:/x "a@b" -> "REJECT"', why: "a value is quoted" },
  { told: undefined, want: 'texthash:/x "a@b" -> not found', why: "no value" },
  { told: new Error("no route"), want: 'texthash:/x "a@b" -> error: no route', why: "a failure" },
  { told: new NotAsked(), want: 'texthash:/x "a@b" -> not asked', why: "what explain leaves out" },
  { told: "a\r\nb", want: 'texthash:/x "a@b" -> "a??b"', why: "no line end gets through" },
]) {
  test(`Trace shows ${c.why}`, () => {
    const trace = new Trace();
    trace.lookup("texthash:/x", "a@b", c.told);
    trace.step(PLACE, RULE, "reject");
    assert.deepEqual(trace.steps()[0]?.lookups.map(formatLookup), [c.want]);
  });
}

test("Trace gives each lookup to the step that ends next, and starts afresh when it is used again", () => {
  const pool = new TracePool();
  const trace = pool.take();
  trace.lookup("mynetworks", "192.0.2.1", undefined);
  trace.step(PLACE, RULE, "dunno");
  trace.step({ stage: "recipient", depth: 2 }, RULE, "dunno");
  trace.lookup("dns MX", "b.test", "10 mx.b.test");
  trace.step(PLACE, RULE, "reject");
  const before = trace.steps();
  assert.deepEqual(
    before.map(({ depth, lookups }) => [depth, lookups.map(formatLookup)]),
    [
      [0, ["mynetworks 192.0.2.1 -> not found"]],
      [1, []],
      [0, ["dns MX b.test -> 10 mx.b.test"]],
    ],
  );
  pool.give(trace);
  const again = pool.take();
  assert.equal(again, trace);
  again.step(PLACE, RULE, "permit");
  assert.deepEqual(again.steps(), [{ stage: "recipient", rule: RULE, result: "permit", depth: 0, lookups: [] }]);
  assert.equal(before.length, 3, "what was taken from it stays");
});

test("Trace is bounded in steps, lookups and characters, and says how many it leaves out", () => {
  const trace = new Trace();
  for (let i = 0; i < 2000; i++) trace.lookup("texthash:/x", "k".repeat(5000), "v".repeat(5000));
  for (let i = 0; i < 2000; i++) trace.step(PLACE, RULE, "dunno");
  const steps = trace.steps();
  assert.equal(steps.length, 500);
  const lookups = steps.flatMap((step): readonly Lookup[] => step.lookups);
  const chars = lookups.reduce((sum, { source, key, value }) => sum + source.length + key.length + value.length, 0);
  assert.ok(chars < 40_000, `${chars} characters`);
  const shown = lookups.length - 1;
  assert.equal(lookups.at(-1)?.source, `${2000 - shown + 1500} more are not shown`);
});

/** Lists over a table that has a value for x@far.test alone. */
function policyWith(value: string): AccessPolicy {
  const settings = {
    smtpd_relay_restrictions: "permit_mynetworks, check_recipient_access texthash:/x, permit",
    smtpd_reject_unlisted_recipient: "no",
  };
  return compileAccess(parametersOf(settings), {
    tables: { open: (ref) => ({ ref, partialKeys: true, get: (key) => (key === "x@far.test" ? value : undefined) }) },
    resolver: {
      rewrite: (address) => address,
      classOf: () => "default",
      route: () => assert.fail("restrictions never route"),
      unlistedIn: () => undefined,
      hasSenderRouting: () => false,
    },
    log: new Log({ sink: () => {}, now: () => 0, tag: "t", id: 1 }),
    mynetworks: { find: () => ({ pattern: "!198.51.100.0/24", verdict: false }) },
  }).policy;
}

for (const c of [
  { mode: undefined, value: "REJECT", steps: 0, why: "nobody wants one" },
  { mode: "refusals", value: "REJECT", steps: 2, why: "a refusal" },
  { mode: "refusals", value: "OK", steps: 0, why: "only refusals are wanted" },
  { mode: "always", value: "OK", steps: 2, why: "all are wanted" },
] as const) {
  test(`a verdict carries ${c.steps} steps: ${c.why}`, async () => {
    const { trace } = await policyWith(c.value).newSession(c.mode).atRcpt(STRANGER);
    assert.equal(trace.length, c.steps);
  });
}

test("a trace tells which item of mynetworks decided", async () => {
  const { trace } = await policyWith("OK").newSession("always").atRcpt(STRANGER);
  assert.deepEqual(trace[0]?.lookups.map(formatLookup), ["mynetworks 198.51.100.7 -> in !198.51.100.0/24"]);
});
