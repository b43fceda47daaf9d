/** test/crash/full-log.ts: a queue whose write-ahead log is about to reach the size from which the store thread uses an idle
 *  moment for a checkpoint: a few messages more, and it comes. Beside it, mail that waits. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { CrashSite, Letter, Sent } from "./site.ts";

/** engine.ts checkpoints from 16 MiB on, which are 2048 pages; a frame is a page and its header. */
const FRAME_BYTES = 8216;
const FULL_BYTES = 1960 * FRAME_BYTES;
/** Nearly all that a message may have in the database. */
const FILLER: Letter = { sizeBytes: 60_000, to: ["one"] };
const WAITING: readonly Letter[] = [
  { sizeBytes: 1000, to: ["late"] },
  { sizeBytes: 30_000, to: ["late", "turn"] },
  { sizeBytes: 90_000, to: ["late"] },
];
const FILL_MS = 120_000;

export interface Waiting {
  readonly letter: Letter;
  readonly sent: Sent;
}

/** Starts the server, fills its log, and kills it, so that nothing is checkpointed. Resolves to the mail that is left. */
export async function fillLog(site: CrashSite): Promise<readonly Waiting[]> {
  const { server } = site;
  await server.start();
  const end = Date.now() + FILL_MS;
  const send = async (letter: Letter) => {
    const sent = await site.deliverInto(letter, end);
    if (!sent) throw new Error(`Nothing is accepted:\n${server.log().slice(-4000)}`);
    return { letter, sent };
  };
  const waiting: Waiting[] = [];
  for (const letter of WAITING) waiting.push(await send(letter));
  const log = join(server.directory, "spool/queue/shard-00/queue.sqlite-wal");
  while (statSync(log).size < FULL_BYTES) await send(FILLER);
  while (!(await isAtRest(site, waiting))) {
    if (Date.now() > end) throw new Error(`The queue does not come to rest:\n${server.log().slice(-4000)}`);
    await site.ledger.changed(50);
  }
  site.hangUp();
  const workers = await server.workerPids();
  server.kill("SIGKILL");
  for (const pid of workers) process.kill(pid, "SIGKILL");
  await server.ended();
  return waiting;
}

/** All but what must wait has gone, and that has been tried. */
async function isAtRest(site: CrashSite, waiting: readonly Waiting[]): Promise<boolean> {
  const listed = (await site.queue("list", "ALL")) as readonly { queue: string; queueId: string }[];
  return (
    listed.length === waiting.length &&
    waiting.every(({ sent }) => listed.some((e) => e.queueId === sent.queueId && e.queue === "deferred"))
  );
}
