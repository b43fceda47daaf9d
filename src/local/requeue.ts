/** local/requeue.ts: mail that an operator has requeued. postsuper(1) -r sends it through cleanup(8) again; here its recipients go
 *  through the address mappings again, and a message with what comes of it takes the place of the old one. Content, arrival and
 *  what was asked of delivery reports stay. */
import type { Address } from "../mail/address.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import type { Recipient } from "../mail/envelope.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { messageIdOf, readHeader } from "./header-block.ts";
import { failed, type Result } from "./result.ts";

export interface RequeueDeps {
  readonly nextQueueId: () => QueueId;
  /** Canonical and virtual aliases. Rejects MappingError. */
  readonly mapRecipient: (address: Address) => Promise<readonly Address[]>;
}

export function createRequeueAgent(deps: RequeueDeps): DeliveryAgent {
  return {
    deliver: (request) => requeue(request, deps),
    close: async () => undefined,
  };
}

/** All recipients of the request or none: one that cannot be mapped now keeps the message as it is. */
async function requeue(
  { envelope, recipients, content }: DeliveryRequest,
  { nextQueueId, mapRecipient }: RequeueDeps,
): Promise<readonly RcptOutcome[]> {
  try {
    const mapped = await mapAll(recipients, mapRecipient);
    const messageId = messageIdOf(await readHeader(content));
    const queueId = nextQueueId();
    const forward = { envelope: { ...envelope, queueId }, recipients: mapped, head: new Uint8Array(), messageId };
    const result: Result = { kind: "sent", dsn: "2.0.0", text: `requeued as ${queueId}`, dsnAction: "passedOn" };
    return recipients.map(({ id }, i) => outcome(id, i === 0 ? { ...result, forwards: [forward] } : result));
  } catch (error) {
    const result = failed(error);
    return recipients.map(({ id }) => outcome(id, result));
  }
}

/** Each address once, as cleanup does. */
async function mapAll(
  recipients: readonly DeliveryRecipient[],
  mapRecipient: RequeueDeps["mapRecipient"],
): Promise<readonly Recipient[]> {
  const found = new Map<string, Recipient>();
  for (const { address, original, dsn } of recipients) {
    for (const one of await mapRecipient(address)) {
      if (!found.has(one.toLowerCase())) found.set(one.toLowerCase(), { address: one, original, dsn });
    }
  }
  return [...found.values()];
}

function outcome(recipientId: number, result: Result): RcptOutcome {
  return { recipientId, relay: "none", connectMs: 0, transmitMs: 0, ...result };
}
