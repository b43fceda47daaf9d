/** anvil/counters.ts: the counters themselves. As in anvil(8) all rates of a client are counted in one window, which begins
 *  with its first event and is followed by the next one after the time unit: no moving average. Connections are counted
 *  by holder (a worker), so that what a dead one held can be dropped. Limits and processes are not known here.
 *
 *  A client is busy (it has connections) or idle. Idle ones are forgotten one time unit after their last event, by one
 *  timer for all, and earlier if there are too many; busy ones are bounded by the connections there can be. */
import type { Clock, Timer } from "../base/clock.ts";
import type { AnvilConnection, AnvilEvent } from "./anvil.ts";

/** Clients that are remembered, as long as some of them are idle; about 250 bytes each. */
const MAX_CLIENTS = 65_536;

export interface CountersOptions {
  readonly clock: Clock;
  readonly rateUnitMs: number;
  /** For tests. */
  readonly maxClients?: number;
}

interface Client {
  connections: number;
  /** Beginning of the window. */
  startedAt: number;
  /** Last event or end of the last connection; meaningful while idle. */
  idleSince: number;
  connect: number;
  mail: number;
  rcpt: number;
  newtls: number;
  auth: number;
}

export class Counters {
  readonly #clock: Clock;
  readonly #maxClients: number;
  readonly #busy = new Map<string, Client>();
  /** Longest idle first. */
  readonly #idle = new Map<string, Client>();
  readonly #holders = new Map<object, Map<string, number>>();
  #sweep: Timer | undefined;
  #forgotten = 0;
  /** Milliseconds; a change holds for the windows that are open. */
  rateUnitMs: number;

  constructor(options: CountersOptions) {
    this.#clock = options.clock;
    this.#maxClients = options.maxClients ?? MAX_CLIENTS;
    this.rateUnitMs = options.rateUnitMs;
  }

  /** Clients that are remembered at present. */
  get size(): number {
    return this.#busy.size + this.#idle.size;
  }

  /** Clients forgotten before their time since this was asked last: their rates began anew. */
  takeForgotten(): number {
    const forgotten = this.#forgotten;
    this.#forgotten = 0;
    return forgotten;
  }

  connect(holder: object, key: string): AnvilConnection {
    const client = this.#busy.get(key) ?? this.#idle.get(key) ?? this.#create();
    this.#idle.delete(key);
    this.#busy.set(key, client);
    this.#roll(client);
    client.connect++;
    client.connections++;
    const held = this.#heldBy(holder);
    held.set(key, (held.get(key) ?? 0) + 1);
    this.#makeRoom();
    return { count: client.connections, rate: client.connect };
  }

  /** Nothing happens for a client of which the holder has no connection. */
  disconnect(holder: object, key: string): void {
    const held = this.#holders.get(holder);
    const count = held?.get(key) ?? 0;
    if (!held || count === 0) return;
    if (count > 1) held.set(key, count - 1);
    else held.delete(key);
    this.#leave(key, 1);
  }

  /** The holder is gone, and its connections with it. */
  drop(holder: object): void {
    const held = this.#holders.get(holder);
    this.#holders.delete(holder);
    for (const [key, count] of held ?? []) this.#leave(key, count);
  }

  count(event: AnvilEvent, key: string): number {
    const busy = this.#busy.get(key);
    const client = busy ?? this.#idle.get(key) ?? this.#create();
    this.#roll(client);
    client[event]++;
    if (!busy) this.#rest(key, client);
    return client[event];
  }

  peek(event: AnvilEvent, key: string): number {
    const client = this.#busy.get(key) ?? this.#idle.get(key);
    return client && !this.#isOver(client) ? client[event] : 0;
  }

  /** Forgets everything. */
  close(): void {
    this.#sweep?.cancel();
    this.#busy.clear();
    this.#idle.clear();
    this.#holders.clear();
  }

  #heldBy(holder: object): Map<string, number> {
    const known = this.#holders.get(holder);
    if (known) return known;
    const held = new Map<string, number>();
    this.#holders.set(holder, held);
    return held;
  }

  #create(): Client {
    const now = this.#clock.monotonic();
    return { connections: 0, startedAt: now, idleSince: now, connect: 0, mail: 0, rcpt: 0, newtls: 0, auth: 0 };
  }

  #isOver(client: Client): boolean {
    return this.#clock.monotonic() - client.startedAt > this.rateUnitMs;
  }

  /** Begins a new window if the last one is over. */
  #roll(client: Client): void {
    if (!this.#isOver(client)) return;
    client.startedAt = this.#clock.monotonic();
    client.connect = client.mail = client.rcpt = client.newtls = client.auth = 0;
  }

  #leave(key: string, connections: number): void {
    const client = this.#busy.get(key);
    if (!client) return;
    client.connections -= connections;
    if (client.connections > 0) return;
    this.#busy.delete(key);
    this.#rest(key, client);
  }

  /** To the end of the idle clients. */
  #rest(key: string, client: Client): void {
    client.idleSince = this.#clock.monotonic();
    this.#idle.delete(key);
    this.#idle.set(key, client);
    this.#makeRoom();
    this.#sweep ??= this.#clock.after(this.rateUnitMs + 1, () => this.#forgetOld(), { ref: false });
  }

  #makeRoom(): void {
    while (this.size > this.#maxClients) {
      const [oldest] = this.#idle.keys();
      if (oldest === undefined) return;
      this.#idle.delete(oldest);
      this.#forgotten++;
    }
  }

  #forgetOld(): void {
    this.#sweep = undefined;
    const now = this.#clock.monotonic();
    for (const [key, client] of this.#idle) {
      const left = client.idleSince + this.rateUnitMs - now;
      if (left >= 0) {
        this.#sweep = this.#clock.after(left + 1, () => this.#forgetOld(), { ref: false });
        return;
      }
      this.#idle.delete(key);
    }
  }
}
