/** local/forwarded-mail.ts: mail that aliases and .forward files send on: one message for each envelope sender, with the header
 *  lines of local(8), `forwarded as QUEUEID` in the log. Who gets it was found out before. */
import type { Clock } from "../base/clock.ts";
import { type Address, formatAddress } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { DeliveryRecipient, DeliveryRequest, ForwardedMessage } from "../mail/delivery.ts";
import type { RecipientDsn } from "../mail/dsn.ts";
import type { Recipient } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";

export interface ForwardingDeps {
  readonly clock: Clock;
  readonly nextQueueId: () => QueueId;
  readonly myhostname: string;
  readonly mailName: string;
  /** "forward" stands in prepend_delivered_header. */
  readonly deliveredTo: boolean;
  /** Canonical and virtual aliases of an address that another transport delivers. Rejects MappingError. */
  readonly mapRecipient: (address: Address) => Promise<readonly Address[]>;
}

/** Somebody who gets forwarded mail. */
export interface Forwardee {
  readonly address: Address;
  /** undefined: the sender of the message. */
  readonly owner: Address | undefined;
  /** Another transport delivers it, so address mappings apply as to all mail. */
  readonly foreign: boolean;
}

export interface ForwardingOrder {
  readonly request: DeliveryRequest;
  readonly recipient: DeliveryRecipient;
  /** Header block of the message, for its Message-Id. */
  readonly messageId: string;
  readonly to: readonly Forwardee[];
  /** All that the recipient leads to is one address: what was asked of delivery reports goes along (RFC 3461 §5.2.7.2). */
  readonly single: boolean;
}

/** At most one message for each owner. Rejects MappingError, before a queue id is taken. */
export async function forwardMail(order: ForwardingOrder, deps: ForwardingDeps): Promise<readonly ForwardedMessage[]> {
  const byOwner = new Map<Address | undefined, Map<string, Address>>();
  for (const { address, owner, foreign } of order.to) {
    const group = byOwner.get(owner) ?? new Map<string, Address>();
    byOwner.set(owner, group);
    const mapped = foreign ? await deps.mapRecipient(address) : [address];
    for (const one of mapped) if (!group.has(one.toLowerCase())) group.set(one.toLowerCase(), one);
  }
  return [...byOwner].map(([owner, group]) => messageFor(order, owner, [...group.values()], deps));
}

function messageFor(
  { request, recipient, messageId, single }: ForwardingOrder,
  owner: Address | undefined,
  addresses: readonly Address[],
  deps: ForwardingDeps,
): ForwardedMessage {
  const { envelope } = request;
  const queueId = deps.nextQueueId();
  const arrivalMs = deps.clock.now();
  const dsn = single && addresses.length === 1 ? recipient.dsn : withoutSuccess(recipient.dsn);
  const original = recipient.original === "" ? recipient.address : recipient.original;
  const recipients = addresses.map(
    // A list is where the mail was sent to: what happens behind it is its owner's business (RFC 3461 §5.2.7.1).
    (address): Recipient => (owner === undefined ? { address, original, dsn } : { address, original: address }),
  );
  const { filter: _filter, dsn: asked, ...rest } = envelope;
  return {
    envelope: {
      ...{ ...rest, queueId, arrivalMs, sender: owner ?? envelope.sender },
      ...(owner === undefined && asked !== undefined && { dsn: asked }),
    },
    recipients,
    head: Buffer.from(headLines(recipient.address, { queueId, arrivalMs }, deps)),
    messageId,
  };
}

function headLines(
  recipient: Address,
  { queueId, arrivalMs }: { readonly queueId: QueueId; readonly arrivalMs: number },
  { myhostname, mailName, deliveredTo }: ForwardingDeps,
): string {
  const received = `Received: by ${myhostname} (${mailName})\r\n\tid ${queueId}; ${formatMailDate(arrivalMs)}\r\n`;
  // A line end in an address would begin a header of the sender's.
  return deliveredTo
    ? `${received}Delivered-To: ${printableUtf8(formatAddress(recipient)).toLowerCase()}\r\n`
    : received;
}

/** Success is reported here, as "expanded" (RFC 3461 §5.2.7.3 (c)). */
function withoutSuccess(dsn: RecipientDsn | undefined): RecipientDsn | undefined {
  if (!dsn?.notify?.includes("SUCCESS")) return dsn;
  const notify = dsn.notify.filter((condition) => condition !== "SUCCESS");
  return { ...dsn, notify: notify.length > 0 ? notify : ["NEVER"] };
}
