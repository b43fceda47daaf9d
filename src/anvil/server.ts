/** anvil/server.ts: the one place where clients are counted: in the master for all workers, or in the worker if there is
 *  one only. Counts, and logs the highest values now and then and at the end, as anvil(8) does. */
import type { Clock, Timer } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Log } from "../log/log.ts";
import {
  type Anvil,
  type AnvilAnswer,
  type AnvilConnection,
  type AnvilEvent,
  type AnvilRequest,
  MAX_BATCH,
} from "./anvil.ts";
import { Counters } from "./counters.ts";
import { Peaks } from "./peaks.ts";

const OPERATIONS: ReadonlySet<string> = new Set(["connect", "disconnect", "peek", "mail", "rcpt", "newtls", "auth"]);
/** A service name and an address; a longer key comes from nobody who means well. */
const MAX_KEY = 512;

export interface AnvilServerOptions {
  /** anvil_rate_time_unit, anvil_status_update_time. */
  readonly params: Parameters;
  readonly clock: Clock;
  readonly log: Log;
}

export class AnvilServer {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #peaks: Peaks;
  #statusMs: number;
  #status: Timer;

  constructor({ params, clock, log }: AnvilServerOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#counters = new Counters({ clock, rateUnitMs: params.get("anvil_rate_time_unit") });
    this.#peaks = new Peaks(() => clock.now());
    this.#statusMs = params.get("anvil_status_update_time");
    this.#status = this.#scheduleStatus();
  }

  /** Takes over the times of a new configuration; what has been counted stays. */
  configure(params: Parameters): void {
    this.#counters.rateUnitMs = params.get("anvil_rate_time_unit");
    const statusMs = params.get("anvil_status_update_time");
    if (statusMs === this.#statusMs) return;
    this.#statusMs = statusMs;
    this.#status.cancel();
    this.#status = this.#scheduleStatus();
  }

  /** The counters for one holder, in this process: every promise is settled already. */
  local(holder: object): Anvil {
    return {
      connect: async (client) => this.#connect(holder, client),
      disconnect: async (client) => this.#counters.disconnect(holder, client),
      count: async (event, client) => this.#count(event, client),
      peek: async (event, client) => this.#counters.peek(event, client),
    };
  }

  /** Answers a batch of a worker, in its order. Throws RangeError, and counts nothing, for a batch that makes no sense. */
  answer(holder: object, batch: readonly AnvilRequest[]): readonly AnvilAnswer[] {
    if (!isBatch(batch)) throw new RangeError("Bad batch of client events");
    return batch.map((request) => this.#answer(holder, request));
  }

  /** The holder has ended. */
  drop(holder: object): void {
    this.#counters.drop(holder);
  }

  /** Logs the last statistics and forgets everything. */
  close(): void {
    this.#status.cancel();
    this.#report();
    this.#counters.close();
  }

  #answer(holder: object, [operation, client]: AnvilRequest): AnvilAnswer {
    switch (operation) {
      case "connect": {
        const { count, rate } = this.#connect(holder, client);
        return [count, rate];
      }
      case "disconnect":
        this.#counters.disconnect(holder, client);
        return [];
      case "peek":
        return [this.#counters.peek("newtls", client)];
      default:
        return [this.#count(operation, client)];
    }
  }

  #connect(holder: object, client: string): AnvilConnection {
    const connection = this.#counters.connect(holder, client);
    this.#peaks.note("connect", connection.rate, client);
    this.#peaks.note("connections", connection.count, client);
    this.#peaks.noteSize(this.#counters.size);
    return connection;
  }

  #count(event: AnvilEvent, client: string): number {
    const rate = this.#counters.count(event, client);
    this.#peaks.note(event, rate, client);
    this.#peaks.noteSize(this.#counters.size);
    return rate;
  }

  #report(): void {
    for (const line of this.#peaks.take(this.#counters.rateUnitMs)) this.#log.info(line);
    const forgotten = this.#counters.takeForgotten();
    if (forgotten === 0) return;
    this.#log.warning(`too many clients: the rates of ${forgotten} began anew before anvil_rate_time_unit was over`);
  }

  #scheduleStatus(): Timer {
    const run = () => {
      this.#report();
      this.#status = this.#scheduleStatus();
    };
    return this.#clock.after(this.#statusMs, run, { ref: false });
  }
}

/** Workers talk to the network, the master does not: it believes none of them. */
function isBatch(batch: unknown): boolean {
  if (!Array.isArray(batch) || batch.length > MAX_BATCH) return false;
  return batch.every(
    (request) =>
      Array.isArray(request) &&
      OPERATIONS.has(request[0]) &&
      typeof request[1] === "string" &&
      request[1].length <= MAX_KEY,
  );
}
