/** net/ticket-keys.ts: keys of TLS session tickets that change every few hours (RFC 9325 §3.4, TLS-25): what is recorded today
 *  cannot be read with keys that are found tomorrow. Each secret is made of the one before by a one-way function, so all
 *  processes that began with the same seed have the same keys at the same time and need not talk about it. */
import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";

/** After it tickets of the keys before mean a full handshake. */
export const TICKET_KEY_LIFE_MS = 8 * 3_600_000;
/** Node's form: 16 bytes of name, 16 of HMAC key, 16 of AES key. */
const KEY_BYTES = 48;
const SECRET_BYTES = 32;
/** Nine years. A clock that is further ahead was wrong before, or is wrong now: then one step does. */
const MAX_STEPS = 10_000;

/** All that another process needs to have the same keys from now on. */
export interface TicketSeed {
  readonly secret: Uint8Array;
  readonly epoch: number;
}

export class TicketKeys {
  readonly #clock: Pick<Clock, "now">;
  #secret: Uint8Array;
  #epoch: number;
  #keys: Buffer;

  constructor(seed: TicketSeed, clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#secret = seed.secret;
    this.#epoch = seed.epoch;
    this.#keys = keysOf(this.#secret);
  }

  /** Keys that nobody has yet. */
  static fresh(clock: Pick<Clock, "now">): TicketKeys {
    return new TicketKeys({ secret: randomBytes(SECRET_BYTES), epoch: epochOf(clock) }, clock);
  }

  /** 48 bytes; the same object until they change. A clock that steps back changes nothing. */
  current(): Buffer {
    const epoch = epochOf(this.#clock);
    if (epoch > this.#epoch) {
      for (let steps = Math.min(epoch - this.#epoch, MAX_STEPS); steps > 0; steps--) this.#secret = next(this.#secret);
      this.#epoch = epoch;
      this.#keys = keysOf(this.#secret);
    }
    return this.#keys;
  }

  /** For a process that starts now. */
  seed(): TicketSeed {
    this.current();
    return { secret: this.#secret, epoch: this.#epoch };
  }
}

function epochOf(clock: Pick<Clock, "now">): number {
  return Math.floor(clock.now() / TICKET_KEY_LIFE_MS);
}

function next(secret: Uint8Array): Buffer {
  return createHmac("sha256", secret).update("next").digest();
}

function keysOf(secret: Uint8Array): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, "", "TLS session tickets", KEY_BYTES));
}
