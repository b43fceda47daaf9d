/** queue/testdata/in-flight-child.ts DIRECTORY: claims what is due, marks it as being delivered, prints "marked" and waits to be
 *  killed. With nothing due it prints "nothing" and waits. */
import { writeSync } from "node:fs";
import process from "node:process";
import { systemClock } from "../../base/clock.ts";
import { Log } from "../../log/log.ts";
import { openStore } from "../sqlite-store.ts";
import { LANE } from "./fixture.ts";

const log = new Log({ sink: (r) => writeSync(2, `${r.text}\n`), now: systemClock.now, tag: "child", id: 1 });
const store = await openStore({ directory: process.argv[2] ?? "", shard: 0, inlineLimit: 4096, log, clock: systemClock });
const claimed = await store.claimDue(LANE, systemClock.now(), 10);
for (const message of claimed) {
  store.markInFlight?.(message.envelope.queueId);
  store.markInFlight?.(message.envelope.queueId);
  store.clearInFlight?.(message.envelope.queueId);
}
writeSync(1, claimed.length > 0 ? "marked\n" : "nothing\n");
process.stdin.resume().on("end", () => process.exit(1));
