/** test/bench/compare.ts: `npm run bench`: Postern and Postfix side by side in one run on one machine: generator → server → sink,
 *  durable on both sides. Only ratios mean anything. `--write` puts the table into docs/benchmark.md. Needs root, Postfix
 *  and Dovecot (scripts/install-peers.sh).
 *  `cpu` as the first word: processor time of one worker per message instead, which other work on the machine hardly changes. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { generateLoad, type LoadOptions } from "../load/generator.ts";
import { type Sink, startSink } from "../load/sink.ts";
import { formatAccessCost, measureAccess } from "./access.ts";
import { CPU_HEADING, formatCpu, measureCpu } from "./cpu.ts";
import { BENCH_OPTIONS } from "./modes.ts";
import { LOGIN, type Load, PASSWORD, type Subject, Surroundings, startPostern, startPostfix } from "./subjects.ts";

const { values, positionals } = parseArgs({ options: BENCH_OPTIONS.compare, allowPositionals: true });
const MESSAGES = Number(values.messages);
/** A round that is not faster than the best before it by this factor ends the warm-up: processes are forked, code is
 *  compiled, files have their size. A server runs for months; its first seconds are not what is compared. */
const STILL_WARMING = 1.05;
const MAX_WARM_UP_ROUNDS = 8;
/** Measured rounds; the median counts. */
const ROUNDS = 3;
const RELAY_TIMEOUT_MS = 120_000;
const LOADS: readonly Load[] = ["hold", "relay", "tls"];

interface Row {
  readonly server: string;
  readonly sessions: number;
  /** Messages per second by load; the sink has "hold" alone. */
  readonly rates: ReadonlyMap<Load, number>;
}

const sink = await startSink();
const around = await Surroundings.start(sink.port);
if (positionals[0] === "cpu") {
  await reportCpu();
  process.exit(0);
}
const rows: Row[] = [];
for (const sessions of values.sessions.split(",").map(Number)) {
  rows.push(await measureSink(sessions));
  rows.push(await measure((load) => startPostfix(load, around), sessions));
  for (const workers of [1, 2]) rows.push(await measure((load) => startPostern(workers, load, around), sessions));
}
await around.stop();
await sink.close();
const results = `${formatTable(rows)}\n${formatAccessCost(await measureAccess())}`;
process.stdout.write(results);
if (values.write) writePage(join(import.meta.dirname, "../../docs/benchmark.md"), page(results));

async function reportCpu(): Promise<void> {
  process.stdout.write(CPU_HEADING);
  for (const sessions of values.sessions.split(",").map(Number)) {
    process.stdout.write(formatCpu(sessions, await measureCpu("hold", { messages: MESSAGES, sessions, around })));
  }
  await around.stop();
  await sink.close();
}

/** What the generator reaches against a sink that stores nothing: the ceiling of this machine. */
async function measureSink(sessions: number): Promise<Row> {
  const accept = async () => (await send(sink.port, { sessions })).perSecond;
  await warmUp(accept);
  return { server: "sink, stores nothing", sessions, rates: new Map([["hold", await median(accept)]]) };
}

async function measure(start: (load: Load) => Promise<Subject>, sessions: number): Promise<Row> {
  const rates = new Map<Load, number>();
  let server = "";
  for (const load of LOADS) {
    const subject = await start(load);
    server = subject.name;
    const round = () => oneRound(subject.port, load, sessions);
    await warmUp(round);
    rates.set(load, await median(round));
    await subject.stop();
  }
  return { server, sessions, rates };
}

async function oneRound(port: number, load: Load, sessions: number): Promise<number> {
  if (load === "hold") return (await send(port, { sessions })).perSecond;
  if (load === "tls") {
    const options = { sessions, tls: "starttls", auth: { login: LOGIN, password: PASSWORD } } as const;
    // A handshake costs several messages: a third of them takes as long.
    return (await send(port, { ...options, messages: Math.ceil(MESSAGES / 3) })).perSecond;
  }
  const before = sink.counts.messages;
  const begin = performance.now();
  const { accepted } = await send(port, { sessions });
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

async function send(port: number, options: Partial<LoadOptions>): ReturnType<typeof generateLoad> {
  const fixed = { port, messages: MESSAGES, sizeBytes: 4096, perConnection: 1, retry: true };
  return generateLoad({ ...fixed, from: "bench@example.org", to: "bench@sink.example", ...options });
}

async function arrivedAt(target: Sink, count: number): Promise<void> {
  for (const end = Date.now() + RELAY_TIMEOUT_MS; target.counts.messages < count; await sleep(5)) {
    if (Date.now() > end) throw new Error(`Only ${target.counts.messages} of ${count} messages arrived`);
  }
}

function formatTable(all: readonly Row[]): string {
  const lines = [
    "| server | sessions | accepted/s | × Postfix | share of sink | relayed/s | × Postfix | TLS + AUTH, accepted/s | × Postfix |",
    "|---|---|---|---|---|---|---|---|---|",
  ];
  for (const row of all) {
    const of = (prefix: string) => all.find((r) => r.server.startsWith(prefix) && r.sessions === row.sessions);
    const [postfix, top] = [of("Postfix"), of("sink")];
    const cells = (load: Load): string[] => {
      const rate = row.rates.get(load);
      const base = postfix?.rates.get(load);
      return rate === undefined ? ["", ""] : [rate.toFixed(0), base ? (rate / base).toFixed(1) : ""];
    };
    const share = (100 * (row.rates.get("hold") ?? 0)) / (top?.rates.get("hold") ?? Number.NaN);
    const shown = row === top ? "" : `${share.toFixed(0)} %`;
    const columns = [row.server, row.sessions, ...cells("hold"), shown, ...cells("relay"), ...cells("tls")];
    lines.push(`| ${columns.join(" | ")} |`);
  }
  return `${lines.join("\n")}\n`;
}

function page(body: string): string {
  return `# Benchmark

\`npm run bench -- --write\` made this page: messages of 4 KiB, one message per connection, generator → server →
sink on one machine (${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? "unknown processor"}), both servers durable, Postfix with in_flow_delay = 0.
"Accepted" is measured with everything put on hold (access HOLD on both sides), "relayed" from the first connection to the
last arrival at the sink, "TLS + AUTH" is accepting with STARTTLS (TLS 1.3, full handshake) and AUTH PLAIN against one Dovecot on each
connection. Each is the median of ${ROUNDS} rounds of ${MESSAGES} messages after a warm-up that lasts until rounds get no faster.
Generator and sink are test/load/, run in one process beside the server, so they take their share of the cores
(smtp-source takes twice the processor time a message and reads replies blockingly: it would be what is measured).
Absolute numbers mean nothing; ratios do.

${body}`;
}

/** What other benchmarks measured stands in sections of its own, and stays. */
function writePage(path: string, text: string): void {
  const sections = readFileSync(path, "utf8").split(/^(?=## )/m);
  writeFileSync(path, [text, ...sections.slice(1)].join("\n"));
}
