/** mail/slot-lease.ts: concurrency slots that several workers share (design §4, Lanes across workers): what a worker asks of
 *  whoever counts them, and what it hears back. The counter is in master/; its users are the scheduler and the listeners. */

/** One ask for up to `want` slots of `key`. */
export interface SlotAsk {
  /** What is limited: a lane key, a transport, or "inet " and a service. */
  readonly key: string;
  /** At least 1. */
  readonly want: number;
  /** Most slots of this key that may be out at any time, over all workers; at least 1. */
  readonly limit: number;
  /** How long a slot rests after it was released before anybody gets it again, in milliseconds (rate delay). */
  readonly restMs: number;
}

/** The side that holds slots of one key. */
export interface SlotHolder {
  /** Answers the open ask with one slot or more. */
  granted(count: number): void;
  /** Another worker waits: of the slots in use keep at most `keep`, as deliveries end, and no unused ones. Holds until
   *  the next granted(). */
  recalled(keep: number): void;
}

/** Where slots come from. Never calls a holder back before ask() has returned. */
export interface SlotLeases {
  /** One open ask per key at most. An ask that fails is not answered: no slot is ever taken for granted. */
  ask(ask: SlotAsk, holder: SlotHolder): void;
  release(key: string, count: number): void;
}
