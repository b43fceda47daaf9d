/** Workers of straw over real message channels, time by hand: restarts, calls that meet one, and reloads. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Log } from "../log/log.ts";
import { ManualClock, settled } from "../qmgr/testdata/manual-clock.ts";
import { Fleet } from "./fleet.ts";
import type { StartArgs } from "./protocol.ts";
import { type Methods, Rpc } from "./rpc.ts";
import type { WorkerLink } from "./worker-process.ts";

/** One process: what it was told, in order, and how it answers. */
class Straw {
  readonly link: WorkerLink;
  readonly told: string[] = [];
  readonly #toMaster: Rpc;
  end: (how: string) => void = () => undefined;

  constructor(pid: number, methods: Methods, answer: (method: string, args: unknown) => unknown) {
    const own = ["start", "listen", "load", "commit", "discard", "queue", "status", "drain", "granted", "files"].map(
      (name) =>
        [
          name,
          (args: unknown) => {
            this.told.push(name);
            return answer(name, args);
          },
        ] as const,
    );
    const later = (to: () => Rpc) => (message: unknown) => void setImmediate(() => to().receive(message));
    const inMaster: Rpc = new Rpc(
      later(() => this.#toMaster),
      methods,
    );
    this.#toMaster = new Rpc(
      later(() => inMaster),
      new Map(own),
    );
    const ended = new Promise<string>((resolve) => {
      this.end = (how) => {
        inMaster.close(`The worker ended: ${how}`);
        resolve(how);
      };
    });
    const kill = () => this.end("killed");
    const call: WorkerLink["call"] = (method, args, handle) => inMaster.call(method, args, handle);
    this.link = { pid, call, kill, disconnect: kill, ended };
  }

  /** Calls the master, also when it is dead already: messages may be under way. */
  ask(method: string, args: unknown): void {
    void this.#toMaster.call(method, args);
  }
}

type Answer = (straw: number, method: string, args: unknown) => unknown;

/** `workers` of them; `answer` gets the number of the process, counted from 1. */
function site(workers: number, answer: Answer = (straw) => straw) {
  const clock = new ManualClock();
  const straws: Straw[] = [];
  const lines: string[] = [];
  const found: unknown[] = [];
  let generation = 1;
  let files: StartArgs["snapshot"]["files"] = new Map();
  const fleet = new Fleet({
    workers,
    spawn: (methods) => {
      const number = straws.length + 1;
      const straw = new Straw(number, methods, (method, args) => answer(number, method, args));
      straws.push(straw);
      return straw.link;
    },
    startArgs: (shard) => ({ shard, snapshot: { generation, files } }) as unknown as StartArgs,
    started: (what) => found.push(what),
    clock,
    decisions: { append: () => undefined },
    log: new Log({ sink: ({ text }) => lines.push(text), now: () => 0, tag: "postfix/master", id: 1 }),
  });
  const adopt = (next: number) => {
    generation = next;
  };
  const replace = (path: string) => {
    const image = { path, bytes: Buffer.from("new"), mtimeMs: 1 };
    files = new Map([...files, [path, image]]);
    return fleet.files([image]);
  };
  return { clock, straws, lines, found, fleet, adopt, replace };
}

test("Fleet.callAll() waits for a worker that is being restarted", async () => {
  const { fleet, straws, clock } = site(2);
  await fleet.start(new Map());
  straws[0]?.end("killed by signal SIGKILL");
  await settled();
  const asked = fleet.callAll("status", {}, 60_000);
  await clock.advance(1000);
  assert.deepEqual(await asked, [3, 2], "the new process answers for the dead one");
});

test("what each worker has found is told when it has started, of one that is started again too", async () => {
  const { fleet, straws, found, clock } = site(2);
  await fleet.start(new Map());
  straws[0]?.end("killed by signal SIGKILL");
  await settled();
  await clock.advance(1000);
  assert.deepEqual(found, [1, 2, 3]);
});

test("Fleet.callAll() does not wait for ever, and does nothing late", async () => {
  const { fleet, straws, clock } = site(2, (straw, method) =>
    straw > 2 && method === "start" ? new Promise(() => undefined) : straw,
  );
  await fleet.start(new Map());
  straws[0]?.end("killed");
  await settled();
  const asked = assert.rejects(fleet.callAll("queue", {}, 60_000), {
    name: "TryAgainError",
    message: "Worker 0 is being restarted; try again",
  });
  await clock.advance(10_000);
  await asked;
  await clock.advance(60_000);
  assert.deepEqual(straws[2]?.told, ["start"]);
});

