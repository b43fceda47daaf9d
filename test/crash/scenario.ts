/** test/crash/scenario.ts: the life of mail in one go: every durable step of accepting, delivering, deferring, bouncing,
 *  holding, requeueing and deleting, small in the database and large in files, one after the other, so that the n-th system
 *  call of a run is the n-th of the next. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CrashSite, Letter, Sent } from "./site.ts";

const SMALL_BYTES = 1000;
/** Above postern_queue_inline_limit. */
const LARGE_BYTES = 90_000;
/** The longest that one step waits for what should come at once. */
const STEP_MS = 4000;
/** Between two looks at the queue: few, since each is system calls that other runs do not make. */
const SETTLE_MS = 40;

/** Runs one step; ends early, without an error, once `isOver()`. */
type Step = (run: Run) => Promise<void>;

interface Run {
  readonly site: CrashSite;
  isOver(): boolean;
}

/** Becomes a copy of its own when it is delivered, which shares the file of a large body. */
const FORWARDED = { to: ["list"], becomes: ["first@far.test", "second@far.test"] };

const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ["small mail is delivered", (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["one"] })],
  ["large mail is delivered", (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["one"] })],
  [
    "an alias and a blind copy",
    (run) =>
      passThrough(run, {
        sizeBytes: SMALL_BYTES,
        to: ["team", "copied"],
        becomes: ["one", "two", "copied", "archive"],
      }),
  ],
  ["a local alias", (run) => passThrough(run, { ...FORWARDED, sizeBytes: SMALL_BYTES })],
  ["a local alias of large mail", (run) => passThrough(run, { ...FORWARDED, sizeBytes: LARGE_BYTES })],
  ["small mail for a maildir", (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["box"] })],
  ["large mail for a maildir", (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["box"] })],
  ["small mail bounces", (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["refuse"] })],
  ["large mail bounces", (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["refuse"] })],
  ["one recipient taken, one refused, one deferred", partlyDeferred],
  ["held, released, requeued", heldAndReleased],
  ["removed", (run) => removed(run, SMALL_BYTES)],
  ["removed with its file", (run) => removed(run, LARGE_BYTES)],
  ["reload", async ({ site }) => void (await site.control("reload"))],
  ["after the reload", (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["one"] })],
];

/** Runs all steps. A step that cannot be done, because the server is struck meanwhile, is left. `isOver` ends it all. */
export async function runScenario(site: CrashSite, isOver: () => boolean): Promise<void> {
  const run = { site, isOver };
  for (const [, step] of STEPS) {
    if (isOver()) return;
    // An operator whose command fails sees it; what became of the mail is the ledger's question.
    await step(run).catch(() => undefined);
    site.farEnd.open(false);
  }
}

/** Lets a worker that has just started do once what it does first: threads of the pool, connections, prepared statements. */
export async function warmUp(site: CrashSite): Promise<void> {
  const sent = await site.deliverInto({ sizeBytes: LARGE_BYTES, to: ["one"] }, Date.now() + 30_000);
  if (!sent) throw new Error(`Nothing is accepted:\n${site.server.log().slice(-4000)}`);
  await complete({ site, isOver: () => false }, sent);
}

async function passThrough(run: Run, letter: Letter): Promise<void> {
  const sent = await run.site.send(letter);
  if (sent) await complete(run, sent);
}

function complete({ site, isOver }: Run, { attempt }: Sent): Promise<void> {
  return until({ site, isOver }, () => site.isComplete(attempt));
}

async function until({ site, isOver }: Run, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + STEP_MS; !holds() && !isOver() && Date.now() < end; ) await site.ledger.changed(20);
}

async function isDeferred(run: Run, { attempt, queueId }: Sent): Promise<void> {
  const late = attempt.taken.filter((recipient) => recipient.startsWith("late."));
  await until(run, () => late.every((recipient) => run.site.farEnd.hasPutOff(recipient)));
  for (const end = Date.now() + STEP_MS; !run.isOver() && Date.now() < end; await sleep(SETTLE_MS)) {
    const listed = (await run.site.queue("list", "ALL")) as readonly { queue: string; queueId: string }[];
    if (listed.some((entry) => entry.queueId === queueId && entry.queue === "deferred")) return;
  }
}

async function partlyDeferred(run: Run): Promise<void> {
  const { site } = run;
  const sent = await site.send({ sizeBytes: SMALL_BYTES, to: ["one", "refuse", "late"] });
  if (!sent) return;
  await isDeferred(run, sent);
  site.farEnd.open(true);
  await site.queue("flush", "ALL");
  await complete(run, sent);
}

async function heldAndReleased(run: Run): Promise<void> {
  const { site } = run;
  const sent = await site.send({ sizeBytes: LARGE_BYTES, to: ["late"] });
  if (!sent) return;
  await isDeferred(run, sent);
  await site.queue("hold", [sent.queueId]);
  const span = { fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY };
  sent.attempt.held.push(span);
  site.farEnd.open(true);
  try {
    await site.queue("flush", "ALL");
    await passThrough(run, { sizeBytes: SMALL_BYTES, to: ["one"] });
  } finally {
    // From here on anybody may release it: the next lines, or the drain.
    span.toMs = Date.now();
    site.farEnd.open(false);
  }
  await site.queue("release", [sent.queueId]);
  await isDeferred(run, sent);
  site.farEnd.open(true);
  await site.queue("requeue", [sent.queueId]);
  await complete(run, sent);
}

/** What is in an agent when it is removed may arrive all the same; so only mail that rests. */
async function removed(run: Run, sizeBytes: number): Promise<void> {
  const sent = await run.site.send({ sizeBytes, to: ["late", "late.too"] });
  if (!sent) return;
  await isDeferred(run, sent);
  if (run.isOver()) return;
  sent.attempt.removal = "asked";
  await run.site.queue("delete", [sent.queueId]);
  sent.attempt.removal = "done";
}
