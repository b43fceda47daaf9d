/** local/discard.ts: the discard agent (discard(8)): every recipient counts as delivered, nothing is kept. */
import type { DeliveryAgent } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";

/** The next hop is the text of the log line. */
export function createDiscardAgent(): DeliveryAgent {
  return {
    probes: true,
    async deliver({ recipients, nexthop }) {
      return recipients.map((recipient) => ({
        recipientId: recipient.id,
        kind: "sent",
        dsn: "2.0.0",
        text: printableUtf8(nexthop) || "discarded",
        relay: "none",
        connectMs: 0,
        transmitMs: 0,
      }));
    },
    async close() {},
  };
}
