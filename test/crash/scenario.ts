/** test/crash/scenario.ts: the life of mail in one go: every durable step of accepting, delivering, deferring, bouncing,
 *  holding, requeueing and deleting, small in the database and large in files, step by step, so that a system call is known
 *  by its step and its number therein. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CrashSite, Letter, Sent } from "./site.ts";

const SMALL_BYTES = 1000;
/** Above postern_queue_inline_limit. */
const LARGE_BYTES = 90_000;
/** The longest that one step waits for what should come at once. */
const STEP_MS = 4000;
/** Between two looks at the queue: few, since each is system calls that other runs do not make. */
const SETTLE_MS = 40;

export interface Step {
  readonly name: string;
  /** Ends early, without an error, once `isOver()`. */
  run(run: Run): Promise<void>;
}

interface Run {
  readonly site: CrashSite;
  isOver(): boolean;
}

/** Becomes a copy of its own when it is delivered, which shares the file of a large body. */
const FORWARDED = { to: ["list"], becomes: ["first@far.test", "second@far.test"] };

export const STEPS: readonly Step[] = [
  { name: "small mail is delivered", run: (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["one"] }) },
  { name: "large mail is delivered", run: (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["one"] }) },
  {
    name: "an alias and a blind copy",
    run: (run) =>
      passThrough(run, {
        sizeBytes: SMALL_BYTES,
        to: ["team", "copied"],
        becomes: ["one", "two", "copied", "archive"],
      }),
  },
  { name: "a local alias", run: (run) => passThrough(run, { ...FORWARDED, sizeBytes: SMALL_BYTES }) },
  { name: "a local alias of large mail", run: (run) => passThrough(run, { ...FORWARDED, sizeBytes: LARGE_BYTES }) },
  { name: "small mail for a maildir", run: (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["box"] }) },
  { name: "large mail for a maildir", run: (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["box"] }) },
  { name: "small mail bounces", run: (run) => passThrough(run, { sizeBytes: SMALL_BYTES, to: ["refuse"] }) },
  { name: "large mail bounces", run: (run) => passThrough(run, { sizeBytes: LARGE_BYTES, to: ["refuse"] }) },
  { name: "one recipient taken, one refused, one deferred", run: partlyDeferred },
  { name: "held, released, requeued", run: heldAndReleased },
  { name: "removed", run: (run) => removed(run, SMALL_BYTES) },
  { name: "removed with its file", run: (run) => removed(run, LARGE_BYTES) },
  { name: "reloaded", run: reloaded },
];

/** Runs the steps, from `first` on if it is given. A step that cannot be done, because the server is struck meanwhile, is
 *  left. `isOver` ends it all. */
export async function runScenario(site: CrashSite, isOver: () => boolean, first?: Step): Promise<void> {
  for (const step of first ? STEPS.slice(STEPS.indexOf(first)) : STEPS) {
    if (isOver()) return;
    await runStep(site, step, isOver);
  }
}

export async function runStep(site: CrashSite, step: Step, isOver: () => boolean): Promise<void> {
  // An operator whose command fails sees it; what became of the mail is the ledger's question.
  await step.run({ site, isOver }).catch(() => undefined);
  site.farEnd.open(false);
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

async function reloaded(run: Run): Promise<void> {
  await run.site.control("reload");
  await passThrough(run, { sizeBytes: SMALL_BYTES, to: ["one"] });
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
