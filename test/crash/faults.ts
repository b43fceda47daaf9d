/** test/crash/faults.ts: system calls on the queue's files fail as on a broken or a full disk, one at a time and for a
 *  while, under a running worker. Then mail is refused with 4xx, or only late; nothing is lost, nothing comes twice, and
 *  when the disk is well again so is the server, without anybody's help; also when the worker is killed meanwhile. */

import { judgeAt } from "./matrix.ts";
import { isStruck, type Point, reached, recordedPoints, runStruck, type Series, spread, withSites } from "./points.ts";
import { runScenario, warmUp } from "./scenario.ts";
import type { CrashSite } from "./site.ts";
import { say, type Tally } from "./tally.ts";

const CALLS: readonly Series[] = [
  { thread: "store", call: "fsync", stride: 1 },
  { thread: "store", call: "unlink", stride: 1 },
  { thread: "store", call: "link", stride: 1 },
  { thread: "store", call: "pwrite64", stride: 8 },
  { thread: "store", call: "openat", stride: 1 },
  { thread: "pool", call: "openat", stride: 1 },
  { thread: "pool", call: "read", stride: 3 }, // content on its way to the next hop
  { thread: "pool", call: "write", stride: 1 },
  { thread: "pool", call: "fdatasync", stride: 1 },
  { thread: "pool", call: "fsync", stride: 1 },
  { thread: "pool", call: "rename", stride: 1 },
  { thread: "main", call: "pwrite64", stride: 8 },
];
/** Calls on files of the queue and of the maildir; those on sockets and between threads are no disk's fault. Where a run makes
 *  other calls than the recorded one, such a call may be hit: libuv aborts, and the master must start the next worker. */
const ON_FILES = /\/(?:spool\/queue|boxes)\//;
/** How long a disk that stays broken is met with mail. */
const BROKEN_MS = 4000;
/** What every point of so many gets besides; a prime number, so that no series gets always the same. */
const LASTING: readonly (Pick<Fault, "error" | "until"> | undefined)[] = [
  { error: "EIO", until: "mended" },
  undefined,
  { error: "ENOSPC", until: "killed" },
  undefined,
  { error: "ENOSPC", until: "mended" },
  undefined,
  { error: "EIO", until: "killed" },
  undefined,
  undefined,
  undefined,
  undefined,
];
const PROGRESS = 20;

interface Fault extends Point {
  readonly error: "EIO" | "ENOSPC";
  /** `once`; or all later calls fail, too, until the disk is mended, or until the worker is killed. */
  readonly until: "once" | "mended" | "killed";
}

/** Strikes until every fault was met, or `limit` of them, spread evenly. */
export function runFaults(tally: Tally, { limit, jobs }: { limit: number; jobs: number }): Promise<void> {
  return withSites(jobs, async (sites) => {
    const [first] = sites;
    if (!first) return;
    const faults = spread((await recordedPoints(first, CALLS, ON_FILES)).flatMap(faultsAt), limit);
    say(`faults: ${faults.length} points`);
    const next = faults.values();
    await Promise.all(sites.map((site) => failAtEach(site, next, tally)));
  });
}

/** Both errors at each point, one of them lasting at every few, in turns. */
function faultsAt(point: Point, i: number): readonly Fault[] {
  const faults: Fault[] = [];
  for (const error of ["EIO", "ENOSPC"] as const) faults.push({ ...point, error, until: "once" });
  const lasting = LASTING[i % LASTING.length];
  if (lasting) faults.push({ ...point, ...lasting });
  return faults;
}

async function failAtEach(site: CrashSite, faults: Iterator<Fault>, tally: Tally): Promise<void> {
  for (let next = faults.next(); !next.done; next = faults.next()) {
    const fault = next.value;
    if (!(await reached(fault, ({ n }) => failAt(site, { ...fault, n }, tally)))) {
      say(`faults: ${nameOf(fault)}: only the recorded run made the call`);
    } else if (++tally.faults % PROGRESS === 0) say(`faults: ${tally.summary}`);
  }
}

function nameOf({ step, thread, call, n, error, until }: Fault): string {
  return `${step.name}: ${thread} ${call} ${n} ${error}, ${until}`;
}

/** False when the worker did not come to the point. */
async function failAt(site: CrashSite, fault: Fault, tally: Tally): Promise<boolean> {
  const { n, error, until } = fault;
  const at = nameOf(fault);
  await warmUp(site);
  let isGone = false;
  const gone = () => {
    isGone = true;
    site.ledger.struck();
  };
  site.onRefusal = (reply) => {
    if (reply.startsWith("5")) tally.trouble(at, `refused for good: ${reply}`);
  };
  const pid = await site.workerPid();
  const strike = { point: fault, when: until === "once" ? String(n) : `${n}+`, blow: { error }, gone };
  const end = Date.now() + BROKEN_MS;
  const attached = await runStruck(site, strike, () => isGone);
  if (until !== "once" && isStruck(attached)) await runScenario(site, () => isGone || Date.now() > end, fault.step);
  if (until === "killed" && !isGone) {
    process.kill(pid, "SIGKILL");
    site.ledger.struck();
    tally.kills++;
  }
  const isReached = (await attached.detach()).includes("(INJECTED)");
  if (isReached && isGone && until !== "killed") say(`faults: ${at}: the worker ended`);
  if (fault.call === "unlink") await removeLitter(site);
  await judgeAt(site, at, tally);
  return isReached;
}

/** A file that could not be unlinked goes when the shard is opened the next time. */
async function removeLitter(site: CrashSite): Promise<void> {
  await site.drain();
  process.kill(await site.workerPid(), "SIGKILL");
  site.ledger.struck();
}
