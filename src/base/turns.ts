/** base/turns.ts: long work in slices: what else waits in the event loop gets its turn between two of them. Counts work, not time: the
 *  same work always takes the same turns. For work whose size a client chooses; small work need not be counted. */

/** Units of one slice. A unit is a character that a few regular expressions go over; a slice takes some milliseconds. */
export const SLICE = 65_536;

export class Turns {
  #left = SLICE;

  /** Counts work that is about to be done. A promise: the slice is full, wait for it before the work. */
  spend(units: number): Promise<void> | undefined {
    if (this.#left > 0) {
      this.#left -= units;
      return undefined;
    }
    this.#left = SLICE - units;
    return nextTurn();
  }
}

/** Resolves when the event loop has been round once. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
