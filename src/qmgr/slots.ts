/** qmgr/slots.ts: the concurrency slots of one lane, transport or service in one worker: counted here, or leased from
 *  whoever counts for all workers. Asks for several at once and never waits: take() says no, and `wake` is called when it
 *  is worth trying again. */
import type { Clock, Timer } from "../base/clock.ts";
import type { SlotHolder, SlotLeases } from "../mail/slot-lease.ts";

/** What holds at present; changes with a reload. */
export interface SlotRule {
  /** At least 1; Infinity: no limit. */
  readonly limit: number;
  /** undefined: the limit is this worker's own. Leases need a finite limit. */
  readonly leases: SlotLeases | undefined;
  /** Rest of a slot between two uses, in milliseconds. One that is not leased rests only where there is a clock. */
  readonly restMs?: number;
  /** Unused leased slots to keep at hand while nobody else wants them; default 0. */
  readonly spare?: number;
}

export interface SlotsOptions {
  readonly key: string;
  readonly rule: SlotRule;
  /** Slots were granted or recalled, or have rested. Not called within any other method. */
  readonly wake: () => void;
  readonly clock?: Clock;
}

export class Slots implements SlotHolder {
  readonly #key: string;
  readonly #wake: () => void;
  readonly #clock: Clock | undefined;
  #rule: SlotRule;
  /** A rule of the other kind: comes into force when no slot is in use, so that nothing is counted twice or not at all. */
  #next: SlotRule | undefined;
  #used = 0;
  /** Used and not yet to be used again. */
  readonly #resting = new Set<Timer>();
  /** Leased slots, in use or at hand. */
  #held = 0;
  #asking = false;
  /** Where held slots go back to; stays when the rule no longer leases. */
  #leases: SlotLeases | undefined;
  #keep = Number.POSITIVE_INFINITY;

  constructor({ key, rule, wake, clock }: SlotsOptions) {
    this.#clock = clock;
    this.#key = key;
    this.#rule = rule;
    this.#leases = rule.leases;
    this.#wake = wake;
  }

  get hasSlot(): boolean {
    const { leases, limit } = this.#rule;
    return !this.#next && this.#used < (leases ? Math.min(this.#held, limit) : limit - this.#resting.size);
  }

  /** Nothing is out and nothing is asked for: the object may be forgotten. */
  get idle(): boolean {
    return this.#used === 0 && this.#held === 0 && !this.#asking && this.#resting.size === 0;
  }

  /** Takes a slot; if none is at hand, asks for `want` and says false. */
  take(want: number): boolean {
    if (this.hasSlot) {
      this.#used++;
      return true;
    }
    this.want(want);
    return false;
  }

  /** Asks for slots if none is at hand and no ask is open. */
  want(count: number): void {
    const { leases, limit, restMs = 0 } = this.#rule;
    if (!leases || this.#asking || this.#next || this.hasSlot || this.#used >= limit || count < 1) return;
    this.#asking = true;
    leases.ask({ key: this.#key, want: Math.min(count, limit - this.#used), limit, restMs }, this);
  }

  /** take() was in vain, the slot was not used: it stays at hand. */
  untake(): void {
    this.#used--;
  }

  /** A slot was used. It may be used again, unless it must rest or others wait for it. */
  give(): void {
    this.#used--;
    const { leases, restMs = 0, limit } = this.#rule;
    if (!leases && restMs > 0) this.#rest(restMs);
    if (restMs > 0 || this.#held > Math.min(this.#keep, limit)) this.#giveBack(1);
    if (this.#next && this.#used === 0) this.#switch(this.#next);
  }

  /** Gives back what is at hand and not `wanted`. */
  trim(wanted: number): void {
    const spare = Number.isFinite(this.#keep) ? 0 : (this.#rule.spare ?? 0);
    this.#giveBack(this.#held - this.#used - Math.max(wanted, spare));
  }

  granted(count: number): void {
    this.#asking = false;
    this.#held += count;
    this.#keep = Number.POSITIVE_INFINITY;
    if (this.#next || !this.#rule.leases) this.#giveBack(count);
    this.#wake();
  }

  recalled(keep: number): void {
    this.#keep = keep;
    this.#wake();
  }

  /** A reload changed the rule. The caller then looks for what may start now. */
  change(rule: SlotRule): void {
    const sameKind = (rule.leases === undefined) === (this.#rule.leases === undefined);
    if (sameKind || this.#used === 0) this.#switch(rule);
    else this.#next = rule;
  }

  #rest(restMs: number): void {
    const timer = this.#clock?.after(
      restMs,
      () => {
        this.#resting.delete(timer as Timer);
        this.#wake();
      },
      { ref: false },
    );
    if (timer) this.#resting.add(timer);
  }

  /** Nobody rests under a rule that asks for no rest. */
  #endRests(): void {
    for (const timer of this.#resting) timer.cancel();
    this.#resting.clear();
  }

  #switch(rule: SlotRule): void {
    if (rule.leases || !rule.restMs) this.#endRests();
    if (!rule.leases) this.#giveBack(this.#held);
    this.#rule = rule;
    this.#leases = rule.leases ?? this.#leases;
    this.#next = undefined;
  }

  #giveBack(count: number): void {
    const back = Math.min(count, this.#held);
    if (back <= 0) return;
    this.#held -= back;
    this.#leases?.release(this.#key, back);
  }
}
