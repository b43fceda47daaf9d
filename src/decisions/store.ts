/** decisions/store.ts: the last decisions on disk: two files of at most `limit` lines that take turns. When one is full the
 *  other is emptied and written, so at least `limit` decisions are there and at most twice as many, and trimming costs
 *  nothing. Not a database: nothing is ever looked up, and the store must not hold the master up (measured: 10,000
 *  decisions in batches of 100 block it for 3 ms of 40; as rows of node:sqlite, without sync, for all of 25 to 35 ms). Nothing
 *  is synced: a power failure costs the last seconds, and a line that was cut off is passed over. For their owner only. */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseDecision, type RecordedDecision } from "./decision.ts";

/** Never through a link: the directory may be the mail owner's, and the master root. */
const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
const APPEND = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW;
const NAMES = ["decisions.0", "decisions.1"] as const;
/** Characters that may wait for a slow disk. */
const MAX_WAITING = 16 * 1024 * 1024;

interface Segment {
  readonly path: string;
  /** Whole lines and a cut one at the end. */
  lines: number;
}

export class DecisionStore {
  readonly #directory: string;
  readonly #warn: (text: string) => void;
  #limit: number;
  #segments: { current: Segment; other: Segment } | undefined;
  #busy: Promise<void> = Promise.resolve();
  #waiting = 0;
  #failed = false;

  /** `warn` is told once when the disk refuses, until it takes again. */
  constructor(directory: string, limit: number, warn: (text: string) => void) {
    this.#directory = directory;
    this.#limit = limit;
    this.#warn = warn;
    this.configure(limit);
  }

  /** 0 removes what was kept. */
  configure(limit: number): void {
    this.#limit = limit;
    if (limit > 0) return;
    this.#segments = undefined;
    this.#then(async () => {
      for (const name of NAMES) await rm(join(this.#directory, name), { force: true });
    });
  }

  /** Takes whole lines; they are written behind the ones before. Never throws. */
  append(lines: string): void {
    if (this.#limit === 0 || lines === "" || this.#waiting > MAX_WAITING) return;
    this.#waiting += lines.length;
    this.#then(async () => {
      this.#waiting -= lines.length;
      await this.#write(lines.split("\n").slice(0, -1));
    });
  }

  /** Resolves when everything taken is written. */
  idle(): Promise<void> {
    return this.#busy;
  }

  #then(step: () => Promise<void>): void {
    this.#busy = this.#busy.then(step).then(
      () => {
        this.#failed = false;
      },
      (error: Error) => {
        // Mail goes on without this log.
        if (!this.#failed) this.#warn(`decisions are not recorded: ${error.message}`);
        this.#failed = true;
        this.#segments = undefined;
      },
    );
  }

  async #write(lines: readonly string[]): Promise<void> {
    if (this.#limit === 0) return;
    const segments = this.#segments ?? (await this.#open());
    this.#segments = segments;
    for (let rest = lines; rest.length > 0; ) {
      if (segments.current.lines >= this.#limit) await turn(segments);
      const part = rest.slice(0, this.#limit - segments.current.lines);
      rest = rest.slice(part.length);
      await append(segments.current.path, `${part.join("\n")}\n`);
      segments.current.lines += part.length;
    }
  }

  /** Goes on with the one that was written last. File times are too coarse to tell (4 ms on Linux). */
  async #open(): Promise<{ current: Segment; other: Segment }> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const found = [];
    for (const name of NAMES) found.push(await segmentAt(join(this.#directory, name)));
    const [first, second] = found.sort((a, b) => b.lastAt - a.lastAt);
    if (!first || !second) throw new Error("There are two segments");
    if (first.cut) await append(first.path, "\n");
    return { current: first, other: second };
  }
}

async function turn(segments: { current: Segment; other: Segment }): Promise<void> {
  const { current, other } = segments;
  await withFile(other.path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, async () => undefined);
  segments.current = { path: other.path, lines: 0 };
  segments.other = current;
}

function append(path: string, text: string): Promise<void> {
  return withFile(path, APPEND, (file) => file.appendFile(text));
}

async function withFile<T>(path: string, flags: number, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags, 0o600);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function segmentAt(path: string): Promise<Segment & { readonly lastAt: number; readonly cut: boolean }> {
  const text = await readSegment(path);
  if (text === undefined) return { path, lines: 0, lastAt: 0, cut: false };
  const written = text.split("\n");
  const lines = written.length - 1;
  const last = written.findLast((line) => parseDecision(line) !== undefined);
  const cut = text !== "" && !text.endsWith("\n");
  return { path, lines: cut ? lines + 1 : lines, lastAt: parseDecision(last ?? "")?.at ?? 0, cut };
}

async function readSegment(path: string): Promise<string | undefined> {
  try {
    return await withFile(path, O_RDONLY | O_NOFOLLOW, (file) => file.readFile("utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The last `limit` decisions of a directory, oldest first; none if nothing was ever kept. Rejects with a system error. */
export async function readDecisions(directory: string, limit: number): Promise<readonly RecordedDecision[]> {
  const decisions: RecordedDecision[] = [];
  for (const name of NAMES) {
    for (const line of ((await readSegment(join(directory, name))) ?? "").split("\n")) {
      const decision = parseDecision(line);
      if (decision) decisions.push(decision);
    }
  }
  return decisions.sort((a, b) => a.at - b.at).slice(-limit);
}
