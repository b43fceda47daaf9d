/** test/bench/soak.ts: `npm run bench -- soak`: minutes at half of what the server can relay, with a next hop that defers 10 % and
 *  refuses 2 %. Afterwards every message that was accepted must have arrived once or come back as a bounce, and memory must
 *  not have grown. Linux. */
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad } from "../load/generator.ts";
import { startSink } from "../load/sink.ts";
import { SinkRefusal } from "../load/sink-session.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { BENCH_OPTIONS } from "./modes.ts";
import { pssMib } from "./processes.ts";

const { values } = parseArgs({ options: BENCH_OPTIONS.soak, allowPositionals: true });
const DEFERRED_SHARE = 0.1;
const REFUSED_SHARE = 0.02;
const PROBE_MESSAGES = 4000;
const SESSIONS = 20;
/** For the last retries. */
const DRAIN_MS = 120_000;

const accepted = new Set<string>();
/** How often each id arrived for good. */
const arrived = new Map<string, number>();
const refused = new Set<string>();
const returned = new Set<string>();
let deferrals = 0;

const sink = await startSink({
  onMessage: async ({ id }) => {
    if (id === undefined) return;
    // A bounce carries the header of what was refused.
    if (refused.has(id)) {
      returned.add(id);
      return;
    }
    const dice = Math.random();
    if (dice < DEFERRED_SHARE) {
      deferrals++;
      throw new SinkRefusal("451 4.2.0 Mailbox is busy");
    }
    if (dice < DEFERRED_SHARE + REFUSED_SHARE) {
      refused.add(id);
      throw new SinkRefusal("550 5.1.1 No such user here");
    }
    arrived.set(id, (arrived.get(id) ?? 0) + 1);
  },
});
const port = await freePort();
const server = new TestServer({
  mainCf: `compatibility_level = 3.10
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
postern_workers = ${values.workers}
mydestination =
relayhost = [127.0.0.1]:${sink.port}
minimal_backoff_time = 10s
maximal_backoff_time = 20s
queue_run_delay = 10s`,
  masterCf: `${port} inet n - n - - smtpd\n`,
});
await server.start();
const rate = values.rate === undefined ? Math.floor((await mostPerSecond()) / 2) : Number(values.rate);
say(`${rate} messages/s for ${values.minutes} min`);
const samples: number[] = [];
/** The last sample, process by process. */
let each: readonly number[] = [];
const worst = await run(Number(values.minutes) * 60);
await drained();
verdict();
await server[Symbol.asyncDispose]();
await sink.close();
process.exit(process.exitCode ?? 0);

async function mostPerSecond(): Promise<number> {
  let best = 0;
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    const goal = accepted.size + PROBE_MESSAGES;
    await send(PROBE_MESSAGES);
    while (arrived.size + refused.size < goal * (1 - DEFERRED_SHARE * 1.5)) await sleep(5);
    best = Math.max(best, PROBE_MESSAGES / ((performance.now() - begin) / 1000));
  }
  return best;
}

/** One burst a second. Resolves to how far it fell behind at most, in seconds. */
async function run(seconds: number): Promise<number> {
  const begin = performance.now();
  let behind = 0;
  for (let second = 0; second < seconds; second++) {
    const late = performance.now() - begin - second * 1000;
    behind = Math.max(behind, late / 1000);
    if (late < 0) await sleep(-late);
    await send(rate);
    if (second % 5 === 0) await sample();
    if (second % 60 === 0) say(`after ${second} s: PSS ${shown(each)} MiB of master and workers`);
  }
  return behind;
}

async function sample(): Promise<void> {
  each = [server.pid, ...(await server.workerPids())].map((pid) => pssMib([pid]));
  samples.push(each.reduce((sum, n) => sum + n, 0));
}

function shown(mib: readonly number[]): string {
  return mib.map((n) => n.toFixed(0)).join(" + ");
}

function send(messages: number): ReturnType<typeof generateLoad> {
  const onAccepted = (id: string) => void accepted.add(id);
  return generateLoad({
    port,
    messages,
    sessions: SESSIONS,
    sizeBytes: 4096,
    perConnection: 10,
    retry: true,
    onAccepted,
  });
}

async function drained(): Promise<void> {
  for (const end = Date.now() + DRAIN_MS; Date.now() < end; await sleep(500)) {
    if (arrived.size + returned.size >= accepted.size) return;
  }
}

function verdict(): void {
  const lost = [...accepted].filter((id) => !arrived.has(id) && !returned.has(id));
  const twice = [...arrived.values()].filter((n) => n > 1).length;
  const quarter = Math.max(1, samples.length >> 2);
  const mean = (list: readonly number[]) => list.reduce((sum, n) => sum + n, 0) / list.length;
  const [second, last] = [mean(samples.slice(quarter, 2 * quarter)), mean(samples.slice(-quarter))];
  say(
    `${accepted.size} accepted, ${arrived.size} arrived, ${returned.size} bounced, ${deferrals} deferrals, ${twice} arrived twice, ${lost.length} lost`,
  );
  say(
    `PSS ${second.toFixed(0)} MiB in the second quarter, ${last.toFixed(0)} MiB in the last, at most ${Math.max(...samples).toFixed(0)}; at most ${worst.toFixed(1)} s behind the plan`,
  );
  if (lost.length > 0) process.exitCode = 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
