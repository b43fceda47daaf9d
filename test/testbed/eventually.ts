/** testbed/eventually.ts: waits for what comes true in its own time. */
import { setTimeout as sleep } from "node:timers/promises";

/** Until it no longer throws. */
export async function eventually(run: () => Promise<void>, timeoutMs = 15_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; ; await sleep(100)) {
    try {
      return await run();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
