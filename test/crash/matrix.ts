/** test/crash/matrix.ts: the worker is killed at every system call that a durable step consists of. Recorded runs of each step
 *  say how often each thread makes each call; then, for each n, the step runs again and the n-th call is never made, because
 *  the process is killed instead. The master starts the next worker, the queue drains, the ledger judges.
 *  Seen to fail, with the product broken on purpose:
 *    the 250 does not wait for the commit                  10 lost in 40 kills from all of the scenario
 *    a bounce is committed after what it tells of, apart   14 lost in 61 kills around the steps that bounce
 *    recovery does not release the claims of the dead      the queue did not become empty after 6 of 7 kills
 *    content is unlinked before the commit                 the queue did not become empty after 7 of 13 kills */
import { type Point, reached, recordedPoints, runStruck, type Series, spread, withSites } from "./points.ts";
import { warmUp } from "./scenario.ts";
import type { CrashSite } from "./site.ts";
import { say, type Tally } from "./tally.ts";

/** Of the calls that change no file, every fourth is enough. */
const CALLS: readonly Series[] = [
  { thread: "store", call: "fsync", stride: 1 }, // the commit
  { thread: "store", call: "unlink", stride: 1 }, // content, after the commit that forgot it
  { thread: "store", call: "link", stride: 1 }, // content of a forwarded copy
  { thread: "store", call: "pwrite64", stride: 2 }, // the write-ahead log: each frame is its header, which is struck, and its page
  { thread: "pool", call: "openat", stride: 1 }, // content files, made and read
  { thread: "pool", call: "write", stride: 2 },
  { thread: "pool", call: "fdatasync", stride: 1 },
  { thread: "pool", call: "fsync", stride: 1 }, // the content directory, files and directories of maildirs
  { thread: "pool", call: "rename", stride: 1 }, // in maildirs
  { thread: "main", call: "pwrite64", stride: 1 }, // marks of what is in flight
  { thread: "main", call: "writev", stride: 1 }, // content to the next hop
  { thread: "main", call: "write", stride: 4 }, // replies, commands, log lines, requests to the store
  { thread: "store", call: "write", stride: 4 }, // answers of the store
];
const PROGRESS = 25;

/** Kills until every point was struck, or `limit` of them, spread evenly. `jobs` servers at the same time. */
export function runMatrix(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  return withSites(jobs, async (sites) => {
    const [first] = sites;
    if (!first) return;
    const points = spread(await recordedPoints(first, CALLS), limit);
    say(`matrix: ${points.length} points`);
    const next = points.values();
    await Promise.all(sites.map((site) => killAtEach(site, next, tally)));
  });
}

async function killAtEach(site: CrashSite, points: Iterator<Point>, tally: Tally): Promise<void> {
  for (let next = points.next(); !next.done; next = points.next()) {
    const { step, thread, call } = next.value;
    if (!(await reached(next.value, (point) => killAt(site, point, tally)))) {
      say(`matrix: ${step.name}: ${thread} ${call}: only the recorded run made it`);
    } else if (++tally.kills % PROGRESS === 0) say(`matrix: ${tally.summary}`);
  }
}

/** False when the worker did not come to the point. */
async function killAt(site: CrashSite, point: Point, tally: Tally): Promise<boolean> {
  const at = `${point.step.name}: ${point.thread} ${point.call} ${point.n}`;
  await warmUp(site);
  let isGone = false;
  const gone = () => {
    isGone = true;
    site.ledger.struck();
  };
  const strike = { point, when: String(point.n), blow: { signal: "KILL" }, gone } as const;
  const attached = await runStruck(site, strike, () => isGone);
  await attached.detach();
  await judgeAt(site, at, tally);
  return isGone;
}

/** Drains the queue, and adds what is wrong then. */
export async function judgeAt(site: CrashSite, at: string, tally: Tally): Promise<void> {
  if (!(await site.drain())) tally.trouble(at, `the queue does not become empty:\n${site.server.log().slice(-3000)}`);
  tally.add(at, site.judge());
  for (const name of site.litter()) tally.trouble(at, `left over: ${name}`);
}
