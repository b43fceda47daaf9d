/** qmgr/due-reader.ts: brings waiting mail from the store into the lanes: after a start, when a retry is due, when a lane
 *  has drained. One look at a time, one timer for the earliest due recipient. New mail does not pass through here. */
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ClaimedMessage, LaneDue, QueueStore } from "../queue/store.ts";

export interface DueReaderOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest time between two looks. */
  readonly intervalMs: () => number;
  /** Lanes that may stand in front of the others without being readable (dead, full). */
  readonly lanesInMemory: () => number;
  /** How many recipients of the lane may be claimed now, when `promised` are being claimed for others; 0 marks the lane, so it asks again when it has room. */
  readonly spaceFor: (lane: string, promised: number) => number;
  /** A claim filled the space given: there may be more. */
  readonly mayHaveMore: (lane: string) => void;
  readonly accept: (message: ClaimedMessage) => Promise<void>;
  /** Before each look. */
  readonly beforeLook: () => void;
  /** The timer fired; before the look. */
  readonly tick: () => void;
}

/** Lanes read in one look, besides those that cannot take mail. */
const LANES_AT_ONCE = 256;
/** Claims that are asked for together. */
const CLAIMS_AT_ONCE = 16;
/** Between two looks because of due times: a look goes through all lanes, and no retry is due to the second. */
const LOOK_INTERVAL_MS = 1000;
/** Pause after the store failed. */
const RETRY_MS = 5000;

export class DueReader {
  readonly #options: DueReaderOptions;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: DueReaderOptions) {
    this.#options = options;
  }

  /** Looks now; if a look is under way, once more after it. */
  wake(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) this.wake();
    });
  }

  /** Makes sure that a look happens at `dueMs`. */
  wakeAt(dueMs: number): void {
    if (this.#stopped || dueMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = dueMs;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, dueMs - clock.now()), () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#options.tick();
      this.wake();
    });
  }

  /** The wall clock was set: the timer is for a time that means another one now. */
  forgetTimer(): void {
    this.#timer?.cancel();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  /** No further look; resolves when the present one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#again = false;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log, intervalMs } = this.#options;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        await this.#look();
      }
      this.wakeAt(clock.now() + intervalMs());
    } catch (cause) {
      this.#again = false;
      log.warning(`cannot read the queue, trying again: ${printableUtf8(String(cause))}`);
      this.wakeAt(clock.now() + RETRY_MS);
    }
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#options;
    this.#options.beforeLook();
    const limit = LANES_AT_ONCE + this.#options.lanesInMemory();
    const nextLookMs = clock.now() + LOOK_INTERVAL_MS;
    const lanes = await store.dueLanes(limit);
    const nowMs = clock.now();
    const notYet = lanes.findIndex(({ earliestDueMs }) => earliestDueMs > nowMs);
    const due = notYet < 0 ? lanes : lanes.slice(0, notYet);
    const claimed = await this.#claimAll(due, nowMs);
    const next = lanes[notYet];
    if (next) this.wakeAt(Math.max(next.earliestDueMs, nextLookMs));
    else if (lanes.length >= limit && claimed > 0) this.#again = true;
  }

  /** Several lanes at a time, so that their claims share a commit. Recipients claimed. */
  async #claimAll(lanes: readonly LaneDue[], nowMs: number): Promise<number> {
    let claimed = 0;
    for (let at = 0; at < lanes.length && !this.#stopped; ) {
      const asked: { readonly lane: string; readonly space: number }[] = [];
      for (let promised = 0; at < lanes.length && asked.length < CLAIMS_AT_ONCE; at++) {
        const lane = lanes[at]?.lane ?? "";
        const space = this.#options.spaceFor(lane, promised);
        if (space <= 0 && promised > 0) break; // perhaps only for what is promised: asked again when that is known
        if (space > 0) asked.push({ lane, space });
        promised += space;
      }
      claimed += await this.#claim(asked, nowMs);
    }
    return claimed;
  }

  /** Recipients claimed. What one claim brought is taken also when another fails. */
  async #claim(asked: readonly { lane: string; space: number }[], nowMs: number): Promise<number> {
    const { store, accept, mayHaveMore } = this.#options;
    const claims = await Promise.allSettled(asked.map(({ lane, space }) => store.claimDue(lane, nowMs, space)));
    const counts = claims.map((claim) => (claim.status === "fulfilled" ? recipientsOf(claim.value) : 0));
    for (const message of merged(claims)) await accept(message);
    for (const [i, { lane, space }] of asked.entries()) if ((counts[i] ?? 0) >= space) mayHaveMore(lane);
    for (const claim of claims) if (claim.status === "rejected") throw claim.reason;
    return counts.reduce((sum, count) => sum + count, 0);
  }
}

function recipientsOf(messages: readonly ClaimedMessage[]): number {
  return messages.reduce((sum, { recipients }) => sum + recipients.length, 0);
}

/** Each message once, with its recipients of all lanes: what is reported of it is reported together. */
function merged(claims: readonly PromiseSettledResult<readonly ClaimedMessage[]>[]): Iterable<ClaimedMessage> {
  const messages = new Map<QueueId, ClaimedMessage>();
  for (const claim of claims) {
    for (const message of claim.status === "fulfilled" ? claim.value : []) {
      const { queueId } = message.envelope;
      const known = messages.get(queueId);
      const recipients = known ? [...known.recipients, ...message.recipients] : message.recipients;
      messages.set(queueId, known ? { ...known, recipients } : message);
    }
  }
  return messages.values();
}
