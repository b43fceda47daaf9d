/** test/bench/cpu.ts: `npm run bench -- cpu`: processor time of one worker per accepted message, thread by thread. Unlike
 *  messages per second it says the same on a busy machine. */
import { readdirSync, readFileSync } from "node:fs";
import { generateLoad } from "../load/generator.ts";
import { type Load, type Surroundings, startPostern } from "./subjects.ts";

/** Linux: clock ticks in a second, the unit of /proc/PID/stat (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;
/** Code must be compiled before it is measured. */
const WARM_UP_ROUNDS = 3;
/** The least counts: whatever else the machine does only adds. */
const ROUNDS = 5;

/** Microseconds of each thread for one message, user and kernel. */
interface Cost {
  readonly main: number;
  readonly store: number;
  /** Garbage collection, compilation, file system, DNS. */
  readonly others: number;
}

interface Threads {
  readonly user: number;
  readonly kernel: number;
  readonly cost: Cost;
}

export async function measureCpu(load: Load, options: { messages: number; sessions: number; around: Surroundings }) {
  const { messages, sessions, around } = options;
  const subject = await startPostern(1, load, around);
  const rounds: Threads[] = [];
  try {
    const [pid] = await subject.workerPids();
    if (pid === undefined) throw new Error("There is no worker");
    for (let i = 0; i < WARM_UP_ROUNDS + ROUNDS; i++) {
      const before = threadsOf(pid);
      const fixed = { port: subject.port, sizeBytes: 4096, perConnection: 1, retry: true };
      await generateLoad({ ...fixed, from: "bench@example.org", to: "bench@sink.example", messages, sessions });
      if (i >= WARM_UP_ROUNDS) rounds.push(spent(before, threadsOf(pid), messages));
    }
  } finally {
    await subject.stop();
  }
  return rounds.sort((a, b) => total(a.cost) - total(b.cost))[0] as Threads;
}

export function formatCpu(sessions: number, { user, kernel, cost }: Threads): string {
  const us = (value: number) => `${value.toFixed(0)} µs`;
  return `| ${sessions} | ${us(total(cost))} | ${us(cost.main)} | ${us(cost.store)} | ${us(cost.others)} | ${us(user)} | ${us(kernel)} |\n`;
}

export const CPU_HEADING =
  "| sessions | worker, per message | main thread | store thread | others | of all: user | kernel |\n|---|---|---|---|---|---|---|\n";

function total({ main, store, others }: Cost): number {
  return main + store + others;
}

type Ticks = ReadonlyMap<number, { readonly name: string; readonly user: number; readonly kernel: number }>;

/** proc(5): fields 14 and 15 of /proc/PID/task/TID/stat; the name may hold blanks and brackets. */
function threadsOf(pid: number): Ticks {
  const threads = new Map<number, { name: string; user: number; kernel: number }>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, "latin1");
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    const name = stat.slice(stat.indexOf("(") + 1, end);
    threads.set(Number(tid), { name, user: Number(fields[11]), kernel: Number(fields[12]) });
  }
  return threads;
}

function spent(before: Ticks, after: Ticks, messages: number): Threads {
  const microseconds = 1e6 / TICKS_PER_SECOND / messages;
  const sums = { main: 0, store: 0, others: 0, user: 0, kernel: 0 };
  const [first] = after.keys();
  for (const [tid, { name, user, kernel }] of after) {
    const was = before.get(tid) ?? { user: 0, kernel: 0 };
    const u = (user - was.user) * microseconds;
    const k = (kernel - was.kernel) * microseconds;
    sums[tid === first ? "main" : /^WorkerThread/.test(name) ? "store" : "others"] += u + k;
    sums.user += u;
    sums.kernel += k;
  }
  const { main, store, others, user, kernel } = sums;
  return { user, kernel, cost: { main, store, others } };
}
