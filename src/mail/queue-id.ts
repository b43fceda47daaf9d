/** mail/queue-id.ts: the name of a message, made from time and shard without I/O (design §5, step 6b).
 *  Short form (Postfix default look): upper-case hex. Long form (enable_long_queue_ids): Postfix's base52 time, "z", base51.
 *  Both name the same (second, microsecond, shard); one allocator never gives the same pair twice. */
import type { Branded } from "../base/brand.ts";

export type QueueId = Branded<string, "QueueId">;

export interface QueueIdParts {
  readonly micros: number;
  readonly shard: number;
}

/** At most this many shards can be told apart in a queue id. */
export const MAX_SHARDS = 256;

const LONG_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
const SHORT_ID = /^([0-9A-F]{5})([0-9A-F]{7,9})([0-9A-F]{2})$/;
const LONG_ID =
  /^([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{6})([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{4})z([0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,3})$/;

/** Allocates queue ids for one shard. Strictly increasing: two in the same microsecond get the next one. */
export class QueueIdAllocator {
  readonly #nowMicros: () => number;
  readonly #shard: number;
  readonly #long: boolean;
  #lastMicros: number;

  /** `floorMicros` is the newest id ever stored in the shard, so a clock that was set back cannot repeat one. */
  constructor(options: { nowMicros: () => number; shard: number; long: boolean; floorMicros: number }) {
    this.#nowMicros = options.nowMicros;
    this.#shard = options.shard;
    this.#long = options.long;
    this.#lastMicros = options.floorMicros;
  }

  next(): QueueId {
    this.#lastMicros = Math.max(this.#lastMicros + 1, this.#nowMicros());
    const parts = { micros: this.#lastMicros, shard: this.#shard };
    return this.#long ? formatLongQueueId(parts) : formatShortQueueId(parts);
  }
}

/** `UUUUU` microseconds, seconds (at least seven digits), `SS` shard; upper-case hex. */
export function formatShortQueueId({ micros, shard }: QueueIdParts): QueueId {
  const seconds = Math.floor(micros / 1e6);
  return `${hex(micros % 1e6, 5)}${hex(seconds, 7)}${hex(shard, 2)}` as QueueId;
}

/** Six base52 digits of seconds, four of microseconds, "z", the shard in base51 ("z" is no digit there). */
export function formatLongQueueId({ micros, shard }: QueueIdParts): QueueId {
  const seconds = Math.floor(micros / 1e6);
  return `${digits(seconds, 52, 6)}${digits(micros % 1e6, 52, 4)}z${digits(shard, 51, 1)}` as QueueId;
}

/** The parts of either form, or undefined if the text is no queue id of ours. */
export function parseQueueId(text: string): (QueueIdParts & { readonly id: QueueId }) | undefined {
  const short = SHORT_ID.exec(text);
  const long = short ? undefined : LONG_ID.exec(text);
  const fields = short ?? long;
  if (!fields) return undefined;
  const read = short ? (s: string) => Number.parseInt(s, 16) : (s: string) => value(s, 52);
  const [, first = "", second = "", third = ""] = fields;
  const seconds = short ? read(second) : read(first);
  const fraction = short ? read(first) : read(second);
  const shard = short ? read(third) : value(third, 51);
  if (fraction >= 1e6 || shard >= MAX_SHARDS) return undefined;
  return { micros: seconds * 1e6 + fraction, shard, id: text as QueueId };
}

function hex(n: number, width: number): string {
  return n.toString(16).toUpperCase().padStart(width, "0");
}

function digits(n: number, base: number, width: number): string {
  let text = "";
  for (let rest = n; rest > 0; rest = Math.floor(rest / base)) text = LONG_DIGITS.charAt(rest % base) + text;
  return text.padStart(width, "0");
}

function value(text: string, base: number): number {
  let n = 0;
  for (const digit of text) n = n * base + LONG_DIGITS.indexOf(digit);
  return n;
}
