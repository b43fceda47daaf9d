/** master/anvil-client.ts: the worker's end of the master's counters of clients. If the master does not answer, sessions go on
 *  without limits, with Postfix's warning; a later disconnect still meets its connect. */
import {
  type Anvil,
  type AnvilAnswer,
  type AnvilConnection,
  type AnvilEvent,
  type AnvilRequest,
  MAX_BATCH,
} from "../anvil/anvil.ts";
import type { Clock } from "../base/clock.ts";
import { BatchedCalls } from "./batched-calls.ts";

export interface AnvilClientOptions {
  /** Calls the master. */
  readonly call: (method: "anvil", batch: readonly AnvilRequest[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

const NO_ANSWER: AnvilAnswer = [];

export class AnvilClient implements Anvil {
  readonly #calls: BatchedCalls<AnvilRequest, AnvilAnswer>;

  constructor({ call, clock, warn }: AnvilClientOptions) {
    this.#calls = new BatchedCalls({
      ...{ most: MAX_BATCH, clock, call: (batch) => call("anvil", batch) },
      failed: (why) => warn(`problem talking to server private/anvil: ${why}`),
    });
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

  async #ask(request: AnvilRequest): Promise<AnvilAnswer> {
    return (await this.#calls.ask(request)) ?? NO_ANSWER;
  }
}
