/** test/crash/points.ts: where in the scenario one can strike: which thread makes which system call how often. */
import { runScenario, warmUp } from "./scenario.ts";
import { CrashSite } from "./site.ts";
import { record, type Strike, type Thread, threadOf } from "./strike.ts";

/** Every `stride`-th call of a thread. */
export interface Series {
  readonly thread: Thread;
  readonly call: string;
  readonly stride: number;
}

/** The n-th call of a thread, counted from when the scenario begins. */
export type Point = Pick<Strike, "thread" | "call"> & { readonly n: number };

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

/** One whole run without a strike, and its calls. `only`: those whose line in the trace matches. */
export async function recordedPoints(
  site: CrashSite,
  series: readonly Series[],
  only = /./,
): Promise<readonly Point[]> {
  await warmUp(site);
  const pid = await site.workerPid();
  const attached = await record(pid, [...new Set(series.map(({ call }) => call))]);
  await runScenario(site, () => false);
  const lines = (await attached.detach()).split("\n");
  const empty = await site.drain();
  const verdict = site.judge();
  if (!empty || verdict.faults.length > 0) throw new Error(`Without a strike: ${verdict.faults.join("; ")}`);
  const counts = new Map<string, number>();
  const chosen: Point[] = [];
  for (const line of lines) {
    const [, tid = "", call = ""] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    const thread = threadOf(pid, Number(tid));
    const n = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, n);
    const found = series.find((one) => one.thread === thread && one.call === call);
    if (found && only.test(line) && (n - 1) % found.stride === 0) chosen.push({ ...found, n });
  }
  // In the order of the series, which says what each is.
  return series.flatMap(({ thread, call }) => chosen.filter((p) => p.thread === thread && p.call === call));
}

/** At most `limit` of them, from all parts of the list. */
export function spread<T>(all: readonly T[], limit: number): readonly T[] {
  if (all.length <= limit) return all;
  return Array.from({ length: limit }, (_, i) => all[Math.floor(((i + 0.5) * all.length) / limit)] as T);
}
