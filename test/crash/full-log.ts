/** test/crash/full-log.ts: a queue whose write-ahead log is about to reach the size from which the store thread uses an idle
 *  moment for a checkpoint: one message more, and it comes. Beside it, mail that is held, since each retry would be written
 *  to the log. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { CrashSite, Letter, Sent } from "./site.ts";

/** engine.ts checkpoints from 16 MiB on, which are so many pages; a frame is a page and its header. */
const CHECKPOINT_FRAMES = 2048;
const FRAME_BYTES = 8216;
/** The message after which the log is long enough has nearly all that a message may have in the database. */
export const LAST_LETTER: Letter = { sizeBytes: 60_000, to: ["one"] };
const SMALL_LETTER: Letter = { sizeBytes: 1000, to: ["one"] };
/** Room for what one of them writes when it comes and when it goes. */
const BEFORE_SMALL_FRAMES = 60;
const BEFORE_END_FRAMES = 20;
const WAITING: readonly Letter[] = [
  { sizeBytes: 1000, to: ["late"] },
  { sizeBytes: 30_000, to: ["late", "turn"] },
  { sizeBytes: 90_000, to: ["late"] },
];
const RESTING = ["deferred", "hold"];
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
  const rests = async () => {
    while (!(await isAtRest(site, waiting))) {
      if (Date.now() > end) throw new Error(`The queue does not come to rest:\n${server.log().slice(-4000)}`);
      await site.ledger.changed(20);
    }
  };
  await rests();
  await site.queue("hold", "ALL");
  const log = join(server.directory, "spool/queue/shard-00/queue.sqlite-wal");
  const frames = () => Math.floor(statSync(log).size / FRAME_BYTES);
  while (frames() < CHECKPOINT_FRAMES - BEFORE_SMALL_FRAMES) await send(LAST_LETTER);
  for (await rests(); frames() < CHECKPOINT_FRAMES - BEFORE_END_FRAMES; await rests()) await send(SMALL_LETTER);
  if (frames() >= CHECKPOINT_FRAMES) throw new Error(`The log has ${frames()} frames already`);
  site.hangUp();
  const workers = await server.workerPids();
  server.kill("SIGKILL");
  for (const pid of workers) process.kill(pid, "SIGKILL");
  await server.ended();
  return waiting;
}

/** All but what must wait has gone, and that has been tried, or is held. */
async function isAtRest(site: CrashSite, waiting: readonly Waiting[]): Promise<boolean> {
  const listed = (await site.queue("list", "ALL")) as readonly { queue: string; queueId: string }[];
  return (
    listed.length === waiting.length &&
    waiting.every(({ sent }) => listed.some((e) => e.queueId === sent.queueId && RESTING.includes(e.queue)))
  );
}
