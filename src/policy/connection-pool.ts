/** policy/connection-pool.ts: the connections to one policy server that the sessions of a service share. At most
 *  `connectionLimit` are open; a request that finds none free waits in order. The connection used last is taken first, so
 *  those that are not needed grow idle and are closed (max_idle, max_ttl, request_limit). */
import type { Clock } from "../base/clock.ts";
import type { Deadline, Deadlines } from "../base/deadlines.ts";
import { PolicyConnection } from "./connection.ts";
import type { ServiceSettings } from "./service-settings.ts";

/** Requests that may wait for a connection. */
const MAX_WAITING = 10_000;

export interface PoolOptions {
  readonly settings: ServiceSettings;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

type Waiter = (connection: PolicyConnection | undefined) => void;

export class ConnectionPool {
  readonly #options: PoolOptions;
  /** Every open connection with the deadline that ends it when idle. */
  readonly #open = new Map<PolicyConnection, Deadline>();
  #idle: PolicyConnection[] = [];
  readonly #waiting = new Set<Waiter>();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Open connections, for tests. */
  get size(): number {
    return this.#open.size;
  }

  /** A connection for one request, to be given back; undefined when the signal came first, too many wait, or after close(). */
  take(signal: AbortSignal): Promise<PolicyConnection | undefined> {
    if (this.#isClosed || signal.aborted) return Promise.resolve(undefined);
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      this.#open.get(idle)?.disarm();
      return Promise.resolve(idle);
    }
    if (this.#open.size < this.#options.settings.connectionLimit) return Promise.resolve(this.#connect());
    if (this.#waiting.size >= MAX_WAITING) return Promise.resolve(undefined);
    return this.#wait(signal);
  }

  /** A new connection in the place of one that failed. */
  replace(failed: PolicyConnection): PolicyConnection | undefined {
    this.#forget(failed);
    return this.#isClosed ? undefined : this.#connect();
  }

  /** After an exchange, however it went. */
  giveBack(connection: PolicyConnection): void {
    const { requestLimit, maxIdleMs, maxTtlMs } = this.#options.settings;
    const leftMs = maxTtlMs - connection.ageMs;
    const spent = requestLimit > 0 && connection.answered >= requestLimit;
    if (!connection.isUsable || spent || leftMs <= 0 || this.#isClosed) {
      this.#drop(connection);
      return;
    }
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) {
      waiter(connection);
      return;
    }
    this.#open.get(connection)?.arm(Math.min(maxIdleMs, leftMs));
    this.#idle.push(connection);
  }

  /** Ends all connections; requests under way and waiting ones fail. */
  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiting) waiter(undefined);
    for (const connection of [...this.#open.keys()]) this.#forget(connection);
  }

  #connect(): PolicyConnection {
    const { settings, clock, deadlines } = this.#options;
    const connection = new PolicyConnection({ settings, clock, onUnfit: (unfit) => this.#drop(unfit) });
    this.#open.set(
      connection,
      deadlines.open(() => this.#drop(connection)),
    );
    return connection;
  }

  #wait(signal: AbortSignal): Promise<PolicyConnection | undefined> {
    return new Promise((resolve) => {
      const giveUp = () => settle(undefined);
      const settle: Waiter = (connection) => {
        signal.removeEventListener("abort", giveUp);
        this.#waiting.delete(settle);
        resolve(connection);
      };
      this.#waiting.add(settle);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** Ends a connection and lets a waiting request open another. */
  #drop(connection: PolicyConnection): void {
    if (!this.#forget(connection) || this.#isClosed) return;
    this.#nextWaiter()?.(this.#connect());
  }

  #nextWaiter(): Waiter | undefined {
    const [first] = this.#waiting;
    return first;
  }

  /** False if it was not one of ours any more. */
  #forget(connection: PolicyConnection): boolean {
    const deadline = this.#open.get(connection);
    if (deadline === undefined) return false;
    this.#open.delete(connection);
    this.#idle = this.#idle.filter((other) => other !== connection);
    deadline.close();
    connection.close();
    return true;
  }
}
