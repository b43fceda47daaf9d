/** test/crash/checkpoints.ts: the steps by which a write-ahead log is moved into the database and begun anew: the log is
 *  synced, pages are written into the database file, that is synced, and the next commit writes a new header over the old
 *  log. At each the worker is killed, or the call fails, once or until the disk is mended. The queue, whose log is nearly
 *  long enough, is put back before each. Points are named by the file, since nothing else writes to the database file.
 *  Seen to fail, with the product broken on purpose, in 15 strikes each: the log is removed before it is moved (10 lost); a
 *  shard that failed is not opened again (the queue does not become empty after any failed call). */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { basename, join } from "node:path";
import { bodyOf } from "./far-end.ts";
import { fillLog, LAST_LETTER, type Waiting } from "./full-log.ts";
import { judgeAt } from "./matrix.ts";
import { isQuiet, isStruck, reached, spread } from "./points.ts";
import { CrashSite, type Letter } from "./site.ts";
import { type Blow, record, strike } from "./strike.ts";
import { say, type Tally } from "./tally.ts";

const SHARD = "spool/queue/shard-00";
const LETTERS: readonly Letter[] = [LAST_LETTER, { sizeBytes: 1000, to: ["one", "refuse"] }];
const LETTER_MS = 2000;
/** Of the pages written into the database, so many, the first and the last among them. */
const PAGES = 6;
/** Of the new log: its header, and writes behind it. */
const WRITES_TO_NEW_LOG = 3;
const PROGRESS = 20;

/** The n-th call on a file of the shard, counted from when the first letter is sent. */
interface Point {
  readonly name: string;
  readonly file: "queue.sqlite" | "queue.sqlite-wal";
  readonly call: "pwrite64" | "fsync" | "fdatasync";
  readonly n: number;
}

interface Strike extends Point {
  readonly blow: Blow;
  /** Later calls, too, until all letters were tried. */
  readonly lasts: boolean;
}

/** Strikes until each point had each blow, or `limit` of them, spread evenly. `jobs` servers at the same time. */
export async function runCheckpoints(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  await Promise.all(Array.from({ length: jobs }, (_, i) => strikeShare(tally, { limit, jobs, i })));
  say(`checkpoints: ${tally.summary}`);
}

/** Each server has its own recording, since their logs differ by a few frames; and every `jobs`-th strike. */
async function strikeShare(tally: Tally, { limit, jobs, i }: { limit: number; jobs: number; i: number }) {
  const bench = await Bench.make();
  try {
    const strikes = spread((await bench.recordedPoints()).flatMap(strikesAt), limit);
    if (i === 0) say(`checkpoints: ${strikes.length} strikes`);
    for (const [n, strike] of strikes.entries()) if (n % jobs === i) await bench.strikeAt(strike, tally);
  } finally {
    await bench.close();
  }
}

/** A disk that stays broken at one page is as broken as at the next. */
function strikesAt(point: Point): readonly Strike[] {
  const once: readonly Strike[] = [
    { ...point, blow: { signal: "KILL" }, lasts: false },
    { ...point, blow: { error: "EIO" }, lasts: false },
    { ...point, blow: { error: "ENOSPC" }, lasts: false },
  ];
  if (point.call === "pwrite64" && point.file === "queue.sqlite" && point.n > 1) return once;
  return [
    ...once,
    { ...point, blow: { error: "EIO" }, lasts: true },
    { ...point, blow: { error: "ENOSPC" }, lasts: true },
  ];
}

class Bench {
  readonly #site: CrashSite;
  readonly #waiting: readonly Waiting[];
  readonly #before: string;

