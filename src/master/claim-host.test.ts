/** The claims in the master: asked in batches, remembered on disk, settled by asking the queue. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { BUSY, type ClaimRequest, NEW } from "../duplicates/claim.ts";
import { ManualClock } from "../qmgr/testdata/manual-clock.ts";
import { ClaimClient } from "./claim-client.ts";
import { ClaimHost } from "./claim-host.ts";
import type { Methods } from "./rpc.ts";

const directory = mkdtempSync(join(tmpdir(), "claims-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const KEY = "k".repeat(24);
const ask = (id: string): ClaimRequest => ["ask", KEY, id, 60_000];

let files = 0;
function setup(queued: (ids: readonly string[]) => Promise<ReadonlySet<string>> = async () => new Set()) {
  const warnings: string[] = [];
  const path = join(directory, `duplicates.${files++}`);
  const make = () => new ClaimHost({ path, clock: systemClock, warn: (text) => warnings.push(text), queued });
  return { path, warnings, make, host: make() };
}

/** A worker of the host, which ends when told. */
function worker(host: ClaimHost) {
  let end: (how: string) => void = () => undefined;
  let methods: Methods = new Map();
  host.spawn(new Map(), (given) => {
    methods = given;
    const ended = new Promise<string>((resolve) => {
      end = resolve;
    });
    return { pid: 1, call: async () => undefined, disconnect() {}, kill() {}, ended };
  });
  const claim = methods.get("claims") as unknown as (batch: readonly ClaimRequest[]) => Promise<readonly string[]>;
  return { claim, end };
}

test("a claim is on disk before the worker knows of it, for its owner only", async () => {
  const { host, path, make } = setup(async (ids) => new Set(ids));
  assert.deepEqual(await worker(host).claim([ask("A")]), [NEW]);
  assert.match(readFileSync(path, "latin1"), /^\?k{24} A 60000 \d+\n$/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const next = make(); // the old one was killed
  await next.load();
  assert.deepEqual(await worker(next).claim([ask("B")]), [BUSY]);
  next.settle();
  await next.close();
  const last = make();
  await last.load();
  assert.deepEqual(await worker(last).claim([ask("C")]), ["A"]);
  await last.close();
});

test("the queue is asked until it answers, what a worker was about to queue when it ended", async () => {
  const asked: (readonly string[])[] = [];
  const { host, warnings } = setup(async (ids) => {
    if (asked.push(ids) === 1) throw new Error("being restarted");
    return new Set();
  });
  const first = worker(host);
  await first.claim([ask("A")]);
  first.end("killed");
  const second = new ClaimClient({
    call: (_, batch) => worker(host).claim(batch),
    clock: systemClock,
    warn: (text) => assert.fail(text),
  });
  assert.equal(await second.ask(KEY, "B", 60_000), "new");
  assert.deepEqual(asked, [["A"], ["A"]]);
  assert.deepEqual(warnings, ["duplicate guard: the queue cannot be asked; trying again: being restarted"]);
  await assert.rejects(async () => first.claim([ask("C")]), /ended/);
  await host.close();
});

test("what a worker that is started again has found is kept, although it is delivered before the queue is asked", async () => {
  const { host, path } = setup(() => Promise.reject(new Error("being restarted")));
  const first = worker(host);
  await first.claim([ask("A"), ["ask", "l".repeat(24), "B", 60_000]]);
  assert.deepEqual(host.orphans, []);
  first.end("killed");
  await until(() => host.orphans.length === 2);
  host.found(["A", "nothing of ours"]);
  await host.close();
  assert.deepEqual(host.orphans, ["B"]);
  assert.match(readFileSync(path, "latin1"), /^\+k{24} A /m);
});

test("an answer that comes too late leaves no claim behind that keeps the client off", async () => {
  const { host } = setup();
  const { claim } = worker(host);
  const clock = new ManualClock();
  const warnings: string[] = [];
  let lost = true;
  const client = new ClaimClient({
    call: async (_, batch) => {
      const answers = await claim(batch);
      return lost ? new Promise(() => undefined) : answers;
    },
    clock,
    warn: (text) => warnings.push(text),
  });
  const first = client.ask(KEY, "A", 60_000);
  await until(() => clock.timers > 0);
  await clock.advance(10_000);
  assert.equal(await first, "unknown");
  assert.deepEqual(warnings, ["duplicate guard: the master does not answer: Connection timed out"]);
  lost = false;
  assert.equal(await client.ask(KEY, "B", 60_000), "new", "the client has come again");
  await host.close();
});

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !isSo(); await new Promise((resolve) => setImmediate(resolve)))
    if (performance.now() > end) throw new Error("It never came");
}

