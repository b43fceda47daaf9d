/** master/lease-client.ts: the worker's end of master/lane-leases.ts: asks over the channel to the master, hands its answers
 *  to the lane that asked. A failure never makes a slot: the lane goes on waiting and the ask is repeated. */
import type { Clock } from "../base/clock.ts";
import type { SlotAsk, SlotHolder, SlotLeases } from "../mail/slot-lease.ts";
import type { GrantArgs, RecallArgs, ReleaseArgs } from "./protocol.ts";

const REPEAT_MS = 1000;

export interface LeaseClientOptions {
  /** Calls the master. */
  readonly call: (method: "lease" | "release", args: unknown) => Promise<unknown>;
  readonly clock: Clock;
  readonly warn: (text: string) => void;
}

interface Account {
  readonly holder: SlotHolder;
  held: number;
  asking: boolean;
}

export class LeaseClient implements SlotLeases {
  readonly #options: LeaseClientOptions;
  /** Only keys with slots or an open ask. */
  readonly #accounts = new Map<string, Account>();
  /** To be sent at the end of this turn, in one message. */
  readonly #released = new Map<string, number>();

  constructor(options: LeaseClientOptions) {
    this.#options = options;
  }

  ask(ask: SlotAsk, holder: SlotHolder): void {
    this.#accounts.set(ask.key, { holder, held: this.#accounts.get(ask.key)?.held ?? 0, asking: true });
    this.#send(ask);
  }

  release(key: string, count: number): void {
    const account = this.#accounts.get(key);
    if (account) {
      account.held -= count;
      if (account.held === 0 && !account.asking) this.#accounts.delete(key);
    }
    if (this.#released.size === 0) queueMicrotask(() => this.#flush());
    this.#released.set(key, (this.#released.get(key) ?? 0) + count);
  }

  /** The master's answer to an ask. */
  granted({ key, count }: GrantArgs): void {
    const account = this.#accounts.get(key);
    if (!account) {
      this.release(key, count);
      return;
    }
    account.held += count;
    account.asking = false;
    account.holder.granted(count);
  }

  /** Another worker waits for slots of this key. */
  recalled({ key, keep }: RecallArgs): void {
    this.#accounts.get(key)?.holder.recalled(keep);
  }

  #send(ask: SlotAsk): void {
    this.#options.call("lease", ask).catch((error: Error) => {
      this.#options.warn(`cannot lease slots of ${ask.key}: ${error.message}`);
      this.#options.clock.after(REPEAT_MS, () => this.#send(ask), { ref: false });
    });
  }

  #flush(): void {
    const slots = [...this.#released];
    this.#released.clear();
    this.#options.call("release", { slots } satisfies ReleaseArgs).catch((error: Error) => {
      // The master is gone, and all leases with it.
      this.#options.warn(`cannot give slots back: ${error.message}`);
    });
  }
}
