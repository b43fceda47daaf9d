/** master/claim-client.ts: the worker's end of the claims of the duplicate guard: gathers what its sessions say within a turn of the event loop
 *  and tells the master in one call; the channel keeps the order. Waits while another session queues the same message. */
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

/** Between two questions about a message that another session is about to queue. */
const AGAIN_MS = 200;
/** For how long: below the two minutes in which a client wants its reply (RFC 6409 §5.3). */
const PATIENCE_MS = 60_000;
/** A master that is silent for longer is taken for dead. */
const ANSWER_MS = 10_000;

export interface ClaimClientOptions {
  /** Calls the master. */
  readonly call: (method: "claims", batch: readonly ClaimRequest[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

interface Question {
  readonly request: ClaimRequest;
  readonly resolve: (answer: ClaimAnswer | undefined) => void;
}

export class ClaimClient implements DuplicateClaims {
  readonly #options: ClaimClientOptions;
  #gathering: Question[] = [];

  constructor(options: ClaimClientOptions) {
    this.#options = options;
  }

  async ask(key: ClaimKey, queueId: string, windowMs: number) {
    const { clock } = this.#options;
    for (const end = clock.monotonic() + PATIENCE_MS; clock.monotonic() < end; await clock.sleep(AGAIN_MS)) {
      const answer = await new Promise<ClaimAnswer | undefined>((resolve) =>
        this.#gather({ request: ["ask", key, queueId, windowMs], resolve }),
      );
      if (answer === undefined) return "unknown";
      if (answer === NEW) return "new";
      if (answer !== BUSY) return { queueId: answer };
    }
    return "unknown";
  }

  tell(what: "kept" | "read" | "gone", key: ClaimKey, queueId: string): void {
    this.#gather({ request: [what, key, queueId], resolve: () => undefined });
  }

  #gather(question: Question): void {
    if (this.#gathering.length === 0) setImmediate(() => this.#send());
    this.#gathering.push(question);
  }

  #send(): void {
    const questions = this.#gathering;
    this.#gathering = [];
    for (let from = 0; from < questions.length; from += MAX_BATCH) {
      void this.#sendBatch(questions.slice(from, from + MAX_BATCH));
    }
  }

  async #sendBatch(questions: readonly Question[]): Promise<void> {
    const { call, warn } = this.#options;
    let answers: readonly ClaimAnswer[] = [];
    try {
      const batch = questions.map(({ request }) => request);
      answers = (await this.#withinTime(call("claims", batch))) as readonly ClaimAnswer[];
    } catch (error) {
      warn(`duplicate guard: the master does not answer: ${(error as Error).message}`);
    }
    questions.forEach(({ resolve }, i) => {
      resolve(answers[i]);
    });
  }

  #withinTime(answer: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { clock } = this.#options;
      const late = clock.after(ANSWER_MS, () => reject(new Error("Connection timed out")), { ref: false });
      answer.then(resolve, reject).finally(() => late.cancel());
    });
  }
}