const BAD: readonly unknown[] = [
  "x",
  ["ask"],
  [["ask", "short", "A", 1]],
  [["ask", KEY, "A"]],
  [["ask", KEY, "A", 0]],
  [["ask", KEY, "A\n+", 1]],
  [["kept", KEY, ""]],
  [["other", KEY, "A"]],
  Array.from({ length: 501 }, () => ["read", KEY, "A"]),
];

for (const batch of BAD) {
  test(`a batch that makes no sense is refused: ${JSON.stringify(batch).slice(0, 60)}`, async () => {
    const { host } = setup();
    await assert.rejects(host.answer({}, batch as never), RangeError);
    await host.close();
  });
}

test("a disk that refuses is told once, and claims go on", async () => {
  const warnings: string[] = [];
  const path = join(directory, "none", "duplicates");
  const host = new ClaimHost({
    ...{ path, clock: systemClock, warn: (text: string) => warnings.push(text) },
    queued: async () => new Set(),
  });
  await host.load();
  assert.deepEqual(await host.answer({}, [ask("A"), ["kept", KEY, "A"], ask("B")]), [NEW, "", "A"]);
  await host.answer({}, [["read", KEY, "A"]]);
  await host.close();
  assert.equal(warnings.length, 1);
});

test("the journal is never written through a link", async () => {
  const { host, path, warnings } = setup();
  const victim = join(directory, "victim");
  writeFileSync(victim, "precious");
  symlinkSync(victim, path);
  assert.deepEqual(await host.answer({}, [ask("A")]), [NEW]);
  await host.close();
  assert.equal(readFileSync(victim, "latin1"), "precious");
  assert.match(warnings.join(), /ELOOP/);
});

test("the journal is replaced when it has grown, not through a link either", async () => {
  const { host, path, make } = setup();
  const victim = join(directory, "victim2");
  writeFileSync(victim, "precious");
  symlinkSync(victim, `${path}.new`);
  await host.answer({}, [ask("A"), ["kept", KEY, "A"]]);
  for (let i = 0; i < 30_000; i += 200) {
    const batch = Array.from({ length: 200 }, (_, k): ClaimRequest[] => {
      const key = String(i + k).padStart(24, "n");
      return [
        ["ask", key, "Q1", 60_000],
        ["gone", key, "Q1"],
      ]; // two lines each
    });
    await host.answer({}, batch.flat());
  }
  await host.close();
  assert.equal(readFileSync(victim, "latin1"), "precious");
  assert.ok(statSync(path).size < 1024 * 1024 + 100_000, String(statSync(path).size));
  const next = make();
  await next.load();
  assert.deepEqual(await next.answer({}, [ask("B")]), ["A"]);
  await next.close();
});

test("ClaimClient: a master that fails is no answer", async () => {
  const warnings: string[] = [];
  const client = new ClaimClient({
    call: async () => Promise.reject(new Error("gone")),
    clock: systemClock,
    warn: (text) => warnings.push(text),
  });
  assert.equal(await client.ask(KEY, "A", 1000), "unknown");
  assert.deepEqual(warnings, ["duplicate guard: the master does not answer: gone"]);
});
