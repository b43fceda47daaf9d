/** decisions/recorder.ts: the worker's side: gathers lines and sends them to the master in batches, once a second and at the
 *  end. A decision costs the session the making of one line (measured: 2 µs) and no system call. What has not been sent is
 *  lost when the worker is killed; what comes faster than the master takes it is dropped and counted. */
import type { Clock, Timer } from "../base/clock.ts";
import { type DecisionKeeper, formatDecision, type RecordedDecision } from "./decision.ts";

const GATHER_MS = 1000;
/** Characters that may wait, sent or not. */
const MAX_WAITING = 4 * 1024 * 1024;

export interface RecorderOptions {
  /** Decisions that are kept over all; 0: none are. */
  readonly limit: number;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
  /** Whole lines. */
  readonly send: (lines: string) => Promise<unknown>;
}

export class DecisionRecorder implements DecisionKeeper {
  readonly #options: RecorderOptions;
  #limit: number;
  #lines = "";
  #lost = 0;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#limit = options.limit;
  }

  get wanted(): boolean {
    return this.#limit > 0;
  }

  configure(limit: number): void {
    this.#limit = limit;
    if (limit === 0) this.#lines = "";
  }

  take(decision: RecordedDecision): void {
    if (this.#limit === 0) return;
    if (this.#lines.length > MAX_WAITING) {
      this.#lost++;
      return;
    }
    this.#lines += formatDecision(decision);
    this.#timer ??= this.#options.clock.after(GATHER_MS, () => void this.flush(), { ref: false });
  }

  /** Sends what has gathered; resolves when it, and all before it, has been taken or given up. Never rejects. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#sending) await this.#sending;
    if (this.#lines === "") return;
    this.#sending = this.#send();
    await this.#sending;
  }

  async #send(): Promise<void> {
    const { warn, send } = this.#options;
    const [lines, lost] = [this.#lines, this.#lost];
    this.#lines = "";
    this.#lost = 0;
    if (lost > 0) warn(`${lost} decisions were not recorded: they came too fast`);
    try {
      await send(lines);
    } catch (error) {
      warn(`decisions were not recorded: ${(error as Error).message}`);
    } finally {
      this.#sending = undefined;
    }
  }
}
