/** sasl/credential-cache.ts: passwords that were right a moment ago, so that a device that sends a mail a second does not
 *  cost a slow hash a second. Holds no password: the key is an HMAC under a random key of this process over everything
 *  that decided (mechanism class, account, password, stored hash), so a changed account never matches.
 *  Remembers success only. */
import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";

export class CredentialCache {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  readonly #limit: number;
  readonly #key = randomBytes(32);
  /** Due time (monotonic) by HMAC; insertion order is order of age, because all live equally long. */
  readonly #dueAt = new Map<string, number>();

  /** `lifeMs` 0 remembers nothing; `limit` counts entries. */
  constructor(options: { readonly clock: Clock; readonly lifeMs: number; readonly limit: number }) {
    this.#clock = options.clock;
    this.#lifeMs = options.lifeMs;
    this.#limit = options.limit;
  }

  has(identity: readonly string[]): boolean {
    const tag = this.#tag(identity);
    const dueAt = this.#dueAt.get(tag);
    if (dueAt === undefined) return false;
    if (dueAt > this.#clock.monotonic()) return true;
    this.#dueAt.delete(tag);
    return false;
  }

  remember(identity: readonly string[]): void {
    if (this.#lifeMs <= 0) return;
    const tag = this.#tag(identity);
    this.#dueAt.delete(tag);
    this.#dueAt.set(tag, this.#clock.monotonic() + this.#lifeMs);
    if (this.#dueAt.size <= this.#limit) return;
    for (const oldest of this.#dueAt.keys()) {
      this.#dueAt.delete(oldest);
      break;
    }
  }

  clear(): void {
    this.#dueAt.clear();
  }

  get size(): number {
    return this.#dueAt.size;
  }

  #tag(identity: readonly string[]): string {
    // JSON keeps ["ab", "c"] and ["a", "bc"] apart.
    return createHmac("sha256", this.#key).update(JSON.stringify(identity)).digest("base64");
  }
}
