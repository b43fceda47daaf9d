/** master/lane-leases.ts: the master's counters of slots that workers share: lanes with a small limit or a rate delay,
 *  transports and services with a maxproc. Keeps no more than the limit out at any time, gives what a dead worker held to
 *  the others, and lets nobody wait for ever behind a busy worker. Knows no processes: a borrower is an object. */
import type { Clock } from "../base/clock.ts";
import type { SlotAsk } from "../mail/slot-lease.ts";

/** One worker, from its fork until drop(). */
export interface Borrower {
  granted(key: string, count: number): void;
  recalled(key: string, keep: number): void;
}

interface Holding {
  count: number;
  restMs: number;
  /** The last recall since the last grant. */
  recalled: number | undefined;
}

interface Waiter {
  readonly borrower: Borrower;
  readonly ask: SlotAsk;
}

interface Counter {
  readonly held: Map<Borrower, Holding>;
  /** Oldest first. */
  waiting: Waiter[];
  /** Released, but not to be had before their rest is over. */
  resting: number;
}

export class LaneLeases {
  readonly #clock: Clock;
  /** Only keys that somebody holds, waits for, or that rest. */
  readonly #counters = new Map<string, Counter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keys that are remembered at present. */
  get size(): number {
    return this.#counters.size;
  }

  /** Slots of `key` that are out or rest. */
  out(key: string): number {
    const counter = this.#counters.get(key);
    return counter ? outOf(counter) : 0;
  }

  /** Grants at once what is free, or as soon as something is. Throws RangeError for an ask that makes no sense. */
  ask(borrower: Borrower, ask: SlotAsk): void {
    if (!(ask.want >= 1 && ask.limit >= 1 && ask.restMs >= 0)) throw new RangeError(`Bad ask for slots of ${ask.key}`);
    let counter = this.#counters.get(ask.key);
    if (!counter) {
      counter = { held: new Map(), waiting: [], resting: 0 };
      this.#counters.set(ask.key, counter);
    }
    counter.waiting.push({ borrower, ask });
    this.#serve(ask.key, counter);
  }

  /** Takes slots back; more than the borrower holds is as much as it holds. */
  release(borrower: Borrower, key: string, count: number): void {
    const counter = this.#counters.get(key);
    const holding = counter?.held.get(borrower);
    if (!counter || !holding) return;
    const back = Math.min(holding.count, Math.max(0, count));
    holding.count -= back;
    if (holding.count === 0) counter.held.delete(borrower);
    this.#rest(key, counter, { count: back, restMs: holding.restMs });
    this.#serve(key, counter);
  }

  /** The worker was reaped: what it held is free, what it asked for is forgotten. */
  drop(borrower: Borrower): void {
    for (const [key, counter] of [...this.#counters]) {
      counter.waiting = counter.waiting.filter((waiter) => waiter.borrower !== borrower);
      const holding = counter.held.get(borrower);
      counter.held.delete(borrower);
      if (holding) this.#rest(key, counter, holding);
      this.#serve(key, counter);
    }
  }

  #rest(key: string, counter: Counter, { count, restMs }: Pick<Holding, "count" | "restMs">): void {
    if (restMs === 0 || count === 0) return;
    counter.resting += count;
    const over = () => {
      counter.resting -= count;
      this.#serve(key, counter);
    };
    this.#clock.after(restMs, over, { ref: false });
  }

  #serve(key: string, counter: Counter): void {
    for (let first = counter.waiting[0]; first; first = counter.waiting[0]) {
      const { borrower, ask } = first;
      const count = Math.min(ask.want, ask.limit - outOf(counter));
      if (count < 1) break;
      counter.waiting.shift();
      const before = counter.held.get(borrower)?.count ?? 0;
      counter.held.set(borrower, { count: before + count, restMs: ask.restMs, recalled: undefined });
      borrower.granted(key, count);
    }
    this.#recall(key, counter);
    if (counter.held.size === 0 && counter.waiting.length === 0 && counter.resting === 0) this.#counters.delete(key);
  }

  /** Tells the others' share to everyone who keeps somebody waiting. Rounded down: with fewer slots than workers the
   *  slots go round after every delivery. */
  #recall(key: string, counter: Counter): void {
    const [first] = counter.waiting;
    if (!first) return;
    const contenders = new Set([...counter.held.keys(), ...counter.waiting.map((waiter) => waiter.borrower)]);
    const keep = Math.floor(first.ask.limit / contenders.size);
    for (const [borrower, holding] of counter.held) {
      const keepsOthersWaiting = counter.waiting.some((waiter) => waiter.borrower !== borrower);
      if (!keepsOthersWaiting || holding.recalled === keep) continue;
      holding.recalled = keep;
      borrower.recalled(key, keep);
    }
  }
}

function outOf(counter: Counter): number {
  let out = counter.resting;
  for (const { count } of counter.held.values()) out += count;
  return out;
}
