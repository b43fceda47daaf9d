/** dns/cache.ts: answers kept for a short while, and one query for all who ask the same at once. Bounded: the oldest goes. */
import type { Clock } from "../base/clock.ts";
import type { DnsAnswer } from "./resolver.ts";

const MAX_ENTRIES = 10_000;
const MAX_FOUND_MS = 60_000;
/** A domain that was just set up should not wait long for its first mail. */
const ABSENT_MS = 10_000;

/** An answer and how long its records may be kept; undefined: as long as we keep any. */
export interface Fetched<T> {
  readonly answer: DnsAnswer<T>;
  readonly ttlMs?: number | undefined;
}

interface Entry<T> {
  readonly answer: DnsAnswer<T>;
  readonly until: number;
}

/** A cache for one record type. Temporary failures are shared by those who wait, and not kept. */
export class DnsCache<T> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #pending = new Map<string, Promise<DnsAnswer<T>>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The kept answer, the one under way, or a new one from `fetch`. */
  get(key: string, fetch: () => Promise<Fetched<T>>): Promise<DnsAnswer<T>> {
    const kept = this.#entries.get(key);
    if (kept && kept.until > this.#clock.monotonic()) return Promise.resolve(kept.answer);
    const pending = this.#pending.get(key);
    if (pending) return pending;
    const started = this.#fetch(key, fetch);
    this.#pending.set(key, started);
    return started;
  }

  async #fetch(key: string, fetch: () => Promise<Fetched<T>>): Promise<DnsAnswer<T>> {
    try {
      const { answer, ttlMs } = await fetch();
      this.#keep(key, answer, ttlMs ?? MAX_FOUND_MS);
      return answer;
    } finally {
      this.#pending.delete(key);
    }
  }

  #keep(key: string, answer: DnsAnswer<T>, ttlMs: number): void {
    this.#entries.delete(key);
    if (answer.kind === "temporary") return;
    const keepMs = answer.kind === "found" ? Math.min(ttlMs, MAX_FOUND_MS) : ABSENT_MS;
    this.#entries.set(key, { answer, until: this.#clock.monotonic() + keepMs });
    if (this.#entries.size <= MAX_ENTRIES) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }
}
