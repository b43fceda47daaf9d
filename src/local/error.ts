/** local/error.ts: the error and retry agents (error(8)): every recipient fails for the reason in the next hop,
 *  `[status] text`, e.g. `5.1.1 User unknown in virtual alias table`. */
import type { DeliveryAgent } from "../mail/delivery.ts";
import { splitStatusText } from "./status-text.ts";

/** `soft: true` is retry(8): recipients are deferred. The status class always fits the outcome. */
export function createErrorAgent({ soft }: { readonly soft: boolean }): DeliveryAgent {
  return {
    probes: true,
    async deliver({ recipients, nexthop }) {
      const { dsn, text } = splitStatusText(nexthop, soft ? "4" : "5");
      return recipients.map((recipient) => ({
        recipientId: recipient.id,
        kind: soft ? "deferred" : "bounced",
        dsn,
        text: text || "no reason given",
        relay: "none",
        connectMs: 0,
        transmitMs: 0,
      }));
    },
    async close() {},
  };
}
