/** test/bench/processes.ts: memory and processor time of processes as the kernel counts them. Linux only. */
import { readFileSync } from "node:fs";

/** Linux: clock ticks in a second, the unit of /proc/PID/stat (getconf CLK_TCK). */
const TICKS_PER_SECOND = 100;

/** Proportional set size, MiB over all of them. */
export function pssMib(pids: readonly number[]): number {
  const kib = (pid: number) =>
    Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1] ?? 0);
  return pids.reduce((sum, pid) => sum + kib(pid), 0) / 1024;
}

/** Seconds of user and kernel time of all their threads, from their start. */
export function processorSeconds(pids: readonly number[]): number {
  const ticks = (pid: number) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  };
  return pids.reduce((sum, pid) => sum + ticks(pid), 0) / TICKS_PER_SECOND;
}
