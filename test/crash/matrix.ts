/** test/crash/matrix.ts: the worker is killed at every system call that a durable step consists of. A recorded run of the
 *  scenario says how often each thread makes each call; then, for each n, the scenario runs again and the n-th call is
 *  never made, because the process is killed instead. The master starts the next worker, the queue drains, the ledger judges. */
import { runScenario, warmUp } from "./scenario.ts";
import { CrashSite } from "./site.ts";
import { record, type Strike, strike, type Thread, threadOf } from "./strike.ts";
import { say, type Tally } from "./tally.ts";

/** Calls by thread; of the calls that change no file, every `stride`-th is enough. */
const CALLS: readonly { readonly thread: Thread; readonly call: string; readonly stride: number }[] = [
  { thread: "store", call: "fsync", stride: 1 }, // the commit
  { thread: "store", call: "unlink", stride: 1 }, // content, after the commit that forgot it
  { thread: "store", call: "pwrite64", stride: 1 }, // frames of the write-ahead log
  { thread: "pool", call: "openat", stride: 1 }, // content files, made and read
  { thread: "pool", call: "write", stride: 1 },
  { thread: "pool", call: "fdatasync", stride: 1 },
  { thread: "pool", call: "fsync", stride: 1 }, // the content directory
  { thread: "main", call: "pwrite64", stride: 1 }, // marks of what is in flight
  { thread: "main", call: "writev", stride: 1 }, // content to the next hop
  { thread: "main", call: "write", stride: 3 }, // replies, commands, log lines, requests to the store
  { thread: "store", call: "write", stride: 3 }, // answers of the store
];
const PROGRESS = 25;

export type Point = Pick<Strike, "thread" | "call"> & { readonly n: number };

/** Kills until every point was struck, or `limit` of them, spread evenly. `jobs` servers at the same time. */
export async function runMatrix(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  const sites = await Promise.all(Array.from({ length: jobs }, () => startedSite()));
  try {
    const [first] = sites;
    if (!first) return;
    const points = spread(await recordedPoints(first), limit);
    say(`matrix: ${points.length} points`);
    const next = points.values();
    await Promise.all(sites.map((site) => killAtEach(site, next, tally)));
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

/** A site whose server runs. */
export async function startedSite(): Promise<CrashSite> {
  const site = await CrashSite.make();
  await site.server.start();
  return site;
}

/** One whole run without a strike, and where in it one can strike. */
async function recordedPoints(site: CrashSite): Promise<readonly Point[]> {
  await warmUp(site);
  const pid = await site.workerPid();
  const attached = await record(pid, [...new Set(CALLS.map(({ call }) => call))]);
  await runScenario(site, () => false);
  const lines = (await attached.detach()).split("\n");
  const empty = await site.drain();
  const verdict = site.judge();
  if (!empty || verdict.faults.length > 0) throw new Error(`Without a strike: ${verdict.faults.join("; ")}`);
  const made = new Map<string, number>();
  for (const line of lines) {
    const [, tid, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (tid === undefined) continue;
    const key = `${threadOf(pid, Number(tid))} ${call}`;
    made.set(key, (made.get(key) ?? 0) + 1);
  }
  return CALLS.flatMap(({ thread, call, stride }) => {
    const count = made.get(`${thread} ${call}`) ?? 0;
    return Array.from({ length: Math.ceil(count / stride) }, (_, i) => ({ thread, call, n: i * stride + 1 }));
  });
}

/** At most `limit` of them, from all parts of the list. */
export function spread<T>(all: readonly T[], limit: number): readonly T[] {
  if (all.length <= limit) return all;
  return Array.from({ length: limit }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / limit)] as T);
}

async function killAtEach(site: CrashSite, points: Iterator<Point>, tally: Tally): Promise<void> {
  for (let next = points.next(); !next.done; next = points.next()) {
    await killAt(site, next.value, tally);
    if (tally.kills % PROGRESS === 0) say(`matrix: ${tally.summary}`);
  }
}

async function killAt(site: CrashSite, { thread, call, n }: Point, tally: Tally): Promise<void> {
  const at = `${thread} ${call} ${n}`;
  await warmUp(site);
  let isGone = false;
  const gone = () => {
    isGone = true;
    site.ledger.struck();
  };
  const blow = { signal: "KILL" } as const;
  const attached = await strike(await site.workerPid(), { thread, call, when: String(n), blow }, gone);
  await runScenario(site, () => isGone);
  await attached.detach();
  if (isGone) tally.kills++;
  else say(`matrix: ${at} was not reached`);
  if (!(await site.drain())) tally.trouble(at, `the queue does not become empty:\n${site.server.log().slice(-3000)}`);
  for (const name of site.litter()) tally.trouble(at, `left over: ${name}`);
  tally.add(at, site.judge());
}
