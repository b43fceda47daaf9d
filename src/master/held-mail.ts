/** master/held-mail.ts: how many messages are held for somebody (RFC 4865 §6): a worker counts those in its queue and those
 *  that are being sent to it; the master adds up. Who asks has reserved his own before, so the sum is never too low. */
import type { QueueStore } from "../queue/store.ts";
import type { HeldMail } from "../smtpd/held-mail.ts";

/** All workers must answer within this, or the client is told to try later. */
export const HELD_TIMEOUT_MS = 5000;

export interface HeldArgs {
  readonly owner: string;
}

export class WorkerHeldMail implements HeldMail {
  readonly #store: Pick<QueueStore, "heldFor">;
  readonly #call: (method: string, args: HeldArgs) => Promise<unknown>;
  readonly #reserved = new Map<string, number>();

  /** `call` asks the master. */
  constructor(store: Pick<QueueStore, "heldFor">, call: (method: string, args: HeldArgs) => Promise<unknown>) {
    this.#store = store;
    this.#call = call;
  }

  reserve(owner: string): () => void {
    this.#change(owner, 1);
    let open = true;
    return () => {
      if (open) this.#change(owner, -1);
      open = false;
    };
  }

  async count(owner: string): Promise<number> {
    return Number(await this.#call("held", { owner }));
  }

  /** This worker's share. */
  async own({ owner }: HeldArgs): Promise<number> {
    return (await this.#store.heldFor(owner)) + (this.#reserved.get(owner) ?? 0);
  }

  #change(owner: string, by: number): void {
    const reserved = (this.#reserved.get(owner) ?? 0) + by;
    if (reserved > 0) this.#reserved.set(owner, reserved);
    else this.#reserved.delete(owner);
  }
}
