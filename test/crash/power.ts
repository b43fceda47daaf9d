/** test/crash/power.ts: the power goes. kill -9 leaves what the kernel has; a power cut leaves what was synced, and of the rest
 *  whatever the disk had got. So a server's file operations are recorded from its start to its stop, and the files are made
 *  anew as they may be after a cut at each point that counts: with nothing that was not synced, with all of it, and with
 *  pieces of it. disk-history.ts has the rules, power-judge.ts what must be true.
 *  Seen to fail, with the product broken on purpose, in 480 cuts each:
 *    PRAGMA synchronous = OFF                                305 lost, 30 that were settled came back
 *    PRAGMA synchronous = NORMAL                             123 lost, 166 came back
 *    no sync of a content file, or of its directory          23 lost, each
 *    no sync of the directory of a forwarded copy's file     3 lost
 *    content is unlinked before the commit                   2 lost, 8 messages without content
 *    no sync of the shard's name, when it is made            47 lost
 *    no sync of a maildir's file; of its new/                252 lost; 192 lost
 *  and, before the queue directory's own name was synced at the first start, 45 lost in 160. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Call, parseStrace } from "../testbed/strace-lines.ts";
import { CALLS, type DirectoryNode, type History, historyOf } from "./disk-history.ts";
import { imageAt, type PowerCut, readNode, type Tree, treeOf } from "./disk-image.ts";
import { bodyOf } from "./far-end.ts";
import { fillLog } from "./full-log.ts";
import type { Copy } from "./ledger.ts";
import { spread } from "./points.ts";
import { PowerJudge, type Promised, type Told } from "./power-judge.ts";
import { runStep, STEPS } from "./scenario.ts";
import { CrashSite, type Letter, type Sent } from "./site.ts";
import { say, type Tally } from "./tally.ts";
import { Tracing } from "./traced.ts";

/** Where nothing is synced to a disk, if the machine has it. */
const MEMORY = "/dev/shm";
/** Besides the points at which something was promised: begin and end of syncs, changes. */
const OTHER_POINTS = 250;
const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;
/** Beyond what the checkpoint needs, so that the log begins anew and is written over. */
const LETTERS_AT_CHECKPOINT: readonly Letter[] = [
  ...Array.from({ length: 6 }, () => ({ sizeBytes: 60_000, to: ["one"] })),
  { sizeBytes: 90_000, to: ["one", "box"] },
  { sizeBytes: 1000, to: ["one", "refuse"] },
];

interface Course {
  readonly name: string;
  /** What is there before. Resolves to the letters that were accepted then. */
  prepare(site: CrashSite): Promise<readonly { readonly letter: Letter; readonly sent: Sent }[]>;
  run(site: CrashSite): Promise<void>;
}

const COURSES: readonly Course[] = [
  {
    name: "first start and the life of mail",
    prepare: async () => [],
    async run(site) {
      for (const step of STEPS) await runStep(site, step, () => false);
    },
  },
  {
    name: "a checkpoint",
    prepare: fillLog,
    async run(site) {
      for (const letter of LETTERS_AT_CHECKPOINT) {
        const sent = await site.send(letter);
        for (const end = Date.now() + 4000; sent && !site.isComplete(sent.attempt) && Date.now() < end; ) {
          await site.ledger.changed(20);
        }
      }
    },
  },
];

