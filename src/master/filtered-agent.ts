/** master/filtered-agent.ts: local_delivery_status_filter and its like: an agent whose outcomes are told in other words. */
import type { Log } from "../log/log.ts";
import type { DeliveryAgent, RcptOutcome } from "../mail/delivery.ts";
import { filteredOutcome, type StatusFilterParts } from "../smtp/status-filter.ts";

/** The agent itself if there are no tables. */
export function filteredAgent(agent: DeliveryAgent, parts: StatusFilterParts & { readonly log: Log }): DeliveryAgent {
  if (parts.refs.length === 0) return agent;
  return {
    probes: agent.probes,
    deliver: async (request, signal) => {
      const outcomes = await agent.deliver(request, signal);
      return Promise.all(outcomes.map((outcome) => (isWhole(outcome) ? filteredOutcome(outcome, parts) : outcome)));
    },
    close: () => agent.close(),
  };
}

/** What was forwarded or delivered in part cannot become a deferral, and another agent has a filter of its own. */
function isWhole({ forwards, also, transport }: RcptOutcome): boolean {
  return forwards === undefined && also === undefined && transport === undefined;
}
