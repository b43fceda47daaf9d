/** base/garbage.ts: collects garbage where V8, left alone, would wait too long: it counts its own heap, and hardly the buffers
 *  behind it. Workers run with --expose-gc; where that is not so (tests, postern_workers = 0), nothing here has an effect. */
import { getHeapStatistics } from "node:v8";
import { type Clock, loopMeter } from "./clock.ts";

const LOOK_MS = 5000;
/** Quiet is a share of the time since the last look. */
const QUIET_UTILIZATION = 0.1;
const WORTHWHILE_BYTES = 3 * 1024 * 1024;

/** So many bytes of buffers pass between two collections of young objects, each of which takes about a millisecond. */
const METERED_BYTES = 2 * 1024 * 1024;

/** What --expose-gc provides, as far as it is used here. */
type Collect = (options: { type: "minor" | "major"; execution: "sync"; flavor: "regular" | "last-resort" }) => void;

function collector(): Collect | undefined {
  return (globalThis as { gc?: Collect }).gc;
}

/** Gives back, whenever there is nothing else to do, what a start or a burst of sessions has left: as long as a process is
 *  idle V8 keeps it. A collection takes 50 to 200 ms. */
export function collectWhenQuiet(clock: Clock): void {
  const collect = collector();
  if (!collect) return;
  let keptBytes = 0;
  const busy = loopMeter();
  const look = () => {
    if (busy() < QUIET_UTILIZATION && getHeapStatistics().total_physical_size > keptBytes + WORTHWHILE_BYTES) {
      collect({ type: "major", execution: "sync", flavor: "last-resort" });
      keptBytes = getHeapStatistics().total_physical_size;
    }
    clock.after(LOOK_MS, look, { ref: false });
  };
  clock.after(LOOK_MS, look, { ref: false });
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
