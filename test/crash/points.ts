/** test/crash/points.ts: where in the scenario one can strike: which thread makes which system call, how often in which step.
 *  A step does not always make the same calls: two requests may share a commit, or a commit more may be needed. So it is
 *  recorded more than once, and a strike that comes too late for a run is tried again one call earlier. */
import { setTimeout as sleep } from "node:timers/promises";
import { runStep, STEPS, type Step, warmUp } from "./scenario.ts";
import { CrashSite } from "./site.ts";
import { type Attached, record, type Strike, strike, type Thread, threadsOf } from "./strike.ts";

/** Every `stride`-th call of a thread. */
export interface Series {
  readonly thread: Thread;
  readonly call: string;
  readonly stride: number;
}

/** The n-th call of a thread, counted from when the step begins. */
export type Point = Pick<Strike, "thread" | "call"> & { readonly step: Step; readonly n: number };

const RECORDINGS = 2;
const ROUNDS = 2;
/** What a step has begun ends within this time: the last copy is acknowledged before it is settled. */
const LINGER_MS = 1000;
const QUIET_MS = 120;
const LOOK_MS = 10;

/** Servers that run, closed when `run` is over. */
export async function withSites(jobs: number, run: (sites: readonly CrashSite[]) => Promise<void>): Promise<void> {
  const sites: CrashSite[] = [];
  try {
    for (let n = 0; n < jobs; n++) {
      const site = await CrashSite.make();
      sites.push(site);
      await site.server.start();
    }
    await run(sites);
  } finally {
    await Promise.all(sites.map((site) => site.close()));
  }
}

/** The calls of all steps, in the order of the series, which says what each is. `only`: those whose line in the trace
 *  matches. */
export async function recordedPoints(
  site: CrashSite,
  series: readonly Series[],
  only = /./,
): Promise<readonly Point[]> {
  await warmUp(site);
  const names = [...new Set(series.map(({ call }) => call))];
  const points: Point[] = [];
  for (const step of STEPS) {
    const most = new Map<Series, readonly number[]>();
    for (let n = 0; n < RECORDINGS; n++) {
      for (const [one, found] of chosen(await recordedStep(site, step, names), series, only)) {
        if (found.length > (most.get(one)?.length ?? 0)) most.set(one, found);
      }
    }
    for (const [{ thread, call }, found] of most) points.push(...found.map((n) => ({ step, thread, call, n })));
  }
  return series.flatMap(({ thread, call }) => points.filter((p) => p.thread === thread && p.call === call));
}

interface RecordedLine {
  readonly thread: Thread | undefined;
  readonly call: string;
  readonly line: string;
}

async function recordedStep(site: CrashSite, step: Step, names: readonly string[]): Promise<readonly RecordedLine[]> {
  const pid = await site.workerPid();
  const attached = await record(pid, names);
  await runStep(site, step, () => false);
  await isQuiet(attached);
  const lines = (await attached.detach()).split("\n");
  const empty = await site.drain();
  const { faults } = site.judge();
  if (!empty || faults.length > 0) throw new Error(`Without a strike, ${step.name}: ${faults.join("; ")}`);
  const threads = threadsOf(pid);
  return lines.flatMap((line) => {
    const [, tid = "", call = ""] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    return call === "" ? [] : [{ thread: threads.get(Number(tid)), call, line }];
  });
}

/** Resolves when no call has been made for a while. */
export async function isQuiet(attached: Attached): Promise<void> {
  let seen = -1;
  for (let now = attached.lines().length; now !== seen; now = attached.lines().length) {
    seen = now;
    await sleep(QUIET_MS);
  }
}

/** Numbers of the calls that a series names. */
function chosen(
  lines: readonly RecordedLine[],
  series: readonly Series[],
  only: RegExp,
): ReadonlyMap<Series, readonly number[]> {
  const found = new Map<Series, readonly number[]>();
  for (const one of series) {
    const calls = lines.filter(({ thread, call }) => thread === one.thread && call === one.call);
    const numbers = calls.flatMap(({ line }, i) => (i % one.stride === 0 && only.test(line) ? [i + 1] : []));
    if (numbers.length > 0) found.set(one, numbers);
  }
  return found;
}

/** Runs a step of which one call is struck; `keepOn` says what else is done, once the step is through. Resolves when the
 *  call was made or is not to be expected any more; the caller lets go. */
export async function runStruck(
  site: CrashSite,
  { point, when, blow, gone }: { point: Point; when: string; blow: Strike["blow"]; gone: () => void },
  isOver: () => boolean,
): Promise<Attached> {
  const { thread, call } = point;
  const attached = await strike(await site.workerPid(), { thread, call, when, blow }, gone);
  await runStep(site, point.step, isOver);
  for (const end = Date.now() + LINGER_MS; !isOver() && !isStruck(attached) && Date.now() < end; ) await sleep(LOOK_MS);
  return attached;
}

/** Whether a call has failed as it was to. */
export function isStruck(attached: Attached): boolean {
  return attached.lines().includes("(INJECTED)");
}

/** Tries a point, then the calls before it, until one is reached, and all that once more, since a step may make a call only
 *  when two things meet; undefined when none is. */
export async function reached<P extends { readonly n: number }>(
  point: P,
  attempt: (point: P) => Promise<boolean>,
): Promise<P | undefined> {
  for (let round = 0; round < ROUNDS; round++) {
    for (let { n } = point; n > 0; n--) {
      const tried = { ...point, n };
      if (await attempt(tried)) return tried;
    }
  }
  return undefined;
}

/** At most `limit` of them, from all parts of the list. */
export function spread<T>(all: readonly T[], limit: number): readonly T[] {
  if (all.length <= limit) return all;
  return Array.from({ length: limit }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / limit)] as T);
}
