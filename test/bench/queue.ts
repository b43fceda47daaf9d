/** test/bench/queue.ts: `npm run bench -- queue`: what a long queue costs: memory, start, accepting and delivering, against the
 *  same server with an empty queue. Half of the queue is for one provider that is down, half for 5,000 domains that take
 *  mail; retries are due all the time. Linux, 6 GB of disk at a million. Processor time says the same on a busy machine. */
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad } from "../load/generator.ts";
import { startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { fill, transportMap } from "./backlog.ts";
import { BENCH_OPTIONS } from "./modes.ts";
import { processorSeconds, pssMib } from "./processes.ts";

const { values } = parseArgs({ options: BENCH_OPTIONS.queue, allowPositionals: true });
const number = (name: keyof typeof values) => Number(values[name]);
const [messages, workers, rounds] = [number("messages"), number("workers"), number("rounds")];
const IN_A_ROUND = 4000;
const SESSIONS = 20;

interface Round {
  readonly perSecond: number;
  /** Milliseconds of the workers for one message, retries of the backlog included. */
  readonly processorMs: number;
}

interface Figures {
  readonly startSeconds: number;
  readonly restMib: number;
  readonly peakMib: number;
  readonly accepted: readonly Round[];
  readonly relayed: readonly Round[];
}

/** For the server: it takes mail on all loopback addresses. */
const sink = await startSink({ host: "0.0.0.0" });
const [holdPort, relayPort, deadPort] = [await freePort(), await freePort(), await freePort()];
const [empty, full] = [makeServer(), makeServer()];

const before = await measure(empty);
await empty.stop();
await fillIt();
const withQueue = await measure(full);
await look();
await full.stop();
const after = await measure(empty);
const without = {
  ...before,
  accepted: [...before.accepted, ...after.accepted],
  relayed: [...before.relayed, ...after.relayed],
};
report(without, withQueue);
await empty[Symbol.asyncDispose]();
await full[Symbol.asyncDispose]();
await sink.close();
process.exit(0);

function makeServer(): TestServer {
  const hold = "-o { smtpd_sender_restrictions = check_client_access static:HOLD }";
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
postern_workers = ${workers}
mydestination =
relayhost = [127.0.0.1]:${sink.port}`,
    masterCf: `${relayPort} inet n - n - - smtpd\n${holdPort} inet n - n - - smtpd ${hold}\n`,
    files: { routes: transportMap({ livePort: sink.port, deadPort }) },
  });
  server.append("main.cf", `transport_maps = regexp:${server.directory}/routes\n`);
  return server;
}

/** The server makes its directories, then its shards are filled. */
async function fillIt(): Promise<void> {
  await full.start();
  await full.stop();
  const directory = join(full.directory, "spool/queue");
  const begin = performance.now();
  const dueFromMs = Date.now() + 60_000;
  const dueToMs = dueFromMs + number("spread") * 1000;
  fill({
    directory,
    shards: workers,
    messages,
    bodyBytes: number("body"),
    livePort: sink.port,
    deadPort,
    dueFromMs,
    dueToMs,
  });
  const shard = (i: number) => join(directory, `shard-${String(i).padStart(2, "0")}`, "queue.sqlite");
  const bytes = Array.from({ length: workers }, (_, i) => statSync(shard(i)).size).reduce((sum, n) => sum + n, 0);
  say(`filled ${messages} messages in ${seconds(begin)} s, ${(bytes / 2 ** 20).toFixed(0)} MiB on disk`);
}

async function measure(server: TestServer): Promise<Figures> {
  const begin = performance.now();
  await server.start();
  const startSeconds = Number(seconds(begin));
  await sleep(3000);
  const workerPids = await server.workerPids();
  const pids = [server.pid, ...workerPids];
  const restMib = pssMib(pids);
  let peakMib = restMib;
  const watch = setInterval(() => {
    peakMib = Math.max(peakMib, pssMib(pids));
  }, 500);
  const accepted = await timed(workerPids, accept);
  const relayed = await timed(workerPids, relay);
  clearInterval(watch);
  return { startSeconds, restMib, peakMib, accepted, relayed };
}

/** The first round compiles code. */
async function timed(pids: readonly number[], run: () => Promise<number>): Promise<readonly Round[]> {
  const done: Round[] = [];
  await run();
  for (let i = 0; i < rounds; i++) {
    const spent = processorSeconds(pids);
    const perSecond = await run();
    done.push({ perSecond, processorMs: ((processorSeconds(pids) - spent) * 1000) / IN_A_ROUND });
  }
  return done;
}

async function accept(): Promise<number> {
  return (await send(holdPort)).perSecond;
}

/** From the first connection to the last arrival. The backlog's own retries reach the sink too: at most a few hundred a second. */
async function relay(): Promise<number> {
  const begin = performance.now();
  const had = sink.counts.messages;
  const { accepted } = await send(relayPort);
  for (const end = Date.now() + 120_000; sink.counts.messages - had < accepted; await sleep(5)) {
    if (Date.now() > end) throw new Error(`Only ${sink.counts.messages - had} of ${accepted} arrived`);
  }
  return accepted / ((performance.now() - begin) / 1000);
}

function send(port: number): ReturnType<typeof generateLoad> {
  const fixed = {
    sessions: SESSIONS,
    sizeBytes: 4096,
    retry: true,
    from: "bench@example.org",
    to: "bench@sink.example",
  };
  return generateLoad({ port, messages: IN_A_ROUND, ...fixed });
}

/** What an operator does. */
async function look(): Promise<void> {
  for (const words of [
    ["queue", "list", "--limit", "20"],
    ["queue", "shape"],
  ]) {
    const begin = performance.now();
    const { code } = await full.run(words);
    say(`postern ${words.join(" ")}: ${seconds(begin)} s, exit ${code}`);
  }
}

function report(emptyOne: Figures, fullOne: Figures): void {
  say(
    "| queue | start | PSS at rest, MiB | most | accepted/s | of empty | ms of processor each | relayed/s | of empty | ms of processor each |",
  );
  say("|---|---|---|---|---|---|---|---|---|---|");
  say(line("empty", emptyOne, emptyOne));
  say(line(`${messages} messages`, fullOne, emptyOne));
}

function line(name: string, figures: Figures, base: Figures): string {
  const columns = (kind: "accepted" | "relayed") => {
    const [rate, other] = [median(figures[kind], "perSecond"), median(base[kind], "perSecond")];
    return [rate.toFixed(0), `${((100 * rate) / other).toFixed(0)} %`, median(figures[kind], "processorMs").toFixed(2)];
  };
  const { startSeconds, restMib, peakMib } = figures;
  const cells = [
    name,
    `${startSeconds} s`,
    restMib.toFixed(0),
    peakMib.toFixed(0),
    ...columns("accepted"),
    ...columns("relayed"),
  ];
  return `| ${cells.join(" | ")} |`;
}

function median(all: readonly Round[], of: keyof Round): number {
  const sorted = all.map((round) => round[of]).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

function seconds(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(1);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
