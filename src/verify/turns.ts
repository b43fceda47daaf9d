/** verify/turns.ts: who may start now: at most so many at the same time for one destination, the others wait in order. */

export class Turns {
  readonly #busy = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  /** Runs `work` when the destination has room for it. The bound of those that wait is the caller's. */
  async run<T>(key: string, limit: number, work: () => Promise<T>): Promise<T> {
    const place = this.#busy.get(key) ?? { running: 0, waiting: [] };
    this.#busy.set(key, place);
    if (place.running < limit) place.running++;
    // Whoever ends hands its place over.
    else await new Promise<void>((resolve) => void place.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = place.waiting.shift();
      if (next) next();
      else if (--place.running === 0) this.#busy.delete(key);
    }
  }
}