test("a worker that was starting when a file was replaced gets it before it serves", async () => {
  let started: () => void = () => undefined;
  const { fleet, straws, clock, replace } = site(2, (straw, method) =>
    straw > 2 && method === "start" ? new Promise<void>((resolve) => (started = resolve)) : straw,
  );
  await fleet.start(new Map());
  straws[0]?.end("killed");
  await settled();
  await clock.advance(1000);
  assert.deepEqual(straws[2]?.told, ["start"]);
  await replace("/etc/postern/users");
  assert.deepEqual(straws[1]?.told, ["start", "files"], "who serves gets it at once");
  started();
  await settled();
  assert.deepEqual(straws[2]?.told, ["start", "files"]);
});

test("Fleet.callAll() that lost patience is not carried out when the worker is back", async () => {
  const { fleet, straws, clock } = site(1);
  await fleet.start(new Map());
  straws[0]?.end("killed");
  await settled();
  const asked = assert.rejects(fleet.callAll("queue", {}, 500), /did not answer "queue" within 0.5 s/);
  await clock.advance(500);
  await asked;
  await clock.advance(5000);
  assert.deepEqual(straws[1]?.told, ["start"]);
});

test("Fleet.callAll() meets the end of a worker: try again", async () => {
  const { fleet, straws } = site(1, (_, method) => (method === "queue" ? new Promise(() => undefined) : undefined));
  await fleet.start(new Map());
  const asked = assert.rejects(fleet.callAll("queue", {}, 60_000), { name: "TryAgainError" });
  await settled();
  straws[0]?.end("killed");
  await asked;
});

test("Fleet.callAll() hands on what a worker refuses", async () => {
  const refuse: Answer = (_, method) => {
    if (method === "load") throw new Error("no such file");
  };
  const { fleet } = site(2, refuse);
  await fleet.start(new Map());
  await assert.rejects(fleet.callAll("load", {}, 1000), { name: "Error", message: "no such file" });
});

test("Fleet.commit() starts a worker again that cannot follow, with the new configuration", async () => {
  const generations: unknown[] = [];
  const answer: Answer = (straw, method, args) => {
    if (method === "start") generations.push((args as StartArgs).snapshot.generation);
    if (method === "commit" && straw === 1) throw new Error("out of memory");
    return straw;
  };
  const { fleet, clock, lines, adopt } = site(2, answer);
  await fleet.start(new Map());
  adopt(2);
  await fleet.commit({ generation: 2, keys: [] });
  await clock.advance(1000);
  assert.deepEqual(generations, [1, 1, 2]);
  assert.deepEqual(lines, ["worker pid 1 is ended: commit: out of memory", "process worker pid 1 killed"]);
  assert.deepEqual(await fleet.callAll("status", {}, 1000), [3, 2]);
});

test("Fleet.commit() ends a worker that does not answer", async () => {
  const { fleet, clock, lines } = site(1, (straw, method) =>
    straw === 1 && method === "commit" ? new Promise(() => undefined) : straw,
  );
  await fleet.start(new Map());
  const done = fleet.commit({ generation: 2, keys: [] });
  await clock.advance(10_000);
  await done;
  assert.equal(lines[0], "worker pid 1 is ended: commit: no answer");
});

test("Fleet.commit() does not leave a worker behind that was just starting", async () => {
  const generations: unknown[] = [];
  let hold: () => void = () => undefined;
  const answer: Answer = (straw, method, args) => {
    if (method !== "start") return straw;
    generations.push((args as StartArgs).snapshot.generation);
    return straw === 2 ? new Promise<void>((resolve) => (hold = resolve)) : straw;
  };
  const { fleet, straws, clock, adopt } = site(1, answer);
  await fleet.start(new Map());
  straws[0]?.end("killed");
  await clock.advance(1000);
  adopt(2);
  await fleet.commit({ generation: 2, keys: [] });
  hold();
  await clock.advance(2000);
  assert.deepEqual(generations, [1, 1, 2]);
  assert.deepEqual(await fleet.callAll("status", {}, 1000), [3]);
});

test("Fleet: a dead worker's ask for slots that arrives late takes none", async () => {
  const { fleet, straws, clock } = site(2);
  await fleet.start(new Map());
  const ask = { key: "smtp", want: 1, limit: 1, restMs: 0 };
  straws[0]?.end("killed");
  straws[0]?.ask("lease", ask);
  await clock.advance(0);
  straws[1]?.ask("lease", ask);
  await settled();
  assert.deepEqual(straws[0]?.told, ["start"]);
  assert.deepEqual(straws[1]?.told, ["start", "granted"], "the one slot is free");
});
