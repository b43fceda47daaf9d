/** test/crash/random.ts: workers and master are killed at random moments under load. A generator records every 250 and
 *  reconnects; a sink records what it acknowledged. In the end every message answered 250 has arrived, and none twice but
 *  those that were in flight to the sink at a kill. */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { generateLoad } from "../load/generator.ts";
import { type Sink, startSink } from "../load/sink.ts";
import { freePort, TestServer } from "../testbed/server.ts";
import { say, type Tally } from "./tally.ts";

/** A delivery the sink acknowledged so shortly before a kill may not have been settled yet. */
const WINDOW_MS = 2000;
const DRAIN_MS = 120_000;
/** Around the inline limit: in the database, and in files. */
const SIZES_BYTES = [4096, 100_000];

/** `count` kills, one every few hundred milliseconds; every fifth takes the master. */
export async function runRandom(tally: Tally, count: number): Promise<void> {
  if (count === 0) return;
  const run = await RandomRun.start();
  try {
    await run.killRepeatedly(count);
    run.judge(tally);
    tally.kills += count;
  } finally {
    await run.close();
  }
}

class RandomRun {
  readonly #sink: Sink;
  readonly #server: TestServer;
  readonly #port: number;
  /** When each message was acknowledged by the sink; more than one time is a double. */
  readonly #arrived: Map<string, number[]>;
  readonly #accepted = new Set<string>();
  readonly #kills: number[] = [];
  #enough = false;

  private constructor(parts: { sink: Sink; server: TestServer; port: number; arrived: Map<string, number[]> }) {
    this.#sink = parts.sink;
    this.#server = parts.server;
    this.#port = parts.port;
    this.#arrived = parts.arrived;
  }

  static async start(): Promise<RandomRun> {
    const arrived = new Map<string, number[]>();
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
    return new RandomRun({ sink, server, port, arrived });
  }

  async killRepeatedly(count: number): Promise<void> {
    const loads = SIZES_BYTES.map((sizeBytes) => this.#keepLoading(sizeBytes));
    for (let n = 0; n < count; n++) {
      await sleep(randomInt(150, 600));
      await this.#killOne(n);
      if (n % 20 === 19)
        say(`random: ${n + 1} kills, ${this.#accepted.size} accepted, ${this.#arrived.size} delivered`);
    }
    this.#enough = true;
    await Promise.all(loads);
    await this.#drain();
  }

  judge(tally: Tally): void {
    const lost = [...this.#accepted].filter((id) => !this.#arrived.has(id));
    tally.lost += lost.length;
    for (const id of lost.slice(0, 10)) say(`FAULT in random kills: ${id}: answered 250, but lost`);
    for (const times of this.#arrived.values()) {
      for (const [i, time] of times.entries()) {
        if (i === 0) continue;
        const first = times[i - 1] ?? 0;
        const cut = this.#kills.some((kill) => kill >= first - 50 && kill <= first + WINDOW_MS && kill <= time);
        if (cut) tally.inside++;
        else tally.outside++;
      }
    }
    tally.accepted += this.#accepted.size;
    say(`random: accepted ${this.#accepted.size}, delivered ${this.#arrived.size}`);
  }

  async close(): Promise<void> {
    this.#enough = true;
    await this.#server[Symbol.asyncDispose]();
    await this.#sink.close();
  }

  /** Load in rounds, since a generator has a fixed number of messages. */
  async #keepLoading(sizeBytes: number): Promise<void> {
    while (!this.#enough) {
      await generateLoad({
        port: this.#port,
        sessions: 4,
        messages: 200,
        sizeBytes,
        retry: true,
        onAccepted: (id) => {
          this.#accepted.add(id);
        },
      });
      await sleep(50);
    }
  }

  /** Every fifth kill takes the master, and the operator's supervisor starts it again. */
  async #killOne(n: number): Promise<void> {
    if (n % 5 === 4) {
      this.#kills.push(Date.now());
      this.#server.kill("SIGKILL");
      await this.#server.ended();
      await this.#server.start();
      return;
    }
    for (let pids: readonly number[] = []; ; await sleep(20)) {
      pids = await this.#server.workerPids().catch(() => []);
      const pid = pids[randomInt(Math.max(1, pids.length))];
      if (pid === undefined) continue;
      this.#kills.push(Date.now());
      process.kill(pid, "SIGKILL");
      return;
    }
  }

  async #drain(): Promise<void> {
    for (const end = Date.now() + DRAIN_MS; Date.now() < end; await sleep(200)) {
      if ([...this.#accepted].every((id) => this.#arrived.has(id))) break;
      await this.#server.run(["flush"]);
    }
    await sleep(WINDOW_MS);
  }
}
