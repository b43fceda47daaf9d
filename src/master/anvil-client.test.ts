import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnvilServer } from "../anvil/server.ts";
import { parametersOf } from "../config/parameters.ts";
import { Log } from "../log/log.ts";
import { ManualClock, settled } from "../qmgr/testdata/manual-clock.ts";
import { AnvilClient } from "./anvil-client.ts";
import { spawnCounted, workerAnvil } from "./anvil-host.ts";
import { type Methods, Rpc } from "./rpc.ts";
import type { WorkerLink } from "./worker-process.ts";

const SILENT = new Log({ sink: () => undefined, now: () => 0, tag: "postfix/anvil", id: 1 });

function makeServer(clock: ManualClock): AnvilServer {
  return new AnvilServer({ params: parametersOf({}), clock, log: SILENT });
}

/** A worker behind a channel that moves when the test says so; messages may still arrive after its death. */
class Worker {
  readonly client: AnvilClient;
  readonly link: WorkerLink;
  readonly warnings: string[] = [];
  readonly calls: number[] = [];
  readonly #toMaster: unknown[] = [];
  readonly #toWorker: unknown[] = [];
  #masterSide: Rpc | undefined;
  readonly #workerSide: Rpc;
  #end: (how: string) => void = () => undefined;

  constructor(server: AnvilServer, clock: ManualClock) {
    this.#workerSide = new Rpc((message) => this.#toMaster.push(message), new Map());
    this.link = spawnCounted(server, new Map(), (methods) => this.#spawn(methods));
    this.client = new AnvilClient({
      call: (method, batch) => {
        this.calls.push(batch.length);
        return this.#workerSide.call(method, batch);
      },
      clock,
      warn: (text) => this.warnings.push(text),
    });
  }

  toMaster(): void {
    const message = this.#toMaster.shift();
    if (message) this.#masterSide?.receive(message);
  }

  toWorker(): void {
    const message = this.#toWorker.shift();
    if (message) this.#workerSide.receive(message);
  }

  /** Moves everything there is. */
  async move(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await settled();
      while (this.#toMaster.length > 0) this.toMaster();
      await settled();
      while (this.#toWorker.length > 0) this.toWorker();
    }
    await settled();
  }

  masterDies(): void {
    this.#workerSide.close("The master has ended");
  }

  dies(): void {
    this.#end("killed");
  }

  #spawn(methods: Methods): WorkerLink {
    this.#masterSide = new Rpc((message) => this.#toWorker.push(message), methods);
    const ended = new Promise<string>((resolve) => {
      this.#end = resolve;
    });
    return { pid: 1, call: async () => undefined, disconnect: () => undefined, kill: () => undefined, ended };
  }
}

test("AnvilClient asks once for what its sessions want in one turn", async () => {
  const clock = new ManualClock();
  const worker = new Worker(makeServer(clock), clock);
  const answers = Promise.all([
    worker.client.connect("smtp:192.0.2.1"),
    worker.client.connect("smtp:192.0.2.1"),
    worker.client.count("mail", "smtp:192.0.2.1"),
    worker.client.peek("newtls", "smtp:192.0.2.1"),
    worker.client.disconnect("smtp:192.0.2.1"),
  ]);
  await worker.move();
  assert.deepEqual(await answers, [{ count: 1, rate: 1 }, { count: 2, rate: 2 }, 1, 0, undefined]);
  assert.deepEqual(worker.calls, [5]);
});

test("AnvilClient parts a batch that is too long for the master", async () => {
  const clock = new ManualClock();
  const worker = new Worker(makeServer(clock), clock);
  const counts = Promise.all(Array.from({ length: 1200 }, () => worker.client.count("mail", "smtp:192.0.2.1")));
  await worker.move();
  assert.deepEqual(worker.calls, [500, 500, 200]);
  assert.deepEqual(
    await counts,
    Array.from({ length: 1200 }, (_, i) => i + 1),
  );
});

test("AnvilClient goes on with zeros and a warning when the master has gone", async () => {
  const clock = new ManualClock();
  const worker = new Worker(makeServer(clock), clock);
  worker.masterDies();
  assert.deepEqual(await worker.client.connect("smtp:192.0.2.1"), { count: 0, rate: 0 });
  assert.equal(await worker.client.count("auth", "smtp:192.0.2.1"), 0);
  await worker.client.disconnect("smtp:192.0.2.1");
  const warning = "problem talking to server private/anvil: The master has ended";
  assert.deepEqual(worker.warnings, [warning, warning, warning]);
});

test("AnvilClient does not wait for a silent master; what it had asked is given back all the same", async () => {
  const clock = new ManualClock();
  const server = makeServer(clock);
  const worker = new Worker(server, clock);
  const connected = worker.client.connect("smtp:192.0.2.1");
  await clock.advance(10_000);
  assert.deepEqual(await connected, { count: 0, rate: 0 });
  assert.deepEqual(worker.warnings, ["problem talking to server private/anvil: Connection timed out"]);
  const gone = worker.client.disconnect("smtp:192.0.2.1");
  await worker.move();
  await gone;
  assert.equal((await server.local({}).connect("smtp:192.0.2.1")).count, 1, "the late connect has left again");
});

test("spawnCounted() counts nothing for a worker that has ended", async () => {
  const clock = new ManualClock();
  const server = makeServer(clock);
  const worker = new Worker(server, clock);
  void worker.client.connect("smtp:192.0.2.1");
  await settled();
  worker.dies();
  await settled();
  await worker.move();
  assert.equal((await server.local({}).connect("smtp:192.0.2.1")).count, 1);
});

const LIMIT = 2;
type Step = readonly [what: "connect" | "close" | "toMaster" | "toWorker" | "die" | "wait", worker: number, n: number];

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.tuple(
    fc.constantFrom(
      "connect",
      "connect",
      "connect",
      "close",
      "toMaster",
      "toMaster",
      "toWorker",
      "toWorker",
      "die",
      "wait",
    ),
    fc.nat(2),
    fc.nat(3),
  ) as fc.Arbitrary<Step>,
  { maxLength: 50 },
);

