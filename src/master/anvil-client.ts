/** master/anvil-client.ts: the worker's end of the master's counters of clients: gathers what its sessions ask within a
 *  turn of the event loop and asks it in one call. If the master does not answer, sessions go on without limits, with
 *  Postfix's warning; the channel keeps the order, so a later disconnect still meets its connect. */
import {
  type Anvil,
  type AnvilAnswer,
  type AnvilConnection,
  type AnvilEvent,
  type AnvilRequest,
  MAX_BATCH,
} from "../anvil/anvil.ts";
import type { Clock } from "../base/clock.ts";

/** A master that is silent for longer is taken for dead. */
const ANSWER_MS = 10_000;

export interface AnvilClientOptions {
  /** Calls the master. */
  readonly call: (method: "anvil", batch: readonly AnvilRequest[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

interface Question {
  readonly request: AnvilRequest;
  readonly resolve: (answer: AnvilAnswer) => void;
}

const NO_ANSWER: AnvilAnswer = [];

export class AnvilClient implements Anvil {
  readonly #options: AnvilClientOptions;
  #gathering: Question[] = [];

  constructor(options: AnvilClientOptions) {
    this.#options = options;
  }

  async connect(client: string): Promise<AnvilConnection> {
    const [count = 0, rate = 0] = await this.#ask(["connect", client]);
    return { count, rate };
  }

  async disconnect(client: string): Promise<void> {
    await this.#ask(["disconnect", client]);
  }

  async count(event: AnvilEvent, client: string): Promise<number> {
    return (await this.#ask([event, client]))[0] ?? 0;
  }

  async peek(_event: "newtls", client: string): Promise<number> {
    return (await this.#ask(["peek", client]))[0] ?? 0;
  }

  #ask(request: AnvilRequest): Promise<AnvilAnswer> {
    if (this.#gathering.length === 0) setImmediate(() => this.#send());
    return new Promise((resolve) => {
      this.#gathering.push({ request, resolve });
    });
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
    let answers: readonly AnvilAnswer[] = [];
    try {
      const batch = questions.map(({ request }) => request);
      answers = (await this.#withinTime(call("anvil", batch))) as readonly AnvilAnswer[];
    } catch (error) {
      warn(`problem talking to server private/anvil: ${(error as Error).message}`);
    }
    questions.forEach(({ resolve }, i) => {
      resolve(answers[i] ?? NO_ANSWER);
    });
  }

  #withinTime(answer: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = this.#options.clock.after(ANSWER_MS, () => reject(new Error("Connection timed out")), {
        ref: false,
      });
      answer.then(resolve, reject).finally(() => late.cancel());
    });
  }
}
