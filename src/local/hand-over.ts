/** local/hand-over.ts: leaves a recipient to another transport's agent (mailbox_transport, fallback_transport), and takes what
 *  that one says for its own outcome. The log names that transport's program. */
import type { Address } from "../mail/address.ts";
import type { DeliveryRecipient } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { LocalDelivery } from "./local-delivery.ts";
import { deferred, type Result, sent } from "./result.ts";

export interface HandOver {
  readonly address: Address;
  readonly transport: string;
  /** "": that of the request. */
  readonly nexthop: string;
}

/** Rejects what the other agent throws: the caller defers. */
export async function handOver(
  { request, signal, options }: LocalDelivery,
  recipient: DeliveryRecipient,
  { address, transport, nexthop }: HandOver,
): Promise<Result> {
  const agent = options.agentOf(transport);
  const name = printableUtf8(transport);
  if (!agent) return deferred("4.3.0", `mail transport unavailable: ${name}`);
  if (request.probe && agent.probes !== true) return sent(`delivers to transport ${name}`);
  const passed = {
    ...request,
    transport,
    nexthop: nexthop || request.nexthop,
    recipients: [{ ...recipient, address }],
  };
  const [outcome] = await agent.deliver(passed, signal);
  if (!outcome) return deferred("4.3.0", "unknown mail transport error");
  const { recipientId: _id, ...result } = outcome;
  return { ...result, transport };
}
