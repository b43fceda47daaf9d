/** test/bench/main.ts: `npm run bench`: Postern and Postfix side by side in one run on one machine: generator → server → sink,
 *  durable on both sides. Only ratios mean anything. `--write` puts the table into docs/benchmark.md.
 *  Usage: main.ts [--messages N] [--write] */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad, type LoadOptions } from "../load/generator.ts";
import { type Sink, startSink } from "../load/sink.ts";
import { hasPostfix, TestPostfix } from "../testbed/postfix.ts";
import { freePort, TestServer } from "../testbed/server.ts";

const { values } = parseArgs({
  options: { messages: { type: "string", default: "4000" }, write: { type: "boolean", default: false } },
});
const MESSAGES = Number(values.messages);
/** A round that is not faster than the best before it by this factor ends the warm-up: processes are forked, code is
 *  compiled, files have their size. A server runs for months; its first seconds are not what is compared. */
const STILL_WARMING = 1.05;
const MAX_WARM_UP_ROUNDS = 8;
/** Measured rounds; the median counts. */
const ROUNDS = 3;
const RELAY_TIMEOUT_MS = 120_000;
/** Accepted mail stays in the queue: what is measured is accepting alone. */
const HOLD = "smtpd_client_restrictions = check_client_access static:HOLD";

interface Row {
  readonly server: string;
  readonly sessions: number;
  /** Messages answered 250 per second while everything is held in the queue (access HOLD on both sides). */
  readonly acceptRate: number;
  /** Messages at the sink per second, from the first command to the last arrival. */
  readonly relayRate: number;
}

interface Subject {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

const sink = await startSink();
const rows: Row[] = [];
for (const sessions of [20, 100]) {
  rows.push(await measureSink(sessions));
  if (hasPostfix()) rows.push(await measure(startPostfix, sessions));
  for (const workers of [1, 2]) rows.push(await measure((hold) => startPostern(workers, hold), sessions));
}
await sink.close();
const table = formatTable(rows);
process.stdout.write(table);
if (values.write) writeFileSync(join(import.meta.dirname, "../../docs/benchmark.md"), page(table));

/** What the generator reaches against a sink that stores nothing: the ceiling of this machine. */
async function measureSink(sessions: number): Promise<Row> {
  const accept = async () => (await load(sink.port, sessions)).perSecond;
  await warmUp(accept);
  return { server: "sink, stores nothing", sessions, acceptRate: await median(accept), relayRate: Number.NaN };
}

async function measure(start: (hold: boolean) => Promise<Subject>, sessions: number): Promise<Row> {
  const holding = await start(true);
  const accept = async () => (await load(holding.port, sessions)).perSecond;
  await warmUp(accept);
  const acceptRate = await median(accept);
  await holding.stop();
  const relaying = await start(false);
  const relay = () => relayed(relaying.port, sessions);
  await warmUp(relay);
  const relayRate = await median(relay);
  await relaying.stop();
  return { server: relaying.name, sessions, acceptRate, relayRate };
}

/** Messages per second from the first connection to the last arrival at the sink. */
async function relayed(port: number, sessions: number): Promise<number> {
  const before = sink.counts.messages;
  const begin = performance.now();
  const { accepted } = await load(port, sessions);
  await arrivedAt(sink, before + accepted);
  return accepted / ((performance.now() - begin) / 1000);
}

async function warmUp(round: () => Promise<number>): Promise<void> {
  let best = await round();
  for (let i = 1; i < MAX_WARM_UP_ROUNDS; i++) {
    const rate = await round();
    if (rate < best * STILL_WARMING && i > 1) return;
    best = Math.max(best, rate);
  }
}

async function median(round: () => Promise<number>): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i < ROUNDS; i++) rates.push(await round());
  return rates.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}

function load(port: number, sessions: number): ReturnType<typeof generateLoad> {
  const options: LoadOptions = { port, sessions, messages: MESSAGES, sizeBytes: 4096, perConnection: 1, retry: true };
  return generateLoad({ ...options, from: "bench@example.org", to: "bench@sink.example" });
}

async function arrivedAt(target: Sink, count: number): Promise<void> {
  for (const end = Date.now() + RELAY_TIMEOUT_MS; target.counts.messages < count; await sleep(5)) {
    if (Date.now() > end) throw new Error(`Only ${target.counts.messages} of ${count} messages arrived`);
  }
}

async function startPostfix(hold: boolean): Promise<Subject> {
  const port = await freePort();
  const postfix = new TestPostfix(port, {
    mainCf: `relayhost = [127.0.0.1]:${sink.port}\nmynetworks = 127.0.0.0/8\nsmtpd_client_connection_count_limit = 0
default_process_limit = 200\n${hold ? HOLD : ""}`,
  });
  await postfix.start();
  const version = execFileSync("postconf", ["-d", "-h", "mail_version"]).toString().trim();
  return { name: `Postfix ${version}`, port, stop: async () => postfix.stop() };
}

async function startPostern(workers: number, hold: boolean): Promise<Subject> {
  const port = await freePort();
  const server = new TestServer({
    mainCf: `compatibility_level = 3.10\nrelayhost = [127.0.0.1]:${sink.port}\nmynetworks = 127.0.0.0/8
postern_workers = ${workers}\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
${hold ? HOLD : ""}`,
    masterCf: `${port} inet n - n - - smtpd\n`,
  });
  await server.start();
  return { name: `Postern, workers ${workers}`, port, stop: () => server[Symbol.asyncDispose]() };
}

function formatTable(all: readonly Row[]): string {
  const lines = [
    "| server | sessions | accepted/s | × Postfix | relayed/s | × Postfix | share of sink |",
    "|---|---|---|---|---|---|---|",
  ];
  for (const row of all) {
    const postfix = all.find((r) => r.server.startsWith("Postfix") && r.sessions === row.sessions);
    const top = all.find((r) => r.server.startsWith("sink") && r.sessions === row.sessions);
    const ratio = (n: number, of: number | undefined) => (of && Number.isFinite(n) ? (n / of).toFixed(1) : "");
    const share = top && row !== top ? `${Math.round((100 * row.acceptRate) / top.acceptRate)} %` : "";
    const relayed = Number.isFinite(row.relayRate) ? row.relayRate.toFixed(0) : "";
    lines.push(
      `| ${row.server} | ${row.sessions} | ${row.acceptRate.toFixed(0)} | ${ratio(row.acceptRate, postfix?.acceptRate)} | ${relayed} | ${ratio(row.relayRate, postfix?.relayRate)} | ${share} |`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function page(body: string): string {
  return `# Benchmark

\`npm run bench -- --write\` made this page: messages of 4 KiB, one message per connection, generator → server →
sink on one machine (${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? "unknown processor"}), both servers durable, Postfix with in_flow_delay = 0.
"Accepted" is measured with everything put on hold (access HOLD on both sides), "relayed" from the first connection to the
last arrival at the sink; each is the median of ${ROUNDS} rounds of ${MESSAGES} messages after a warm-up that lasts until rounds get no faster.
Generator and sink are test/load/, run in one process beside the server, so they take their share of the cores
(smtp-source takes twice the processor time a message and reads replies blockingly: it would be what is measured). Absolute numbers mean nothing; ratios do.

${body}`;
}
