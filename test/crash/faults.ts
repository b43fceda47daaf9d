/** test/crash/faults.ts: system calls on the queue's files fail as on a broken or a full disk, one at a time and for a
 *  while, under a running worker. Then mail is refused with 4xx, or only late; nothing is lost, nothing comes twice, and
 *  when the disk is well again so is the server, without anybody's help. */

import { judgeAt } from "./matrix.ts";
import { type Point, recordedPoints, type Series, spread, withSites } from "./points.ts";
import { runScenario, warmUp } from "./scenario.ts";
import type { CrashSite } from "./site.ts";
import { type Blow, strike } from "./strike.ts";
import { say, type Tally } from "./tally.ts";

const CALLS: readonly Series[] = [
  { thread: "store", call: "fsync", stride: 1 },
  { thread: "store", call: "unlink", stride: 1 },
  { thread: "store", call: "pwrite64", stride: 5 },
  { thread: "store", call: "openat", stride: 1 },
  { thread: "pool", call: "openat", stride: 1 },
  { thread: "pool", call: "write", stride: 1 },
  { thread: "pool", call: "fdatasync", stride: 1 },
  { thread: "pool", call: "fsync", stride: 1 },
  { thread: "main", call: "pwrite64", stride: 5 },
];
/** Calls on files of the queue; those on sockets and between threads are no disk's fault. */
const ON_QUEUE_FILES = /\/spool\/queue\//;
/** How long a disk that stays broken is met with mail. */
const BROKEN_MS = 4000;

interface Fault extends Point {
  readonly error: "EIO" | "ENOSPC";
  /** All later calls fail, too, until the disk is mended. */
  readonly lasting: boolean;
}

/** Strikes until every fault was met, or `limit` of them, spread evenly. */
export function runFaults(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  return withSites(jobs, async (sites) => {
    const [first] = sites;
    if (!first) return;
    const faults = spread((await recordedPoints(first, CALLS, ON_QUEUE_FILES)).flatMap(faultsAt), limit);
    say(`faults: ${faults.length} points`);
    const next = faults.values();
    await Promise.all(sites.map((site) => failAtEach(site, next, tally)));
  });
}

/** Both errors at each point; the first of each series lasts as well. */
function faultsAt(point: Point): readonly Fault[] {
  const each = (lasting: boolean): Fault[] => [
    { ...point, error: "EIO", lasting },
    { ...point, error: "ENOSPC", lasting },
  ];
  return point.n <= 2 ? [...each(false), ...each(true)] : each(false);
}

async function failAtEach(site: CrashSite, faults: Iterator<Fault>, tally: Tally): Promise<void> {
  let count = 0;
  for (let next = faults.next(); !next.done; next = faults.next()) {
    await failAt(site, next.value, tally);
    tally.faults++;
    if (++count % 20 === 0) say(`faults: ${tally.summary}`);
  }
}

async function failAt(site: CrashSite, fault: Fault, tally: Tally): Promise<void> {
  const { thread, call, n, error, lasting } = fault;
  const at = `${thread} ${call} ${n}${lasting ? "+" : ""} ${error}`;
  await warmUp(site);
  let isGone = false;
  const gone = () => {
    isGone = true;
    site.ledger.struck();
    say(`faults: ${at}: the worker has ended`);
  };
  const blow: Blow = { error };
  const when = lasting ? `${n}+` : String(n);
  const attached = await strike(await site.workerPid(), { thread, call, when, blow }, gone);
  const begun = Date.now();
  const wrong: string[] = [];
  site.onRefusal = (reply) => {
    if (reply.startsWith("5")) wrong.push(reply);
  };
  await runScenario(site, () => isGone || (lasting && Date.now() - begun > BROKEN_MS));
  const trace = await attached.detach();
  if (call === "unlink") await removeLitter(site);
  if (!trace.includes("(INJECTED)") && !isGone) say(`faults: ${at} was not reached`);
  for (const reply of wrong) tally.trouble(at, `refused for good: ${reply}`);
  await judgeAt(site, at, tally);
}

/** A file that could not be unlinked goes when the shard is opened the next time. */
async function removeLitter(site: CrashSite): Promise<void> {
  await site.drain();
  process.kill(await site.workerPid(), "SIGKILL");
  site.ledger.struck();
}
