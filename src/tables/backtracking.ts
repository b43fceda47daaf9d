/** tables/backtracking.ts: regular expressions that need back-tracking, in a thread of their own with a deadline. JavaScript
 *  cannot be interrupted while it matches, so the thread is ended when the deadline passes and the lookup fails (451). The
 *  thread starts at the first match, takes one match at a time, and what waits is bounded in number and time. */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../base/clock.ts";
import type { MatchReply, MatchRequest } from "./backtracking-thread.ts";
import type { Groups } from "./rules.ts";
import { TableError } from "./table.ts";

/** For one match. */
const DEADLINE_MS = 250;
/** For the thread to come up, before the first match of it. */
const START_MS = 5000;
/** For a match that waits for others. */
const MAX_WAIT_MS = 5000;
const MAX_WAITING = 500;

interface Job {
  readonly request: MatchRequest;
  readonly since: number;
  readonly resolve: (groups: Groups) => void;
  readonly reject: (error: TableError) => void;
}

export class Backtracker {
  readonly #clock: Clock;
  readonly #waiting: Job[] = [];
  #worker: Worker | undefined;
  #ready = false;
  #job: Job | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Groups of the first match, or undefined. Rejects TableError at the deadline, at overflow, and after close(). */
  match(pattern: string, flags: string, key: string): Promise<Groups> {
    if (this.#closed) return Promise.reject(new TableError("the table is closed"));
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new TableError("too many matches wait"));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request: { pattern, flags, key }, since: this.#clock.monotonic(), resolve, reject });
      this.#pump();
    });
  }

  /** Ends the thread; what waits is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    const jobs = this.#waiting.splice(0);
    if (this.#job) jobs.push(this.#job);
    await this.#end();
    for (const job of jobs) job.reject(new TableError("the table is closed"));
  }

  #pump(): void {
    while (!this.#job) {
      const job = this.#waiting.shift();
      if (!job) return;
      if (this.#clock.monotonic() - job.since > MAX_WAIT_MS) {
        job.reject(new TableError(`the match waited longer than ${MAX_WAIT_MS / 1000} s for others`));
        continue;
      }
      this.#job = job;
      this.#worker ??= this.#spawn();
      this.#worker.ref();
      this.#worker.postMessage(job.request);
      this.#limit(this.#ready ? DEADLINE_MS : START_MS);
    }
  }

  #limit(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => {
      const pattern = this.#job?.request.pattern ?? "";
      this.#fail(`the pattern "${pattern}" took longer than ${ms} ms; write it without nested repetition`);
    });
  }

  #spawn(): Worker {
    // The compiled tree has the same file under .js.
    const entry = import.meta.url.endsWith(".ts") ? "./backtracking-thread.ts" : "./backtracking-thread.js";
    const worker = new Worker(new URL(entry, import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: 64 } });
    const current = () => this.#worker === worker;
    worker.on("message", (reply: MatchReply) => {
      if (current()) this.#answered(reply);
    });
    worker.on("error", (error) => {
      if (current()) this.#fail(`the matching thread failed: ${error.message}`);
    });
    worker.on("exit", () => {
      if (current()) this.#fail("the matching thread ended");
    });
    return worker;
  }

  #answered(reply: MatchReply): void {
    if (reply.kind === "ready") {
      this.#ready = true;
      if (this.#job) this.#limit(DEADLINE_MS);
      return;
    }
    const job = this.#job;
    this.#idle();
    if (reply.kind === "error") job?.reject(new TableError(`the match failed: ${reply.reason}`));
    else job?.resolve(reply.groups);
    this.#pump();
  }

  #fail(reason: string): void {
    const job = this.#job;
    void this.#end();
    job?.reject(new TableError(reason));
    this.#pump();
  }

  #idle(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#job = undefined;
    this.#worker?.unref();
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#idle();
    this.#worker = undefined;
    this.#ready = false;
    await worker?.terminate();
  }
}
