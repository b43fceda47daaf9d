/** decisions/decisions.test.ts: what is kept of decisions: lines that survive odd bytes and crashes, two files that stay
 *  bounded, batches that cost nobody anything. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { type Clock, systemClock } from "../base/clock.ts";
import { formatDecision, parseDecision, type RecordedDecision } from "./decision.ts";
import { DecisionRecorder } from "./recorder.ts";
import { DecisionStore, readDecisions } from "./store.ts";

function decision(at: number, recipient = "b@example.net"): RecordedDecision {
  return {
    at,
    service: "submission",
    stage: "rcpt",
    client: { address: "192.0.2.1", name: "unknown", reverseName: "unknown", nameStatus: "missing" },
    sender: "a@example.org",
    recipient,
    result: "accepted",
    code: 250,
  };
}

describe("parseDecision()", () => {
  const CASES = [
    { line: formatDecision(decision(1)).slice(0, -2), why: "cut off by a crash" },
    { line: "", why: "an empty line" },
    { line: "null", why: "no object" },
    { line: '{"at":1}', why: "parts are missing" },
    { line: formatDecision(decision(1)).replace("accepted", "eaten"), why: "no known result" },
    { line: formatDecision(decision(1)).replace('"a@example.org"', "7"), why: "a number for a sender" },
  ];
  for (const { line, why } of CASES) test(`passes over ${why}`, () => assert.equal(parseDecision(line), undefined));

  test("property: any text of a client is one line and comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(), (recipient, at) => {
        const line = formatDecision(decision(at, recipient));
        assert.equal(line.indexOf("\n"), line.length - 1);
        assert.deepEqual(parseDecision(line), decision(at, recipient));
      }),
    );
  });
});

describe("DecisionStore", () => {
  let directory: string;
  let warnings: string[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "postern-decisions-"));
    warnings = [];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const open = (limit: number) => new DecisionStore(directory, limit, (text) => warnings.push(text));
  const lines = (...times: readonly number[]) => times.map((at) => formatDecision(decision(at))).join("");
  const times = async (limit: number) => (await readDecisions(directory, limit)).map(({ at }) => at);
  const stored = () =>
    readdirSync(directory).flatMap((name) => readFileSync(join(directory, name), "utf8").split("\n").slice(0, -1))
      .length;

  test("property: the last ones are always there, and never more than twice the limit, over restarts too", async () => {
    const step = fc.record({ count: fc.integer({ min: 1, max: 9 }), restart: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 12 }), async (limit, steps) => {
        rmSync(directory, { recursive: true, force: true });
        let store = open(limit);
        const all: number[] = [];
        for (const { count, restart } of steps) {
          const batch = Array.from({ length: count }, (_, i) => all.length + i + 1);
          all.push(...batch);
          store.append(lines(...batch));
          await store.idle();
          assert.ok(stored() <= 2 * limit);
          if (restart) store = open(limit);
        }
        if (all.length > 0) assert.deepEqual(await times(limit), all.slice(-limit));
        assert.deepEqual(warnings, []);
      }),
      { numRuns: 25 },
    );
  });

  test("files are for their owner only", async () => {
    const store = open(1);
    store.append(lines(1, 2));
    await store.idle();
    assert.deepEqual(
      readdirSync(directory).map((name) => statSync(join(directory, name)).mode & 0o777),
      [0o600, 0o600],
    );
  });

  for (const name of ["decisions.0", "decisions.1"]) {
    test(`nothing is written or emptied through a link in the place of ${name}`, async () => {
      const victim = join(directory, "victim");
      writeFileSync(victim, "mine\n");
      symlinkSync(victim, join(directory, name));
      const store = open(1);
      for (const at of [1, 2, 3, 4]) store.append(lines(at));
      await store.idle();
      assert.equal(readFileSync(victim, "utf8"), "mine\n");
      assert.match(warnings.join(), /^decisions are not recorded: ELOOP/);
    });
  }

  test("a line that a crash cut off costs only itself", async () => {
    writeFileSync(join(directory, "decisions.0"), `${lines(1)}${lines(2).slice(0, 20)}`);
    const store = open(5);
    store.append(lines(3));
    await store.idle();
    assert.deepEqual(await times(5), [1, 3]);
  });

  test("0 keeps nothing and removes what was kept", async () => {
    const store = open(5);
    store.append(lines(1));
    await store.idle();
    store.configure(0);
    store.append(lines(2));
    await store.idle();
    assert.deepEqual(readdirSync(directory), []);
    appendFileSync(join(directory, "decisions.1"), lines(3));
    await open(0).idle();
    assert.deepEqual(readdirSync(directory), []);
  });

  test("a disk that refuses is told once, and written again when it can be", async () => {
    const path = join(directory, "file");
    writeFileSync(path, "");
    chmodSync(path, 0o644);
    const store = new DecisionStore(join(path, "below"), 5, (text) => warnings.push(text));
    store.append(lines(1));
    store.append(lines(2));
    await store.idle();
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^decisions are not recorded: ENOTDIR/);
    rmSync(path);
    store.append(lines(3));
    await store.idle();
    assert.equal((await readDecisions(join(path, "below"), 5)).length, 1);
  });

  test("no store is no decisions", async () => assert.deepEqual(await readDecisions(join(directory, "none"), 5), []));
});

describe("DecisionRecorder", () => {
  /** A clock whose one timer the test fires. */
  function manual(): { clock: Clock; fire: () => void } {
    let run: (() => void) | undefined;
    const after: Clock["after"] = (_, then) => {
      run = then;
      return { cancel: () => undefined };
    };
    return { clock: { ...systemClock, after }, fire: () => run?.() };
  }

  function recorder(limit: number, send: (lines: string) => Promise<unknown>) {
    const { clock, fire } = manual();
    const warnings: string[] = [];
    const made = new DecisionRecorder({ limit, clock, send, warn: (text) => warnings.push(text) });
    return { made, fire, warnings };
  }

  test("sends nothing while decisions come, and all at once when the time has come", async () => {
    const sent: string[] = [];
    const { made, fire } = recorder(10, async (text) => sent.push(text));
    for (const at of [1, 2, 3]) made.take(decision(at));
    assert.equal(sent.length, 0);
    fire();
    await made.flush();
    assert.deepEqual(
      sent.map((text) => text.split("\n").length - 1),
      [3],
    );
  });

  test("one batch is under way at a time; flush() waits for all", async () => {
    const waiting: (() => void)[] = [];
    const sent: string[] = [];
    const { made } = recorder(10, (text) => {
      sent.push(text);
      return new Promise<void>((resolve) => waiting.push(resolve));
    });
    made.take(decision(1));
    const first = made.flush();
    made.take(decision(2));
    const second = made.flush();
    assert.equal(sent.length, 1);
    waiting[0]?.();
    await first;
    await new Promise(setImmediate);
    assert.equal(sent.length, 2);
    waiting[1]?.();
    await second;
  });

  test("what comes faster than it is taken is dropped and counted", async () => {
    const { made, warnings } = recorder(10, async () => undefined);
    const long = "x".repeat(1000);
    for (let at = 0; at < 10_000; at++) made.take(decision(at, long));
    await made.flush();
    assert.match(warnings[0] ?? "", /^\d+ decisions were not recorded: they came too fast$/);
  });

  test("with 0 nothing is wanted, and what waited is dropped", async () => {
    const sent: string[] = [];
    const { made } = recorder(10, async (text) => sent.push(text));
    made.take(decision(1));
    made.configure(0);
    made.take(decision(2));
    await made.flush();
    assert.deepEqual([made.wanted, sent], [false, []]);
  });

  test("a master that is gone is told, not thrown", async () => {
    const { made, warnings } = recorder(10, () => Promise.reject(new Error("The master has ended")));
    made.take(decision(1));
    await made.flush();
    assert.deepEqual(warnings, ["decisions were not recorded: The master has ended"]);
  });
});
