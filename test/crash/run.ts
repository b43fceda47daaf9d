/** test/crash/run.ts: the proof of promise 1 under kill -9. A generator records every 250 and reconnects; a sink records what
 *  it acknowledged; workers and master are killed at random under load. In the end every message answered 250 has arrived,
 *  and none twice but those that were in flight to the sink at a kill. Usage: run.ts [--kills N] */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad } from "../load/generator.ts";
import { startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const { values } = parseArgs({ options: { kills: { type: "string", default: "200" } } });
const KILLS = Number(values.kills);
/** A delivery the sink acknowledged so shortly before a kill may not have been settled yet. */
const WINDOW_MS = 2000;
const DRAIN_MS = 120_000;

/** When each message was acknowledged by the sink; more than one time is a double. */
const arrived = new Map<string, number[]>();
const accepted = new Set<string>();
const kills: number[] = [];

const sink = await startSink({
  onMessage: ({ id }) => {
    if (id !== undefined) arrived.set(id, [...(arrived.get(id) ?? []), Date.now()]);
  },
});
const port = await freePort();
const server = new TestServer({
  mainCf: `relayhost = [127.0.0.1]:${sink.port}
compatibility_level = 3.10
postern_workers = 2
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
minimal_backoff_time = 1s
maximal_backoff_time = 2s
transport_retry_time = 1s`,
  masterCf: `${port} inet n - n - - smtpd\n`,
});
await server.start();
let enough = false;
const load = keepLoading();
for (let n = 0; n < KILLS; n++) {
  await sleep(randomInt(150, 600));
  await killOne(n);
}
enough = true;
await load;
await drain();
const verdict = judge();
await server[Symbol.asyncDispose]();
await sink.close();
process.stdout.write(`accepted ${accepted.size}, delivered ${arrived.size}\n`);
process.stdout.write(
  `${KILLS} kills, ${verdict.lost} lost, ${verdict.inside} doubled inside the window, ${verdict.outside} outside\n`,
);
process.exit(verdict.lost === 0 && verdict.outside === 0 && accepted.size > 0 ? 0 : 1);

/** Load in rounds, since a generator has a fixed number of messages. */
async function keepLoading(): Promise<void> {
  while (!enough) {
    await generateLoad({
      port,
      sessions: 8,
      messages: 400,
      retry: true,
      onAccepted: (id) => {
        accepted.add(id);
      },
    });
    await sleep(50);
  }
}

/** Every fifth kill takes the master, and the operator's supervisor starts it again. */
async function killOne(n: number): Promise<void> {
  if (n % 5 === 4) {
    kills.push(Date.now());
    server.kill("SIGKILL");
    await server.ended();
    await server.start();
    return;
  }
  const pids = await server.workerPids().catch(() => []);
  const pid = pids[randomInt(Math.max(1, pids.length))];
  if (pid === undefined) return;
  kills.push(Date.now());
  process.kill(pid, "SIGKILL");
}

async function drain(): Promise<void> {
  for (const end = Date.now() + DRAIN_MS; Date.now() < end; await sleep(200)) {
    if ([...accepted].every((id) => arrived.has(id))) break;
    await server.run(["flush"]);
  }
  await sleep(WINDOW_MS);
}

function judge(): { lost: number; inside: number; outside: number } {
  let inside = 0;
  let outside = 0;
  const lost = [...accepted].filter((id) => !arrived.has(id)).length;
  for (const times of arrived.values()) {
    for (const [i, time] of times.entries()) {
      if (i === 0) continue;
      const first = times[i - 1] ?? 0;
      const cut = kills.some((kill) => kill >= first - 50 && kill <= first + WINDOW_MS && kill <= time);
      if (cut) inside++;
      else outside++;
    }
  }
  return { lost, inside, outside };
}
