/** qmgr/lane-map.ts: the lanes and transports in memory, and lane keys ("transport:nexthop"). */
import type { Clock } from "../base/clock.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import type { SlotLeases } from "../mail/slot-lease.ts";
import { Lane, Transport } from "./lane.ts";
import { builtInLimits, limitsOf, type TransportLimits } from "./limits.ts";
import { type SlotRule, Slots } from "./slots.ts";

/** The lane of recipients whose next hop could not be found out: they are resolved again when due. */
export const RETRY_LANE = "retry:";

/** The transport of recipients that an operator has requeued. No line of master.cf can have its name. */
export const REQUEUE_TRANSPORT = "(requeue)";
/** The lane in which they wait for it. */
export const REQUEUE_LANE = `${REQUEUE_TRANSPORT}:`;

/** Joins what parseLaneKey() splits. A transport name holds no colon. */
export function formatLaneKey(transport: string, nexthop: string): string {
  return `${transport}:${nexthop}`;
}

/** The parts of a lane key; a key without colon is a transport without next hop. */
export function parseLaneKey(key: string): { readonly transport: string; readonly nexthop: string } {
  const colon = key.indexOf(":");
  if (colon < 0) return { transport: key, nexthop: "" };
  return { transport: key.slice(0, colon), nexthop: key.slice(colon + 1) };
}

export interface LaneMapOptions {
  readonly params: Parameters;
  readonly clock: Clock;
  /** Number of workers that share every limit. */
  readonly workers: number;
  /** undefined: limits that cannot be shared hold for this worker alone. */
  readonly leases: SlotLeases | undefined;
  /** maxproc of a transport; undefined or 0: no limit. */
  readonly maxproc: (transport: string) => number | undefined;
  /** A lane, or lanes of a transport, may find slots now. */
  readonly wakeLane: (lane: Lane) => void;
  readonly wakeTransport: (transport: Transport) => void;
  /** A transport's limits cannot be read: the built-in ones hold until a reload. */
  readonly unreadable: (transport: string, error: ParameterError) => void;
}

/** Created on demand, forgotten when idle. */
export class LaneMap {
  readonly #options: LaneMapOptions;
  readonly #lanes = new Map<string, Lane>();
  /** One per transport that ever had mail: as many as master.cf has lines. */
  readonly #transports = new Map<string, Transport>();
  /** Lanes that are paused, to be opened when their time is over. */
  readonly #paused = new Set<Lane>();

  constructor(options: LaneMapOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#lanes.size;
  }

  find(key: string): Lane | undefined {
    return this.#lanes.get(key);
  }

  open(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (!lane) {
      lane = this.#create(key);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  transport(name: string): Transport {
    let transport = this.#transports.get(name);
    if (!transport) {
      transport = this.#createTransport(name);
      this.#transports.set(name, transport);
    }
    return transport;
  }

  /** Reads the limits again. Throws ParameterError, nothing changed. */
  reconfigure(): void {
    const limits = Array.from(this.#transports.values(), (t) => [t, this.#limitsOf(t.name)] as const);
    for (const [transport, now] of limits) {
      transport.limits = now;
      transport.slots.change(this.#transportRule(transport.name, now));
    }
    for (const lane of this.#lanes.values()) {
      lane.limitsChanged();
      lane.slots.change(this.#laneRule(lane.transport.limits));
    }
  }

  #create(key: string): Lane {
    const { transport: name, nexthop } = parseLaneKey(key);
    const transport = this.transport(name);
    const rule = this.#laneRule(transport.limits);
    const lane: Lane = new Lane({
      key,
      transport,
      nexthop,
      slots: new Slots({ key, rule, wake: () => this.#options.wakeLane(lane) }),
    });
    return lane;
  }

  /** A transport's slots have its name as key: lane keys hold a colon. */
  #createTransport(name: string): Transport {
    const limits = this.#readableLimitsOf(name);
    const rule = this.#transportRule(name, limits);
    const { clock, wakeTransport } = this.#options;
    const slots = new Slots({ key: name, rule, wake: () => wakeTransport(transport), clock });
    const transport: Transport = new Transport(name, limits, slots);
    return transport;
  }

  #limitsOf(name: string): TransportLimits {
    return limitsOf(this.#options.params, name, this.#options.workers);
  }

  /** `check` looks at those of master.cf's transports; a table can name others. Mail that is committed needs a lane in any case. */
  #readableLimitsOf(name: string): TransportLimits {
    try {
      return this.#limitsOf(name);
    } catch (error) {
      if (!(error instanceof ParameterError)) throw error;
      this.#options.unreadable(name, error);
      return builtInLimits(name, this.#options.workers);
    }
  }

  /** What is not leased is kept by the lane's window. */
  #laneRule({ leased, concurrency, rateDelayMs }: TransportLimits): SlotRule {
    const leases = leased ? this.#options.leases : undefined;
    return { limit: leases ? concurrency : Number.POSITIVE_INFINITY, leases, restMs: leases ? rateDelayMs : 0 };
  }

  /** maxproc, or one that rests after each delivery (qmgr_transport.c, the rate lock). What an operator requeues is no
   *  delivery. */
  #transportRule(name: string, { transportRateDelayMs }: TransportLimits): SlotRule {
    const { maxproc, workers, leases } = this.#options;
    const restMs = name === REQUEUE_TRANSPORT ? 0 : transportRateDelayMs;
    const limit = restMs > 0 ? 1 : maxproc(name) || Number.POSITIVE_INFINITY;
    return { limit, restMs, leases: workers > 1 && Number.isFinite(limit) ? leases : undefined };
  }

  /** The wall clock was set. */
  shift(byMs: number): void {
    for (const lane of this.#paused) lane.shift(byMs);
  }

  paused(lane: Lane): void {
    this.#paused.add(lane);
  }

  /** Opens the lanes whose pause ended before `nowMs` and returns them. */
  reopenDue(nowMs: number): readonly Lane[] {
    return this.#reopen((lane) => lane.pausedUntilMs <= nowMs);
  }

  /** Opens all dead lanes; a lane that waits for its rate delay goes on waiting. */
  reopenDead(): readonly Lane[] {
    return this.#reopen((lane) => lane.dead !== undefined);
  }

  /** Epoch milliseconds; Infinity when no lane is paused. */
  nextReopenMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const lane of this.#paused) next = Math.min(next, lane.pausedUntilMs);
    return next;
  }

  #reopen(which: (lane: Lane) => boolean): readonly Lane[] {
    const opened = [...this.#paused].filter(which);
    for (const lane of opened) {
      this.#paused.delete(lane);
      lane.reopen();
    }
    return opened;
  }

  forgetIfIdle(lane: Lane): void {
    if (lane.idle) this.#lanes.delete(lane.key);
  }

  transports(): IterableIterator<Transport> {
    return this.#transports.values();
  }

  values(): IterableIterator<Lane> {
    return this.#lanes.values();
  }
}
