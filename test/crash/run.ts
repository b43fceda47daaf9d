/** test/crash/run.ts: the proof of promises 1 and 2 under kill -9 and broken disks: what was answered 250 arrives exactly
 *  once, or twice when the next hop's own 250 was lost with the process; what was not answered 250 arrives at most once.
 *  Usage: run.ts [--part NAME[,NAME…]] [--kills N] [--jobs N]
 *    matrix  a worker is killed at every system call of a durable step
 *    starts  servers and commands are killed at every such call from their start to their stop
 *    faults  every such call fails, once or for a while
 *    checkpoints  the write-ahead log is moved into the database meanwhile; kills and failing calls at each step
 *    power   the power goes: files are made as they may be then, and opened
 *    random  workers and master are killed at random moments under load
 *  Without --part, all. --kills bounds the run for daily use: N in all, divided between matrix, power and random. */
import { parseArgs } from "node:util";
import { hasStrace } from "../testbed/strace.ts";
import { runCheckpoints } from "./checkpoints.ts";
import { runFaults } from "./faults.ts";
import { runMatrix } from "./matrix.ts";
import { runPower } from "./power.ts";
import { runRandom } from "./random.ts";
import { runStarts } from "./starts.ts";
import { say, Tally } from "./tally.ts";

const { values } = parseArgs({
  options: { kills: { type: "string" }, part: { type: "string" }, jobs: { type: "string", default: "2" } },
});
const ALL = ["matrix", "starts", "faults", "checkpoints", "power", "random"];
const RANDOM_KILLS = 100;

// One thread for files in each worker: which call is the n-th must not depend on which of four was free.
process.env.UV_THREADPOOL_SIZE = "1";

const parts = partsOf();
const tally = new Tally();
const share = values.kills === undefined ? undefined : Math.ceil(Number(values.kills) / parts.length);
const bounds = { limit: share ?? Number.POSITIVE_INFINITY, jobs: Number(values.jobs) };
if (parts.includes("matrix")) await runMatrix(tally, bounds);
if (parts.includes("starts")) await runStarts(tally, bounds);
if (parts.includes("faults")) await runFaults(tally, bounds);
if (parts.includes("checkpoints")) await runCheckpoints(tally, bounds);
delete process.env.UV_THREADPOOL_SIZE;
if (parts.includes("power")) await runPower(tally, bounds);
if (parts.includes("random")) await runRandom(tally, share ?? RANDOM_KILLS);
say(tally.summary);
process.exit(tally.isGood ? 0 : 1);

/** Without strace, which is not everywhere allowed, only random moments. */
function partsOf(): readonly string[] {
  const all = values.kills === undefined ? ALL : ["matrix", "power", "random"];
  const wanted = values.part?.split(",") ?? all;
  const unknown = wanted.find((part) => !ALL.includes(part));
  if (unknown !== undefined) throw new Error(`No part "${unknown}": one of ${ALL.join(", ")}`);
  if (hasStrace()) return wanted;
  say("no strace, or no right to use it: only random kills");
  return ["random"];
}
