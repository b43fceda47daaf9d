/** smtpd/refusal-log.ts: the last refusals of one worker with their traces, for `postern explain --last`. In memory only and
 *  bounded: a trace has at most some tens of kilobytes of text. With a limit of 0 nothing is recorded at all. */
import type { Explainer, Explanation } from "./explanation.ts";

export class RefusalLog implements Explainer {
  #limit: number;
  /** Oldest first, from #first on; wraps. */
  #ring: Explanation[] = [];
  #first = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get trace(): "refusals" | undefined {
    return this.#limit > 0 ? "refusals" : undefined;
  }

  /** Keeps at most this many from now on; the oldest go. */
  configure(limit: number): void {
    this.#ring = limit === 0 ? [] : this.last(limit).slice();
    this.#first = 0;
    this.#limit = limit;
  }

  take(explanation: Explanation): void {
    if (this.#limit === 0) return;
    if (this.#ring.length < this.#limit) {
      this.#ring.push(explanation);
      return;
    }
    this.#ring[this.#first] = explanation;
    this.#first = (this.#first + 1) % this.#limit;
  }

  /** The last `count`, oldest first. */
  last(count: number): readonly Explanation[] {
    const inOrder = [...this.#ring.slice(this.#first), ...this.#ring.slice(0, this.#first)];
    return count === 0 ? [] : inOrder.slice(-count);
  }

  find(id: string): Explanation | undefined {
    return this.#ring.findLast((explanation) => explanation.id === id);
  }
}
