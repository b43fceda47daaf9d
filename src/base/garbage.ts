/** base/garbage.ts: collects garbage where V8, left alone, would wait too long: it counts its own heap, and hardly the buffers
 *  behind it. Workers run with --expose-gc; where that is not so (tests, postern_workers = 0), nothing here has an effect. */

/** So many bytes of buffers pass between two collections of young objects, each of which takes about a millisecond. */
const METERED_BYTES = 2 * 1024 * 1024;

/** What --expose-gc provides, as far as it is used here. */
type Collect = (options: { type: "minor" | "major"; execution: "sync"; flavor: "regular" | "last-resort" }) => void;

function collector(): Collect | undefined {
  return (globalThis as { gc?: Collect }).gc;
}

/** Gives back what starting has left: a fifth of a worker's memory. Takes some 50 ms. */
export function collectAfterStart(): void {
  collector()?.({ type: "major", execution: "sync", flavor: "last-resort" });
}

/** Counts the buffers of one long body on its way, so that they do not gather by the dozen of MiB. */
export class BufferMeter {
  #bytes = 0;

  count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < METERED_BYTES) return;
    this.#bytes = 0;
    collector()?.({ type: "minor", execution: "sync", flavor: "regular" });
  }
}