/** Cuts the power at `limit` points of each course, and at all at which something was promised if there is no limit. */
export async function runPower(tally: Tally, { limit }: { limit: number }): Promise<void> {
  const seed = Date.now() % 1_000_000;
  const scratch = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "power-"));
  try {
    for (const course of COURSES) {
      const recorded = await recordedCourse(course);
      const points = spread(pointsOf(recorded, limit), limit);
      say(`power: ${course.name}: ${points.length} points, seed ${seed}`);
      await cutAtEach(recorded, { points, seed, scratch, name: course.name }, tally);
      say(`power: ${tally.summary}`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Recorded {
  readonly history: History;
  readonly calls: readonly Call[];
  readonly told: Told;
}

async function recordedCourse(course: Course): Promise<Recorded> {
  const site = await CrashSite.make();
  const tracing = Tracing.whole(CALLS);
  try {
    const letters = new Map<string, { readonly letter: Letter; readonly sent: Sent }>();
    for (const one of await course.prepare(site)) letters.set(one.sent.queueId, one);
    const earlier = new Set(letters.keys());
    site.onAccepted = (sent, letter) => letters.set(sent.queueId, { sent, letter });
    const { directory } = site.server;
    const before = readNode(directory);
    await tracing.server(site.server, {
      work: async () => {
        await course.run(site);
        await site.drain();
      },
      struck: () => undefined,
    });
    const calls = parseStrace(tracing.lines());
    const history = historyOf(calls, directory, before);
    checkReplay(history, readNode(directory));
    const copies = [...site.ledger.copies];
    const { faults } = site.judge();
    if (faults.length > 0) throw new Error(`Without a power cut, ${course.name}: ${faults.join("; ")}`);
    return { history, calls, told: toldIn(calls, { letters: [...letters.values()], earlier, copies }) };
  } finally {
    tracing.close();
    await site.close();
  }
}

/** All changes together must make the files that are there, or the recording is not to be trusted. */
function checkReplay(history: History, now: DirectoryNode): void {
  const all = imageAt(history, { line: Number.POSITIVE_INFINITY, pieceBytes: PAGE_BYTES, survives: () => true });
  const replayed = (all.get("spool") as Tree).get("queue");
  const real = (treeOf(now).get("spool") as Tree).get("queue");
  if (!isDeepStrictEqual(replayed, real)) throw new Error("The recorded calls do not make the files that are there");
}

function toldIn(
  calls: readonly Call[],
  run: {
    readonly letters: readonly { readonly letter: Letter; readonly sent: Sent }[];
    readonly earlier: ReadonlySet<string>;
    readonly copies: readonly Copy[];
  },
): Told {
  const replies = new Map<string, number>();
  const removed: { queueId: string; at: number }[] = [];
  for (const { path, bytes, begin } of calls) {
    const isLog = path.endsWith("/maillog");
    if (!isLog && !path.startsWith("socket:")) continue;
    if (isLog)
      for (const [, id = ""] of bytes.matchAll(/: (\w+): removed$/gm)) removed.push({ queueId: id, at: begin });
    else for (const [, id = ""] of bytes.matchAll(/^250 2\.0\.0 Ok: queued as (\w+)\r$/gm)) replies.set(id, begin);
  }
  const promised = run.letters.map(({ letter, sent: { attempt, queueId } }): Promised => {
    const acceptedAt = run.earlier.has(queueId) ? 0 : replies.get(queueId);
    if (acceptedAt === undefined) throw new Error(`The trace has no reply about ${queueId}`);
    return { attempt, queueId, body: bodyOf(attempt.id, letter.sizeBytes), acceptedAt };
  });
  const lineAt = (ms: number) => calls.find(({ beganMs }) => beganMs >= ms)?.begin ?? Number.POSITIVE_INFINITY;
  const arrived = run.copies
    .filter(({ recipient }) => !recipient.startsWith("box."))
    .map(({ id, recipient, atMs }) => ({ id, recipient, at: lineAt(atMs) }));
  return { promised, arrived, removed };
}

/** Lines before which the power goes, ascending: where something was promised, and around syncs. */
function pointsOf({ calls, told, history }: Recorded, limit: number): readonly number[] {
  const promises = [...told.promised.map((one) => one.acceptedAt), ...told.arrived.map((one) => one.at)];
  const syncs = calls.filter(({ name, result }) => /sync$/.test(name) && result === 0);
  const others = [...syncs.flatMap(({ begin, end }) => [begin, end + 1]), ...history.changes.map(({ end }) => end + 1)];
  const some = spread(
    others.toSorted((a, b) => a - b),
    Math.min(limit, OTHER_POINTS),
  );
  const last = (calls.at(-1)?.end ?? 0) + 1;
  const lines = [...promises, ...told.removed.map(({ at }) => at), ...some, last];
  return [...new Set(lines.filter(Number.isFinite))].toSorted((a, b) => a - b);
}

interface Cuts {
  readonly points: readonly number[];
  readonly seed: number;
  readonly scratch: string;
  readonly name: string;
}

async function cutAtEach({ history, told }: Recorded, { points, seed, scratch, name }: Cuts, tally: Tally) {
  const judge = new PowerJudge(told, scratch);
  const random = seededRandom(seed);
  const gone = new Set<string>();
  let durable: ReadonlySet<string> = new Set();
  for (const line of points) {
    for (const [what, cut] of cutsAt(line, random)) {
      const judgement = await judge.judge(imageAt(history, cut), { line, gone });
      tally.addCut(`${name}, line ${line}, ${what}, seed ${seed}`, judgement);
      if (what !== "nothing unsynced") continue;
      for (const key of durable) if (!judgement.queued.has(key)) gone.add(key);
      durable = judgement.queued;
    }
  }
  tally.accepted += told.promised.length;
}

function cutsAt(line: number, random: () => number): readonly (readonly [what: string, cut: PowerCut])[] {
  const pieces = (pieceBytes: number): PowerCut => {
    const share = random();
    return { line, pieceBytes, survives: () => random() < share };
  };
  return [
    ["nothing unsynced", { line, pieceBytes: PAGE_BYTES, survives: () => false }],
    ["all unsynced", { line, pieceBytes: PAGE_BYTES, survives: () => true }],
    ["pieces of 4096", pieces(PAGE_BYTES)],
    ["pieces of 512", pieces(SECTOR_BYTES)],
  ];
}

/** Numbers from 0 to 1, the same for the same seed (xorshift32). */
function seededRandom(seed: number): () => number {
  let state = (seed + 1) | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
