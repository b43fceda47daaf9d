/** tables/peer-pool.ts: the connections of one table to its server (ldap, memcache, socketmap, tcp) in one worker. One
 *  lookup at a time on a connection, few connections, the others wait in line. A connection that failed in any way is closed
 *  and never used again, so no answer can reach the wrong question. Speaks no protocol. */
import type { Clock } from "../base/clock.ts";
import { TableError } from "./table.ts";

/** Why a peer gave no answer. "lost" (the connection ended) is worth another try on a new connection. */
export type PeerFailure = "connect" | "lost" | "timeout" | "malformed" | "refused" | "busy" | "closed";

export class PeerError extends Error {
  override readonly name = "PeerError";
  readonly kind: PeerFailure;

  constructor(kind: PeerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface PeerConnection {
  /** Settles when it can be used; rejects PeerError, also when it is closed before. */
  readonly ready: Promise<void>;
  /** False once it has ended or must not be asked again. */
  readonly usable: boolean;
  /** Ends it now; what is under way on it rejects. Idempotent. */
  close(): void;
}

export interface PeerPoolOptions<C extends PeerConnection> {
  readonly clock: Clock;
  /** For a lookup as a whole: waiting in line, connecting, asking, a second try. */
  readonly timeoutMs: number;
  /** Begins to connect. */
  readonly open: () => C;
}

const MAX_CONNECTIONS = 4;
const MAX_WAITING = 1000;
/** An older idle connection may be half open: a firewall between has forgotten it. */
const MAX_IDLE_MS = 60_000;

/** One lookup on its way. */
interface Turn<C> {
  connection: C | undefined;
  expired: boolean;
  /** Set while it waits in line. */
  leaveLine: ((why: PeerError) => void) | undefined;
}

interface Waiting {
  readonly enter: () => void;
  readonly refuse: (why: PeerError) => void;
}

export class PeerPool<C extends PeerConnection> {
  readonly #options: PeerPoolOptions<C>;
  readonly #open = new Set<C>();
  #idle: { readonly connection: C; readonly since: number }[] = [];
  readonly #waiting = new Set<Waiting>();
  #active = 0;
  #closed = false;

  constructor(options: PeerPoolOptions<C>) {
    this.#options = options;
  }

  /** Open connections, for tests. */
  get size(): number {
    return [...this.#open].filter((connection) => connection.usable).length;
  }

  /** Runs `work` on a free connection; once more on a new one if an old one turns out to have ended. Rejects PeerError, and
   *  whatever `work` rejects with. */
  async use<T>(work: (connection: C) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    const { clock, timeoutMs } = this.#options;
    const turn: Turn<C> = { connection: undefined, expired: false, leaveLine: undefined };
    const timer = clock.after(timeoutMs, () => expire(turn));
    try {
      await this.#enter(turn);
      try {
        return await this.#attempt(turn, work);
      } finally {
        this.#leave();
      }
    } catch (cause) {
      throw turn.expired ? new PeerError("timeout", `no answer within ${timeoutMs / 1000} seconds`, { cause }) : cause;
    } finally {
      timer.cancel();
    }
  }

  /** Ends all connections and refuses all who wait. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#open) connection.close();
    for (const waiting of this.#waiting) waiting.refuse(closed());
    this.#open.clear();
    this.#idle = [];
  }

  #enter(turn: Turn<C>): Promise<void> {
    if (this.#active < MAX_CONNECTIONS) {
      this.#active++;
      return Promise.resolve();
    }
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new PeerError("busy", `more than ${MAX_WAITING} lookups wait for an answer`));
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        enter: () => {
          this.#waiting.delete(waiting);
          turn.leaveLine = undefined;
          resolve();
        },
        refuse: (why) => {
          this.#waiting.delete(waiting);
          reject(why);
        },
      };
      turn.leaveLine = waiting.refuse;
      this.#waiting.add(waiting);
    });
  }

  /** Hands the place to the one who waits longest. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next) next.enter();
    else this.#active--;
  }

  async #attempt<T>(turn: Turn<C>, work: (connection: C) => Promise<T>): Promise<T> {
    const idle = this.#takeIdle();
    if (idle) {
      try {
        return await this.#run(turn, idle, work);
      } catch (cause) {
        const stale = cause instanceof PeerError && cause.kind === "lost";
        if (!stale || turn.expired || this.#closed) throw cause;
      }
    }
    if (this.#closed) throw closed();
    const fresh = this.#options.open();
    this.#open.add(fresh);
    return this.#run(turn, fresh, work);
  }

  async #run<T>(turn: Turn<C>, connection: C, work: (connection: C) => Promise<T>): Promise<T> {
    turn.connection = connection;
    try {
      await connection.ready;
      const result = await work(connection);
      this.#keep(connection);
      return result;
    } catch (cause) {
      this.#drop(connection);
      throw cause;
    }
  }

  #keep(connection: C): void {
    if (connection.usable && !this.#closed) this.#idle.push({ connection, since: this.#options.clock.monotonic() });
    else this.#drop(connection);
  }

  #drop(connection: C): void {
    this.#open.delete(connection);
    connection.close();
  }

  #takeIdle(): C | undefined {
    const now = this.#options.clock.monotonic();
    for (let last = this.#idle.pop(); last; last = this.#idle.pop()) {
      if (last.connection.usable && now - last.since < MAX_IDLE_MS) return last.connection;
      this.#drop(last.connection);
    }
    return undefined;
  }
}

function expire(turn: Turn<PeerConnection>): void {
  turn.expired = true;
  turn.leaveLine?.(new PeerError("timeout", "waited too long"));
  turn.connection?.close();
}

function closed(): PeerError {
  return new PeerError("closed", "the table is closed");
}

/** The error of a lookup, in the table's name; what is no failure of the peer stays as it is. */
export function lookupError(ref: string, cause: unknown): unknown {
  return cause instanceof PeerError ? new TableError(`table ${ref} lookup error: ${cause.message}`, { cause }) : cause;
}

/** A value as the server sent it. Throws TableError where it would break what it is put into: replies, headers, logs. */
export function checkValue(ref: string, value: string): string {
  if (/[\0\r\n]/.test(value)) throw new TableError(`table ${ref} lookup error: the result holds a line end or a NUL`);
  if (value !== "") return value;
  throw new TableError(`${ref} lookup returns an empty string result; it should return NO RESULT in case of NOT FOUND`);
}