interface Session {
  readonly worker: Worker;
  readonly key: string;
  admitted: boolean;
  asked: Promise<void>;
}

/** Sessions of three workers whose channels move at random, and die at random. */
class World {
  readonly clock = new ManualClock();
  readonly server = makeServer(this.clock);
  readonly workers = [0, 1, 2].map(() => new Worker(this.server, this.clock));
  sessions: Session[] = [];

  async take([what, index, n]: Step): Promise<void> {
    const worker = this.workers[index];
    assert.ok(worker);
    if (what === "connect") this.#connect(worker, `smtp:${n % 2}`);
    else if (what === "close") this.#close(this.sessions[n]);
    else if (what === "toMaster") worker.toMaster();
    else if (what === "toWorker") worker.toWorker();
    else if (what === "wait") await this.clock.advance(n * 5000);
    else {
      worker.dies();
      this.sessions = this.sessions.filter((session) => session.worker !== worker);
      this.workers[index] = new Worker(this.server, this.clock);
    }
    await new Promise((resolve) => setImmediate(resolve));
    for (const key of ["smtp:0", "smtp:1"]) {
      const admitted = this.sessions.filter((session) => session.admitted && session.key === key).length;
      assert.ok(admitted <= LIMIT, `${admitted} sessions of ${key}`);
    }
  }

  async end(): Promise<void> {
    while (this.sessions.length > 0) this.#close(this.sessions[0]);
    for (const worker of this.workers) await worker.move();
    for (const key of ["smtp:0", "smtp:1"]) {
      assert.equal((await this.server.local({}).connect(key)).count, 1, `${key} has left connections behind`);
    }
  }

  #connect(worker: Worker, key: string): void {
    const session: Session = { worker, key, admitted: false, asked: Promise.resolve() };
    session.asked = worker.client.connect(key).then(({ count }) => {
      // Zero, from a master that is silent, is let in without counting: that is Postfix's rule, not the limit's.
      session.admitted = count > 0 && count <= LIMIT && this.sessions.includes(session);
    });
    this.sessions.push(session);
  }

  #close(session: Session | undefined): void {
    if (!session) return;
    this.sessions = this.sessions.filter((other) => other !== session);
    void session.worker.client.disconnect(session.key);
  }
}

test(
  "over several workers never more than the limit is admitted, and the count returns to zero",
  { timeout: 30_000 },
  () =>
    fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const world = new World();
        for (const step of all) await world.take(step);
        await world.end();
      }),
      { numRuns: 80 },
    ),
);

test("workerAnvil() of an only worker counts by itself, asks nobody, and logs the statistics at its end", async () => {
  const lines: string[] = [];
  const log = new Log({ sink: ({ text }) => lines.push(text), now: () => 0, tag: "postfix/anvil", id: 1 });
  const call = () => assert.fail("asked");
  const anvil = workerAnvil({ workers: 1, params: parametersOf({}), clock: new ManualClock(), log, call });
  assert.deepEqual(await anvil.connect("smtp:192.0.2.1"), { count: 1, rate: 1 });
  assert.equal(await anvil.count("mail", "smtp:192.0.2.1"), 1);
  assert.equal(await anvil.peek("newtls", "smtp:192.0.2.1"), 0);
  await anvil.disconnect("smtp:192.0.2.1");
  assert.deepEqual(await anvil.connect("smtp:192.0.2.1"), { count: 1, rate: 2 });
  anvil.close();
  assert.match(lines[0] ?? "", /^statistics: max connection rate 2\/60s for \(smtp:192\.0\.2\.1\) at /);
});
