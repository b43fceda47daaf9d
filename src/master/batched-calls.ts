/** master/batched-calls.ts: what many sessions ask the master: all of one turn of the event loop goes in one call. The channel keeps the order,
 *  so that what is said later counts later, also where the answer did not come in time. */
import type { Clock } from "../base/clock.ts";

/** A master that is silent for longer is taken for dead. */
const ANSWER_MS = 10_000;

export interface BatchedCallsOptions<Request> {
  /** Requests of one call at most. */
  readonly most: number;
  /** Resolves to as many answers, in order. */
  readonly call: (batch: readonly Request[]) => Promise<unknown>;
  readonly clock: Clock;
  /** Why the master did not answer, once for each call. */
  readonly failed: (why: string) => void;
}

interface Question<Request, Answer> {
  readonly request: Request;
  readonly resolve: (answer: Answer | undefined) => void;
}

export class BatchedCalls<Request, Answer> {
  readonly #options: BatchedCallsOptions<Request>;
  #gathering: Question<Request, Answer>[] = [];

  constructor(options: BatchedCallsOptions<Request>) {
    this.#options = options;
  }

  /** undefined: the master did not answer, though it may have heard. Never rejects. */
  ask(request: Request): Promise<Answer | undefined> {
    if (this.#gathering.length === 0) setImmediate(() => this.#send());
    return new Promise((resolve) => {
      this.#gathering.push({ request, resolve });
    });
  }

  #send(): void {
    const questions = this.#gathering;
    const { most } = this.#options;
    this.#gathering = [];
    for (let from = 0; from < questions.length; from += most) void this.#sendBatch(questions.slice(from, from + most));
  }

  async #sendBatch(questions: readonly Question<Request, Answer>[]): Promise<void> {
    const { call, failed } = this.#options;
    let answers: readonly Answer[] = [];
    try {
      const batch = questions.map(({ request }) => request);
      answers = (await this.#withinTime(call(batch))) as readonly Answer[];
    } catch (error) {
      failed((error as Error).message);
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
