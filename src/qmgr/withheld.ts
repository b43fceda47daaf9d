/** qmgr/withheld.ts: destinations that get no mail because somebody decided so: transports in defer_transports, and what an
 *  operator paused. Their mail is deferred without a try, so it neither fills the memory nor hides other mail that is due. */
import type { DeadReason } from "./active.ts";
import { parseLaneKey } from "./lane-map.ts";

/** qmgr_message.c; logged by the error transport. */
const DEFERRED_TRANSPORT: DeadReason = { dsn: "4.3.2", text: "deferred transport" };

/** What paused mail is told, and by what resume finds it again. `key` is a transport, or a lane key. */
export function pausedText(key: string): string {
  return `delivery paused by the operator: ${key}`;
}

export class Withheld {
  #deferred: ReadonlySet<string>;
  #paused: ReadonlySet<string> = new Set();
  /** Mail that was due by then has been flushed: defer_transports does not hold for its next try. */
  #flushedMs = Number.NEGATIVE_INFINITY;

  /** Transports of master.cf, as in defer_transports. */
  constructor(deferTransports: readonly string[]) {
    this.#deferred = new Set(deferTransports);
  }

  /** Nothing is withheld at present. */
  get none(): boolean {
    return this.#paused.size === 0 && this.#deferred.size === 0;
  }

  set deferTransports(names: readonly string[]) {
    this.#deferred = new Set(names);
  }

  /** Transports, or lane keys; upper and lower case of the next hop do not differ. */
  set paused(keys: readonly string[]) {
    this.#paused = new Set(keys.map(folded));
  }

  /** Someone issued `postqueue -f` or the like at `nowMs`. */
  flushed(nowMs: number): void {
    this.#flushedMs = nowMs;
  }

  /** Why the lane gets nothing, or undefined. `dueMs`: the latest due time of what is to be delivered; undefined for new
   *  mail, which a flush does not mean. */
  reasonFor(lane: { readonly key: string; readonly transport: { readonly name: string } }, dueMs?: number) {
    const transport = lane.transport.name;
    if (this.#paused.size > 0) {
      if (this.#paused.has(transport)) return pausedReason(transport);
      const key = folded(lane.key);
      if (this.#paused.has(key)) return pausedReason(key);
    }
    if (this.#deferred.size === 0 || !this.#deferred.has(transport)) return undefined;
    return dueMs !== undefined && dueMs <= this.#flushedMs ? undefined : DEFERRED_TRANSPORT;
  }
}

function pausedReason(key: string): DeadReason {
  return { dsn: "4.3.2", text: pausedText(key) };
}

/** Transports are compared as they are, as in defer_transports; next hops without regard to case. */
export function folded(key: string): string {
  const { transport, nexthop } = parseLaneKey(key);
  return key.includes(":") ? `${transport}:${nexthop.toLowerCase()}` : key;
}
