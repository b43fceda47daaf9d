/** master/paused-lanes.ts: which transports and destinations an operator has paused, kept in a file of the queue directory so
 *  that it outlives a restart. The file is the master's, or, while no server runs, the command line's. */
import { readFileSync } from "node:fs";
import { writeFileDurably } from "../base/durable.ts";
import { folded } from "../qmgr/withheld.ts";

/** More than any operator names one by one. */
const MOST_PAUSED = 1000;
const MAX_KEY = 512;

export interface PausedLane {
  /** "transport", or "transport:nexthop". */
  readonly lane: string;
  /** Epoch milliseconds. */
  readonly sinceMs: number;
}

/** Why `key` cannot be paused, or undefined. The name of a transport holds no colon, a next hop no blank. */
export function checkLane(key: string): string | undefined {
  if (key.length > MAX_KEY || !/^[^\s:\p{Cc}]+(?::[^\s\p{Cc}]*)?$/u.test(key)) {
    return `"${key}" is not TRANSPORT or TRANSPORT:NEXTHOP, as in smtp:example.com`;
  }
  return undefined;
}

export class PausedLanes {
  readonly #path: string;
  #lanes: readonly PausedLane[];
  #writing: Promise<unknown> = Promise.resolve();

  /** Throws Error where the file cannot be read or is damaged: what was paused must not be sent by mistake. */
  constructor(path: string) {
    this.#path = path;
    this.#lanes = readLanes(path);
  }

  get all(): readonly PausedLane[] {
    return this.#lanes;
  }

  get keys(): readonly string[] {
    return this.#lanes.map(({ lane }) => lane);
  }

  /** Resolves when it is on disk; false: it was paused already. Throws Error: too many, I/O. */
  async pause(key: string, nowMs: number): Promise<boolean> {
    const lane = folded(key);
    return this.#change((lanes) => {
      if (lanes.some((known) => known.lane === lane)) return undefined;
      if (lanes.length >= MOST_PAUSED) throw new Error(`${MOST_PAUSED} destinations are paused already; resume some`);
      return [...lanes, { lane, sinceMs: nowMs }];
    });
  }

  /** Resolves when it is on disk; false: it was not paused. */
  async resume(key: string): Promise<boolean> {
    const lane = folded(key);
    return this.#change((lanes) => {
      const left = lanes.filter((known) => known.lane !== lane);
      return left.length < lanes.length ? left : undefined;
    });
  }

  /** One change at a time. undefined: there is nothing to change. */
  #change(next: (lanes: readonly PausedLane[]) => readonly PausedLane[] | undefined): Promise<boolean> {
    const change = this.#writing.then(async () => {
      const lanes = next(this.#lanes);
      if (!lanes) return false;
      const text = lanes.map((lane) => `${JSON.stringify(lane)}\n`).join("");
      await writeFileDurably(this.#path, Buffer.from(text), { mode: 0o644 });
      this.#lanes = lanes;
      return true;
    });
    this.#writing = change.catch(() => undefined);
    return change;
  }
}

function readLanes(path: string): readonly PausedLane[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => {
        const { lane, sinceMs } = JSON.parse(line) as PausedLane;
        if (typeof lane !== "string" || typeof sinceMs !== "number" || checkLane(lane) !== undefined) {
          throw new Error(`bad line: ${line.slice(0, 100)}`);
        }
        return { lane, sinceMs };
      });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    const why = (error as Error).message;
    throw new Error(`Cannot read "${path}", which names paused destinations: ${why}; mend or remove it`);
  }
}
