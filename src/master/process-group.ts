/** master/process-group.ts: signals for a command that leads a process group of its own. */
import type { ChildProcess } from "node:child_process";

/** The command and its offspring; a command that could not be started has none. */
export function signalGroup({ pid, exitCode, signalCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // ended meanwhile
  }
}