  private constructor(site: CrashSite, waiting: readonly Waiting[]) {
    this.#site = site;
    this.#waiting = waiting;
    this.#before = join(site.server.directory, "before");
    execFileSync("cp", ["-a", join(site.server.directory, "spool/queue"), this.#before]);
  }

  static async make(): Promise<Bench> {
    const site = await CrashSite.make();
    return new Bench(site, await fillLog(site));
  }

  close(): Promise<void> {
    return this.#site.close();
  }

  /** Throws when there is no checkpoint. */
  async recordedPoints(): Promise<readonly Point[]> {
    const { server } = this.#site;
    await this.#startAnew();
    const attached = await record(await this.#site.workerPid(), ["pwrite64", "fsync", "fdatasync"]);
    await this.#send(() => false);
    await isQuiet(attached);
    const points = pointsIn(await attached.detach());
    if (!(await this.#site.drain())) throw new Error(`The queue does not become empty:\n${server.log().slice(-3000)}`);
    await server.stop();
    return points;
  }

  async strikeAt(one: Strike, tally: Tally): Promise<void> {
    if (!(await reached(one, (tried) => this.#tryAt(tried, tally)))) {
      tally.trouble(nameOf(one), "the call is not made any more");
      return;
    }
    if ("signal" in one.blow) tally.kills++;
    else tally.faults++;
    if ((tally.kills + tally.faults) % PROGRESS === 0) say(`checkpoints: ${tally.summary}`);
  }

  /** False when the worker did not come to the point. */
  async #tryAt(one: Strike, tally: Tally): Promise<boolean> {
    const { server, ledger } = this.#site;
    const at = nameOf(one);
    await this.#startAnew();
    let isGone = false;
    const gone = () => {
      isGone = true;
      ledger.struck();
    };
    this.#site.onRefusal = (reply) => {
      if (reply.startsWith("5")) tally.trouble(at, `refused for good: ${reply}`);
    };
    const path = join(server.directory, SHARD, one.file);
    const when = one.lasts ? `${one.n}+` : String(one.n);
    const { call, blow } = one;
    const attached = await strike(await this.#site.workerPid(), { thread: "store", call, path, when, blow }, gone);
    await this.#send(() => isGone);
    if (!isGone) await isQuiet(attached);
    const isReached = isGone || isStruck(attached);
    await attached.detach();
    if (isReached && isGone && "error" in blow) say(`checkpoints: ${at}: the worker ended`);
    await judgeAt(this.#site, at, tally);
    await server.stop();
    return isReached;
  }

  async #send(isOver: () => boolean): Promise<void> {
    for (const letter of LETTERS) {
      if (isOver()) return;
      const sent = await this.#site.send(letter);
      for (const end = Date.now() + LETTER_MS; sent && !isOver() && Date.now() < end; ) {
        if (this.#site.isComplete(sent.attempt)) break;
        await this.#site.ledger.changed(20);
      }
    }
  }

  /** The queue as it was, and a server with it. */
  async #startAnew(): Promise<void> {
    const { server, ledger, farEnd } = this.#site;
    rmSync(join(server.directory, "spool"), { recursive: true, force: true });
    execFileSync("mkdir", ["-p", join(server.directory, "spool")]);
    execFileSync("cp", ["-a", this.#before, join(server.directory, "spool/queue")]);
    this.#site.judge();
    for (const { letter, sent } of this.#waiting) {
      const attempt = ledger.begin(sent.attempt);
      attempt.accepted = true;
      farEnd.expect(attempt.id, bodyOf(attempt.id, letter.sizeBytes));
    }
    await server.start();
  }
}

function nameOf({ name, blow, lasts }: Strike): string {
  return `checkpoint: ${name}, ${"signal" in blow ? blow.signal : blow.error}${lasts ? " until mended" : ""}`;
}

/** The steps of the checkpoint in a recorded run. Throws when there are none. */
function pointsIn(lines: string): readonly Point[] {
  const counts = new Map<string, number>();
  const made = lines.split("\n").flatMap((line) => {
    const [, call = "", path = ""] = /^\d+ +(pwrite64|fsync|fdatasync)\(\d+<([^>]*)>/.exec(line) ?? [];
    const file = basename(path);
    if (file !== "queue.sqlite" && file !== "queue.sqlite-wal") return [];
    const n = (counts.get(`${file} ${call}`) ?? 0) + 1;
    counts.set(`${file} ${call}`, n);
    return [{ name: "", file, call: call as Point["call"], n, isHeader: / 32, 0\) = 32$/.test(line) } as const];
  });
  const isSync = ({ call }: Pick<Point, "call">) => call !== "pwrite64";
  const first = made.findIndex(({ file }) => file === "queue.sqlite");
  const header = made.findIndex(({ file, isHeader }, i) => i > first && file === "queue.sqlite-wal" && isHeader);
  if (first < 0 || header < 0) throw new Error(`No checkpoint was made, or no log begun anew:\n${lines.slice(-4000)}`);
  const database = made.filter(({ file }) => file === "queue.sqlite");
  const pages = database.filter((one) => !isSync(one));
  const logSync = made.slice(0, first).findLast(isSync);
  const newLog = made.slice(header).filter(({ file }) => file === "queue.sqlite-wal");
  const named = (found: readonly Point[], name: string) => found.map((one) => ({ ...one, name: `${name} ${one.n}` }));
  return [
    ...named(logSync ? [logSync] : [], "sync of the log"),
    ...named(
      [...pages.slice(0, 1), ...spread(pages.slice(1, -1), PAGES - 2), ...pages.slice(-1)],
      "page of the database",
    ),
    ...named(database.filter(isSync), "sync of the database"),
    ...named(newLog.filter((one) => !isSync(one)).slice(0, WRITES_TO_NEW_LOG), "write to the new log"),
    ...named(newLog.filter(isSync).slice(0, 2), "sync of the new log"),
  ];
}
