/** test/crash/run.ts: the proof of promises 1 and 2 under kill -9: what was answered 250 arrives exactly once, or twice when
 *  the next hop's own 250 was lost with the process; what was not arrives at most once. First at every system call of a
 *  durable step (matrix.ts), then at random moments under load (random.ts).
 *  Usage: run.ts [--kills N] [--part matrix|starts|faults|random] [--jobs N]. --kills divides N between the parts; without it, all. */
import { parseArgs } from "node:util";
import { hasStrace } from "../testbed/strace.ts";
import { runFaults } from "./faults.ts";
import { runMatrix } from "./matrix.ts";
import { runRandom } from "./random.ts";
import { runStarts } from "./starts.ts";
import { say, Tally } from "./tally.ts";

const { values } = parseArgs({
  options: { kills: { type: "string" }, part: { type: "string" }, jobs: { type: "string", default: "2" } },
});
const RANDOM_KILLS = 100;

// One thread for files in each worker: which call is the n-th must not depend on which of four was free.
process.env.UV_THREADPOOL_SIZE = "1";

const parts = partsOf();
const tally = new Tally();
const share = values.kills === undefined ? undefined : Math.ceil(Number(values.kills) / parts.length);
if (parts.includes("matrix")) {
  await runMatrix(tally, { limit: share ?? Number.POSITIVE_INFINITY, jobs: Number(values.jobs) });
}
if (parts.includes("starts")) {
  await runStarts(tally, { limit: share ?? Number.POSITIVE_INFINITY, jobs: Number(values.jobs) });
}
if (parts.includes("faults")) {
  await runFaults(tally, { limit: share ?? Number.POSITIVE_INFINITY, jobs: Number(values.jobs) });
}
if (parts.includes("random")) await runRandom(tally, share ?? RANDOM_KILLS);
say(tally.summary);
process.exit(tally.isGood ? 0 : 1);

/** Without strace, which is not everywhere allowed, only random moments. */
function partsOf(): readonly string[] {
  const wanted = values.part === undefined ? ["matrix", "starts", "faults", "random"] : [values.part];
  if (hasStrace()) return wanted;
  say("no strace, or no right to use it: only random kills");
  return ["random"];
}
