/** local/discard.ts: the discard agent (discard(8)): every recipient counts as delivered, nothing is kept. */
import type { DeliveryAgent } from "../mail/delivery.ts";
import { splitStatusText } from "./status-text.ts";

/** The next hop is the text of the log line, with or without a status in front. */
export function createDiscardAgent(): DeliveryAgent {
  return {
    probes: true,
    async deliver({ recipients, nexthop }) {
      const { dsn, text } = splitStatusText(nexthop, "2");
      return recipients.map((recipient) => ({
        recipientId: recipient.id,
        kind: "sent",
        dsn,
        text: text || "discarded",
        relay: "none",
        connectMs: 0,
        transmitMs: 0,
      }));
    },
    async close() {},
  };
}
