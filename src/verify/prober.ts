/** verify/prober.ts: the address verification of one worker and one configuration (verify(8)): answers from the record that
 *  all workers share, and sends the probes that fill it. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import { type Address, domainOf, localPartOf } from "../mail/address.ts";
import type { AddressProber, AddressStatus } from "../mail/address-prober.ts";
import { printableUtf8 } from "../mail/printable.ts";
import { type ProbeSender, probeSenderAt } from "../mail/probe-sender.ts";
import type { StatusCache } from "../tables/status-cache.ts";
import type { Answer } from "./probe.ts";
import { answered, judge, type RecordTimes, sweepLimits } from "./record.ts";

export interface ProberOptions {
  /** The record. May throw: nothing is known then. */
  readonly cache: () => StatusCache;
  readonly times: RecordTimes;
  readonly sender: ProbeSender;
  /** Milliseconds between removals of what is expired; 0: never. */
  readonly sweepMs: number;
  /** Most probes at the same time. */
  readonly pendingLimit: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Sends one probe. Never rejects. */
  readonly send: (address: Address, sender: Address) => Promise<Answer>;
}

const NOT_KNOWN: AddressStatus = { kind: "failed", text: "address verification problem" };
const TOO_MANY: Answer = { kind: "deferred", text: "Too many address verification requests" };
/** Removing goes on in such steps, so that sessions are not held up. */
const SWEEP_PAUSE_MS = 100;

export class Prober implements AddressProber {
  readonly #options: ProberOptions;
  /** Addresses with a probe of this worker under way. */
  readonly #pending = new Set<string>();
  #closed = false;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  query(address: Address): AddressStatus {
    const { times, clock } = this.#options;
    const key = keyOf(address);
    try {
      const cache = this.#options.cache();
      const nowMs = clock.now();
      const { status, probe, record } = judge(cache.get(key), nowMs, times);
      if (probe && !this.#pending.has(key) && !this.#closed) {
        if (record) cache.put(key, record);
        void this.#probe(address, key);
      }
      this.#sweepIfDue(cache, nowMs);
      return status;
    } catch (error) {
      this.#options.log.error(`address verification: ${printableUtf8((error as Error).message)}`);
      return NOT_KNOWN;
    }
  }

  /** The probes under way have no answer any more: whoever asks next sends others, instead of waiting for these. */
  close(): void {
    this.#closed = true;
    if (this.#pending.size === 0) return;
    const { cache, log } = this.#options;
    try {
      for (const key of this.#pending) {
        const record = cache().get(key);
        if (record) cache().put(key, { ...record, probedMs: 0 });
      }
    } catch (error) {
      log.warning(`address verification: cannot take probes back: ${printableUtf8((error as Error).message)}`);
    }
  }

  async #probe(address: Address, key: string): Promise<void> {
    const { send, sender, clock, pendingLimit } = this.#options;
    if (this.#pending.size >= pendingLimit) return this.#store(key, TOO_MANY);
    this.#pending.add(key);
    const answer = await send(address, probeSenderAt(sender, clock.now()));
    this.#pending.delete(key);
    // What was broken off by the end of this configuration says nothing.
    if (!this.#closed) this.#store(key, answer);
  }

  #store(key: string, answer: Answer): void {
    const { cache, clock, times, log } = this.#options;
    try {
      const record = answered(cache().get(key), answer, { nowMs: clock.now(), times });
      if (record) cache().put(key, record);
    } catch (error) {
      log.error(`address verification: cannot keep a result: ${printableUtf8((error as Error).message)}`);
    }
  }

  #sweepIfDue(cache: StatusCache, nowMs: number): void {
    const { sweepMs } = this.#options;
    if (sweepMs > 0 && cache.claimSweep(nowMs, nowMs - sweepMs)) void this.#sweep(cache);
  }

  async #sweep(cache: StatusCache): Promise<void> {
    const { clock, times, log } = this.#options;
    let dropped = 0;
    try {
      for (let removed = -1; removed !== 0 && !this.#closed; ) {
        removed = cache.sweep(sweepLimits(clock.now(), times));
        dropped += removed;
        if (removed > 0) await clock.sleep(SWEEP_PAUSE_MS);
      }
      log.info(`cache address_verify.sqlite full cleanup: retained=${cache.size} dropped=${dropped} entries`);
    } catch (error) {
      log.warning(`address verification: cannot remove old results: ${printableUtf8((error as Error).message)}`);
    }
  }
}

/** What the case of a local part means is its host's business (RFC 5321 §2.4). */
function keyOf(address: Address): string {
  return `${localPartOf(address)}@${(domainOf(address) ?? "").toLowerCase()}`;
}
