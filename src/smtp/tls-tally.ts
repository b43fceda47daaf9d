/** smtp/tls-tally.ts: how TLS went, counted for each policy domain and day, for the reports that domains ask for (RFC 8460).
 *  Counts are written to a file now and then; what a crash takes is the last minute. Each life of a worker has files of its
 *  own, so nobody reads and writes the same one; who sends the reports adds them up. */

import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { writeFileDurably } from "../base/durable.ts";
import type { Log } from "../log/log.ts";

/** RFC 8460 §4.3. */
export type TlsResultType =
  | "starttls-not-supported"
  | "certificate-host-mismatch"
  | "certificate-expired"
  | "certificate-not-trusted"
  | "validation-failure"
  | "tlsa-invalid"
  | "dnssec-invalid"
  | "dane-required"
  | "sts-policy-fetch-error"
  | "sts-policy-invalid"
  | "sts-webpki-invalid";

/** The policy that a session was judged by. */
export interface ReportedPolicy {
  readonly type: "tlsa" | "sts" | "no-policy-found";
  /** A-labels, lower case. */
  readonly domain: string;
  /** TLSA records or lines of the STS policy. */
  readonly strings: readonly string[];
  readonly mxHosts: readonly string[];
}

export interface TlsFailure {
  readonly type: TlsResultType;
  readonly host: string;
  /** Of the receiving end; "" where nobody was connected to. */
  readonly address: string;
  readonly ownAddress: string;
  /** What the TLS library said; "" for nothing. */
  readonly reason: string;
}

export interface PolicyCount {
  readonly policy: ReportedPolicy;
  successes: number;
  readonly failures: Map<string, { readonly failure: TlsFailure; count: number }>;
}

/** A day in UTC, "2026-11-24", and its counts by policy. */
export type DayCounts = Map<string, PolicyCount>;

/** Policies in a day; what comes after is not counted. */
const MAX_POLICIES = 10_000;
/** Kinds of failures for each policy; further ones are counted with the last. */
const MAX_FAILURES = 100;
const FLUSH_MS = 60_000;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

export interface TallyOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: () => Log;
}

export class TlsTally {
  readonly #options: TallyOptions;
  readonly #life = randomBytes(8).toString("hex");
  readonly #days = new Map<string, DayCounts>();
  readonly #unsaved = new Set<string>();
  #timer: Timer | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: TallyOptions) {
    this.#options = options;
  }

  /** Counts one session; `failure` undefined: it was as it should be. */
  record(policy: ReportedPolicy, failure: TlsFailure | undefined): void {
    const { clock } = this.#options;
    const day = dayOf(clock.now());
    const counts = this.#days.get(day) ?? new Map<string, PolicyCount>();
    this.#days.set(day, counts);
    count(counts, { policy, successes: failure ? 0 : 1, failures: failure ? [{ failure, count: 1 }] : [] });
    this.#unsaved.add(day);
    this.#timer ??= clock.after(FLUSH_MS, () => void this.flush(), { ref: false });
  }

  /** Writes what is not written; days that are over are then forgotten here. Never rejects. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  async #save(): Promise<void> {
    const { directory, clock, log } = this.#options;
    const today = dayOf(clock.now());
    for (const day of [...this.#unsaved]) {
      this.#unsaved.delete(day);
      const bytes = Buffer.from(formatCounts(this.#days.get(day)?.values() ?? []));
      try {
        await writeFileDurably(join(directory, `${day}.${this.#life}`), bytes, { mode: 0o600 });
      } catch (error) {
        log().warning(`Cannot keep counts for TLS reports in "${directory}": ${(error as Error).message}`);
      }
      if (day !== today) this.#days.delete(day);
    }
  }
}

/** "2026-11-24" in UTC. */
export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

/** All counts of a day, of all lives of all workers; `files` are what they were read from. */
export async function readDay(
  directory: string,
  day: string,
): Promise<{ counts: DayCounts; files: readonly string[] }> {
  const counts: DayCounts = new Map();
  const files = (await namesIn(directory))
    .filter((name) => name.startsWith(`${day}.`))
    .map((name) => join(directory, name));
  for (const file of files) {
    for (const entry of parseCounts(await readFile(file, "utf8"))) count(counts, entry);
  }
  return { counts, files };
}

/** Days with counts, the oldest first. */
export async function daysIn(directory: string): Promise<readonly string[]> {
  const days = (await namesIn(directory)).map((name) => name.slice(0, 10)).filter((day) => DAY.test(day));
  return [...new Set(days)].sort();
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

interface Entry {
  readonly policy: ReportedPolicy;
  readonly successes: number;
  readonly failures: readonly { readonly failure: TlsFailure; readonly count: number }[];
}

function count(counts: DayCounts, { policy, successes, failures }: Entry): void {
  const key = JSON.stringify([policy.type, policy.domain, policy.strings, policy.mxHosts]);
  if (!counts.has(key) && counts.size >= MAX_POLICIES) return;
  const kept = counts.get(key) ?? { policy, successes: 0, failures: new Map() };
  counts.set(key, kept);
  kept.successes += successes;
  for (const { failure, count: times } of failures) {
    const { type, host, address, ownAddress, reason } = failure;
    const exact = JSON.stringify([type, host, address, ownAddress, reason]);
    const last = [...kept.failures.keys()].at(-1) ?? exact;
    const kind = kept.failures.has(exact) || kept.failures.size < MAX_FAILURES ? exact : last;
    const known = kept.failures.get(kind);
    if (known) known.count += times;
    else kept.failures.set(kind, { failure, count: times });
  }
}

/** One line for each policy. */
export function formatCounts(counts: Iterable<PolicyCount>): string {
  return [...counts]
    .map(
      ({ policy, successes, failures }) =>
        `${JSON.stringify({ policy, successes, failures: [...failures.values()] })}\n`,
    )
    .join("");
}

/** Lines that are none are passed over: the files are ours, and counts are not worth a failure. */
function parseCounts(text: string): readonly Entry[] {
  return text.split("\n").flatMap((line) => {
    try {
      const entry = JSON.parse(line) as Entry;
      const good = typeof entry.policy.domain === "string" && entry.successes >= 0 && Array.isArray(entry.failures);
      return good ? [entry] : [];
    } catch {
      return []; // the end of the file, or half a line
    }
  });
}
