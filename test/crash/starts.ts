/** test/crash/starts.ts: the processes that open a queue are killed at every system call that changes it, from their first
 *  moment to their last: the first start, a start after a kill, a start with fewer workers, each up to its stop, and the
 *  operator's commands while no server runs. The queue is put back before each kill. */
import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bodyOf } from "./far-end.ts";
import { judgeAt } from "./matrix.ts";
import { spread } from "./points.ts";
import { CrashSite, type Letter, type Sent } from "./site.ts";
import { say, type Tally } from "./tally.ts";
import { Tracing } from "./traced.ts";

const LARGE_BYTES = 90_000;
const WAIT_MS = 15_000;

interface Situation {
  readonly name: string;
  /** Sent before, to as many workers; none: the queue does not exist yet. */
  readonly mail: readonly Letter[];
  readonly workersBefore: number;
  /** A command without a server, whose effect may come or not; undefined: the server starts, delivers what is there, and
   *  stops. */
  readonly command?: readonly string[];
}

const MAIL: readonly Letter[] = [
  { sizeBytes: 1000, to: ["late"] },
  { sizeBytes: LARGE_BYTES, to: ["late", "turn"] },
  { sizeBytes: 1000, to: ["stall"] },
  { sizeBytes: LARGE_BYTES, to: ["stall"] },
];

const SITUATIONS: readonly Situation[] = [
  { name: "first start", mail: [], workersBefore: 1 },
  { name: "start after kill -9", mail: MAIL, workersBefore: 1 },
  { name: "start with fewer workers", mail: [...MAIL, ...MAIL], workersBefore: 2 },
  { name: "postsuper -r ALL", mail: MAIL, workersBefore: 1, command: ["postsuper", "-r", "ALL"] },
  { name: "postsuper -d ALL", mail: MAIL, workersBefore: 1, command: ["postsuper", "-d", "ALL"] },
];

const CALLS = ["mkdir", "rename", "unlink", "unlinkat", "rmdir", "ftruncate", "fsync", "fdatasync", "pwrite64"];
/** Of the many frames of the write-ahead log, every sixth. */
const STRIDES: ReadonlyMap<string, number> = new Map([["pwrite64", 6]]);

/** Kills until every point was struck, or `limit` of them in all. `jobs` servers at the same time. */
export async function runStarts(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  for (const situation of SITUATIONS) {
    const benches: Bench[] = [];
    try {
      for (let n = 0; n < jobs; n++) benches.push(await Bench.make(situation));
      const points = spread((await benches[0]?.recordedPoints()) ?? [], Math.ceil(limit / SITUATIONS.length));
      say(`starts: ${situation.name}: ${points.length} points`);
      const next = points.values();
      await Promise.all(benches.map((bench) => bench.killAtEach(next, tally)));
      say(`starts: ${tally.summary}`);
    } finally {
      await Promise.all(benches.map((bench) => bench.close()));
    }
  }
}

interface Point {
  readonly call: string;
  readonly n: number;
}

/** A site whose queue can be put back to what it was before. */
class Bench {
  readonly #situation: Situation;
  readonly #site: CrashSite;
  #sent: readonly { readonly letter: Letter; readonly sent: Sent }[] = [];

  private constructor(situation: Situation, site: CrashSite) {
    this.#situation = situation;
    this.#site = site;
  }

  static async make(situation: Situation): Promise<Bench> {
    const bench = new Bench(situation, await CrashSite.make());
    if (situation.mail.length > 0) await bench.#fill();
    bench.#site.server.append("main.cf", "postern_workers = 1\n");
    return bench;
  }

  close(): Promise<void> {
    return this.#site.close();
  }

  async recordedPoints(): Promise<readonly Point[]> {
    this.#putBack();
    const tracing = await this.#run(undefined);
    const points = CALLS.flatMap((call) => {
      const most = Math.max(0, ...tracing.countsOf(call));
      const stride = STRIDES.get(call) ?? 1;
      return Array.from({ length: Math.ceil(most / stride) }, (_, i) => ({ call, n: i * stride + 1 }));
    });
    tracing.close();
    return points;
  }

  async killAtEach(points: Iterator<Point>, tally: Tally): Promise<void> {
    for (let next = points.next(); !next.done; next = points.next()) {
      const at = `${this.#situation.name}, ${next.value.call} ${next.value.n}`;
      this.#putBack();
      const tracing = await this.#run(next.value);
      if (tracing.hasKilled) tally.kills++;
      else say(`starts: ${at} was not reached`);
      tracing.close();
      await this.#site.server.start();
      await judgeAt(this.#site, at, tally);
      await this.#site.server.stop();
    }
  }

  async #run(kill: Point | undefined): Promise<Tracing> {
    const { server } = this.#site;
    const tracing = new Tracing(CALLS, kill);
    const { command } = this.#situation;
    if (command) await tracing.command(server, command);
    else {
      await tracing.server(server, {
        work: (isOver) => this.#site.drain(isOver),
        struck: () => this.#site.ledger.struck(),
      });
    }
    return tracing;
  }

  /** Mail that waits, and mail that is in an agent when everything is killed; and a file that no message names. */
  async #fill(): Promise<void> {
    const { server } = this.#site;
    server.append("main.cf", `postern_workers = ${this.#situation.workersBefore}\n`);
    await server.start();
    for (const letter of this.#situation.mail) {
      const sent = await this.#site.deliverInto(letter, Date.now() + WAIT_MS);
      if (!sent) throw new Error(`Nothing is accepted:\n${server.log()}`);
      this.#sent = [...this.#sent, { letter, sent }];
      this.#site.hangUp(); // the next connection may go to another worker
    }
    for (const end = Date.now() + WAIT_MS; !(await this.#isAtRest()) && Date.now() < end; ) await sleep(50);
    const workers = await server.workerPids();
    server.kill("SIGKILL");
    for (const pid of workers) process.kill(pid, "SIGKILL");
    await server.ended();
    const queue = join(server.directory, "spool/queue");
    writeFileSync(join(queue, "shard-00/content/ABCDE6B05A8CB00.1"), "unnamed");
    execFileSync("cp", ["-a", queue, join(server.directory, "before")]);
    this.#site.judge();
  }

  async #isAtRest(): Promise<boolean> {
    const listed = (await this.#site.queue("list", "ALL")) as readonly { queue: string; queueId: string }[];
    return this.#sent.every(({ letter, sent: { queueId } }) => {
      const wanted = letter.to.includes("stall") ? "active" : "deferred";
      return listed.some((entry) => entry.queueId === queueId && entry.queue === wanted);
    });
  }

  #putBack(): void {
    const { server, ledger, farEnd } = this.#site;
    const before = join(server.directory, "before");
    rmSync(join(server.directory, "spool"), { recursive: true, force: true });
    if (existsSync(before)) {
      execFileSync("mkdir", ["-p", join(server.directory, "spool")]);
      execFileSync("cp", ["-a", before, join(server.directory, "spool/queue")]);
    }
    this.#site.judge();
    for (const { letter, sent } of this.#sent) {
      const attempt = ledger.begin(sent.attempt);
      attempt.accepted = true;
      if (this.#situation.command?.includes("-d")) attempt.removal = "asked";
      farEnd.expect(attempt.id, bodyOf(attempt.id, letter.sizeBytes));
    }
  }
}
