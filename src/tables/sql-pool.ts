/** tables/sql-pool.ts: the connections of one pgsql or mysql table in one worker: which host is asked, when a host rests, how
 *  many connections there are and when they end (pgsql_table(5), mysql_table(5): hosts, idle_interval, retry_interval).
 *  Hosts behind a UNIX-domain socket come first, then a random one of the others. A host that failed rests; a statement that
 *  the server refuses is no failure of the host, but the next host is asked too. Speaks no protocol: that is the driver's. */
import type { Clock } from "../base/clock.ts";
import { type Deadline, Deadlines } from "../base/deadlines.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { TableError } from "./table.ts";

/** Texts of one result, row by row; undefined: the statement returned no result set. */
export type SqlRows = readonly (readonly (string | null)[])[] | undefined;

/** The server refused the statement and its connection is fine. */
export class StatementError extends Error {
  override readonly name = "StatementError";
  /** SQLSTATE. */
  readonly code: string;

  constructor(message: string, code: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** One established connection; one query at a time. */
export interface SqlConnection {
  /** Rejects StatementError; any other error means that the connection is lost. */
  query(sql: string, values: readonly string[]): Promise<SqlRows>;
  /** Ends it now, whatever it is doing. Never throws. */
  close(): void;
}

export interface SqlHost {
  /** As written, without a password. */
  readonly name: string;
  readonly unix: boolean;
  /** Rejects within CONNECT_MS; calls `lost` when the connection ends by itself later. */
  connect(lost: () => void): Promise<SqlConnection>;
}

export interface SqlPoolOptions {
  /** "pgsql", "mysql", for the log. */
  readonly type: string;
  readonly hosts: readonly SqlHost[];
  readonly idleMs: number;
  readonly retryMs: number;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
  /** 0 ≤ result < below; Math.random's if not given. */
  readonly random?: (below: number) => number;
}

/** The drivers' limit for a connection, login included. */
export const CONNECT_MS = 10_000;
const QUERY_MS = 10_000;
/** A lookup that took so long asks no further host, so that one takes 40 seconds at most. */
const LOOKUP_MS = 20_000;
const MAX_CONNECTIONS = 4;
const MAX_WAITING = 1000;

/** The server did not answer; that its connection then ends is our doing. */
class LateError extends Error {
  override readonly name = "LateError";
}

interface Place {
  readonly host: SqlHost;
  /** Monotonic milliseconds until which it is skipped. */
  restsUntil: number;
}

interface Slot {
  readonly place: Place;
  readonly idle: Deadline;
  connection: SqlConnection | undefined;
  /** It has answered before, so its end says nothing about the host. */
  proven: boolean;
  busy: boolean;
  lost: boolean;
}

export class SqlPool {
  readonly #options: SqlPoolOptions;
  readonly #places: readonly Place[];
  readonly #slots = new Set<Slot>();
  readonly #waiting = new Set<() => void>();
  readonly #deadlines: Deadlines;
  #failure = "";
  #closed = false;

  constructor(options: SqlPoolOptions) {
    this.#options = options;
    this.#places = options.hosts.map((host) => ({ host, restsUntil: Number.NEGATIVE_INFINITY }));
    this.#deadlines = new Deadlines(options.clock);
  }

  /** Runs `work` on a free connection, at the next host where it fails. Rejects TableError. */
  async run(work: (connection: SqlConnection) => Promise<SqlRows>): Promise<SqlRows> {
    const until = this.#options.clock.monotonic() + LOOKUP_MS;
    const refused = new Map<Place, StatementError>();
    for (;;) {
      const slot = await this.#take(refused, until);
      if (!slot?.connection) break;
      try {
        const rows = await this.#bounded(work(slot.connection), QUERY_MS, () => this.#drop(slot));
        this.#giveBack(slot);
        return rows;
      } catch (error) {
        this.#failed(slot, error, refused);
      }
    }
    const [place, error] = [...refused].at(-1) ?? [];
    if (place && error) {
      throw new TableError(`query failed at host ${place.host.name}: ${textOf(error)}`, { cause: error });
    }
    throw new TableError(this.#failure === "" ? "no host can be asked" : `no host can be asked: ${this.#failure}`);
  }

  /** Ends all connections, busy ones too. */
  close(): void {
    this.#closed = true;
    this.#failure = "the table is closed";
    for (const slot of this.#slots) this.#drop(slot);
    this.#wakeAll();
  }

  /** Open connections and those being opened, for tests. */
  get size(): number {
    return this.#slots.size;
  }

  #failed(slot: Slot, error: unknown, refused: Map<Place, StatementError>): void {
    if (error instanceof StatementError) {
      refused.set(slot.place, error);
      this.#giveBack(slot);
      return;
    }
    const { type, warn } = this.#options;
    this.#drop(slot);
    // A server that was restarted has ended old connections; a new one shows whether it is back.
    if (this.#closed || (slot.proven && !(error instanceof LateError))) return;
    warn(`${type} query failed: fatal error from host ${slot.place.host.name}: ${textOf(error)}`);
    this.#rest(slot.place, error);
  }

  /** A connection for one query; undefined: every host rests or has refused the statement. */
  async #take(refused: ReadonlyMap<Place, unknown>, until: number): Promise<Slot | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const now = this.#options.clock.monotonic();
      if (now >= until) {
        this.#wakeOne(); // it may have been this lookup's turn
        throw new TableError(`no answer within ${LOOKUP_MS / 1000} seconds. ${this.#failure}`);
      }
      const live = this.#places.filter((place) => place.restsUntil <= now && !refused.has(place));
      if (live.length === 0) return undefined;
      const free = [...this.#slots].filter((slot) => !slot.busy && live.includes(slot.place));
      const idle = this.#choose(free, (slot) => slot.place.host.unix);
      if (idle) return this.#reserve(idle);
      const place = this.#hasRoom() && this.#choose(live, ({ host }) => host.unix);
      if (!place) await this.#wait(until - now);
      else {
        const slot = await this.#connect(place);
        if (slot) return slot;
      }
    }
  }

  /** Room for one more connection, if need be in place of an idle one, which then is one to a host not wanted now. */
  #hasRoom(): boolean {
    if (this.#slots.size < MAX_CONNECTIONS) return true;
    const idle = [...this.#slots].find((slot) => !slot.busy);
    if (idle) this.#drop(idle);
    return idle !== undefined;
  }

  #choose<T>(among: readonly T[], isUnix: (item: T) => boolean): T | undefined {
    const local = among.filter(isUnix);
    const list = local.length > 0 ? local : among;
    const random = this.#options.random ?? ((below) => Math.floor(Math.random() * below));
    return list[random(list.length)];
  }

  #reserve(slot: Slot): Slot {
    slot.busy = true;
    slot.idle.disarm();
    return slot;
  }

  /** undefined: the host now rests. */
  async #connect(place: Place): Promise<Slot | undefined> {
    const slot: Slot = {
      place,
      idle: this.#deadlines.open(() => this.#drop(slot)),
      connection: undefined,
      proven: false,
      busy: true,
      lost: false,
    };
    this.#slots.add(slot);
    try {
      slot.connection = await place.host.connect(() => {
        slot.lost = true;
        if (!slot.busy) this.#drop(slot);
      });
    } catch (error) {
      this.#drop(slot);
      if (this.#closed) return undefined;
      this.#options.warn(`connect to ${this.#options.type} server ${place.host.name}: ${textOf(error)}`);
      this.#rest(place, error);
      return undefined;
    }
    if (this.#slots.has(slot)) return slot;
    slot.connection.close(); // closed meanwhile
    return undefined;
  }

  #giveBack(slot: Slot): void {
    slot.busy = false;
    slot.proven = true;
    if (slot.lost || this.#closed) this.#drop(slot);
    else slot.idle.arm(this.#options.idleMs);
    this.#wakeOne();
  }

  #drop(slot: Slot): void {
    if (!this.#slots.delete(slot)) return;
    slot.idle.close();
    slot.connection?.close();
    this.#wakeOne();
  }

  #rest(place: Place, error: unknown): void {
    place.restsUntil = this.#options.clock.monotonic() + this.#options.retryMs;
    this.#failure = `${place.host.name}: ${textOf(error)}`;
    for (const slot of this.#slots) if (slot.place === place && !slot.busy) this.#drop(slot);
    this.#wakeAll(); // those who wait for this host must not wait on
  }

  async #wait(ms: number): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING)
      throw new TableError(`more than ${MAX_WAITING} lookups wait for a connection`);
    let wake: () => void = () => undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#waiting.add(wake);
    const deadline = this.#deadlines.open(wake);
    deadline.arm(ms);
    await woken;
    deadline.close();
    this.#waiting.delete(wake);
  }

  #wakeOne(): void {
    for (const wake of this.#waiting) {
      this.#waiting.delete(wake);
      wake();
      return;
    }
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Rejects when the time is over, after `late()`; the work itself then ends unheard. */
  #bounded<T>(work: Promise<T>, ms: number, late: () => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const deadline = this.#deadlines.open(() => {
        reject(new LateError(`no answer within ${ms / 1000} seconds`));
        deadline.close();
        late();
      });
      deadline.arm(ms);
      work.then(resolve, reject).finally(() => deadline.close());
    });
  }
}

function textOf(error: unknown): string {
  // Node reports several addresses that failed as an AggregateError without a text.
  if (error instanceof AggregateError) return error.errors.map(textOf).join("; ");
  return printableUtf8(error instanceof Error ? error.message : String(error));
}
