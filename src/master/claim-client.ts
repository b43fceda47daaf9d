/** master/claim-client.ts: the worker's end of the claims of the duplicate guard. Waits while another session queues the same message. */
import type { Clock } from "../base/clock.ts";
import {
  BUSY,
  type ClaimAnswer,
  type ClaimKey,
  type ClaimRequest,
  type DuplicateClaims,
  MAX_BATCH,
  NEW,
} from "../duplicates/claim.ts";
import { BatchedCalls } from "./batched-calls.ts";

/** Between two questions about a message that another session is about to queue. */
const AGAIN_MS = 200;
/** For how long: below the two minutes in which a client wants its reply (RFC 6409 §5.3). */
const PATIENCE_MS = 60_000;

export interface ClaimClientOptions {
  /** Calls the master. */
  readonly call: (method: "claims", batch: readonly ClaimRequest[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

export class ClaimClient implements DuplicateClaims {
  readonly #clock: Clock;
  readonly #calls: BatchedCalls<ClaimRequest, ClaimAnswer>;

  constructor({ call, clock, warn }: ClaimClientOptions) {
    this.#clock = clock;
    this.#calls = new BatchedCalls({
      ...{ most: MAX_BATCH, clock, call: (batch) => call("claims", batch) },
      failed: (why) => warn(`duplicate guard: the master does not answer: ${why}`),
    });
  }

  async ask(key: ClaimKey, queueId: string, windowMs: number) {
    const clock = this.#clock;
    for (const end = clock.monotonic() + PATIENCE_MS; clock.monotonic() < end; await clock.sleep(AGAIN_MS)) {
      const answer = await this.#calls.ask(["ask", key, queueId, windowMs]);
      if (answer === undefined) {
        // It may have been heard all the same: left alone the claim would keep the client off when it comes again.
        this.tell("gone", key, queueId);
        return "unknown";
      }
      if (answer === NEW) return "new";
      if (answer !== BUSY) return { queueId: answer };
    }
    return "unknown";
  }

  tell(what: "kept" | "read" | "gone", key: ClaimKey, queueId: string): void {
    void this.#calls.ask([what, key, queueId]);
  }
}
