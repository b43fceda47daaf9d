/** qmgr/forwarding.ts: mail that an agent forwards, as the copies that the store is to add: who gets it is the agent's to say,
 *  the lanes are ours. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Clock } from "../base/clock.ts";
import type { Address } from "../mail/address.ts";
import type { ForwardedMessage } from "../mail/delivery.ts";
import type { ForwardedCopy, NewRecipient } from "../queue/store.ts";

export interface ForwardingOptions {
  readonly laneOf: (recipient: Address, sender: Address) => Awaitable<string>;
  readonly clock: Clock;
}

/** In the same order. Rejects for bugs only. */
export async function forwardedCopies(
  messages: readonly ForwardedMessage[],
  { laneOf, clock }: ForwardingOptions,
): Promise<readonly ForwardedCopy[]> {
  const copies: ForwardedCopy[] = [];
  const dueMs = clock.now();
  for (const { envelope, recipients, head } of messages) {
    const rows: NewRecipient[] = [];
    for (const { address, original, dsn } of recipients) {
      rows.push({ address, original, dsn, lane: await laneOf(address, envelope.sender), dueMs });
    }
    copies.push({ envelope, head, recipients: rows });
  }
  return copies;
}
