/** queue/testdata/append-child.ts DIRECTORY: appends without end, eight at a time, every fourth body in a file, settles some,
 *  and prints "+ID" once a message was acknowledged, "-ID" before it settles one. Meant to be killed. */
import { writeSync } from "node:fs";
import process from "node:process";
import { systemClock } from "../../base/clock.ts";
import { Log } from "../../log/log.ts";
import { openStore } from "../sqlite-store.ts";
import { bodyFor, idsOf, messageFor, storedBody } from "./fixture.ts";

const log = new Log({ sink: (r) => writeSync(2, `${r.text}\n`), now: systemClock.now, tag: "child", id: 1 });
const directory = process.argv[2] ?? "";
const store = await openStore({ directory, shard: 0, inlineLimit: 4096, log, clock: systemClock });
const ids = idsOf(0, store.floorMicros);
let n = 0;

async function append(): Promise<void> {
  for (;;) {
    const queueId = ids.next();
    const turn = n++;
    const bytes = bodyFor(queueId, turn % 4 === 0 ? 10_000 : 1000);
    const body = await storedBody(store, queueId, { bytes, pieceBytes: 3000 });
    const claimed = await store.append(messageFor(queueId, { body }), { claim: turn % 2 === 0 });
    writeSync(1, `+${queueId}\n`);
    if (!claimed || turn % 6 !== 0) continue;
    writeSync(1, `-${queueId}\n`);
    await store.settle({ queueId, done: [1], deferred: [], append: [] });
  }
}

// Without its parent it must not go on filling the disk.
process.stdin.resume().on("end", () => process.exit(1));
await Promise.all(Array.from({ length: 8 }, append));
