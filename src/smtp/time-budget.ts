/** smtp/time-budget.ts: the time that a peer has for a content (smtp_data_xfer_timeout, smtp_per_request_deadline). */
import type { Settings } from "./settings.ts";

/** How long the peer may still take (smtp_min_data_rate): time that it lets us wait is spent, bytes that it takes are earned,
 *  never above the limit. Without per-request deadlines each wait has the whole limit. */
export class TimeBudget {
  readonly #limitMs: number;
  readonly #msPerByte: number;
  readonly #now: () => number;
  #leftMs: number;

  constructor(settings: Pick<Settings, "timeouts" | "perRequestDeadline" | "minDataRate">, now: () => number) {
    this.#limitMs = this.#leftMs = settings.timeouts.dataXferMs;
    this.#msPerByte = settings.perRequestDeadline ? 1000 / settings.minDataRate : 0;
    this.#now = now;
  }

  get leftMs(): number {
    return Math.max(1, this.#leftMs);
  }

  async spend(wait: Promise<void>): Promise<void> {
    const began = this.#now();
    await wait;
    if (this.#msPerByte > 0) this.#leftMs -= this.#now() - began;
  }

  earn(bytes: number): void {
    this.#leftMs = Math.min(this.#limitMs, this.#leftMs + bytes * this.#msPerByte);
  }
}
