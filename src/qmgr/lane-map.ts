/** qmgr/lane-map.ts: the lanes and transports in memory, and lane keys ("transport:nexthop"). */
import type { Parameters } from "../config/parameters.ts";
import { Lane, Transport } from "./lane.ts";
import { limitsOf } from "./limits.ts";

/** The lane of recipients whose next hop could not be found out: they are resolved again when due. */
export const RETRY_LANE = "retry:";

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

/** Created on demand, forgotten when idle. */
export class LaneMap {
  readonly #params: Parameters;
  readonly #slots: (transport: string) => number | undefined;
  readonly #lanes = new Map<string, Lane>();
  /** One per transport that ever had mail: as many as master.cf has lines. */
  readonly #transports = new Map<string, Transport>();
  /** Lanes that are paused, to be opened when their time is over. */
  readonly #paused = new Set<Lane>();

  constructor(params: Parameters, slots: (transport: string) => number | undefined) {
    this.#params = params;
    this.#slots = slots;
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
      const { transport, nexthop } = parseLaneKey(key);
      lane = new Lane(key, this.transport(transport), nexthop);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** Limits are read once per transport: a new configuration makes a new scheduler. */
  transport(name: string): Transport {
    let transport = this.#transports.get(name);
    if (!transport) {
      transport = new Transport({ name, limits: limitsOf(this.#params, name), slots: this.#slots(name) });
      this.#transports.set(name, transport);
    }
    return transport;
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

  values(): IterableIterator<Lane> {
    return this.#lanes.values();
  }
}
