/** local/binary-mail.ts: agents that deliver here write lines, so binary content (BODY=BINARYMIME, RFC 3030) reaches them as base64.
 *  What they forward is the queued content: it stays binary. */
import { whyInconvertible } from "../cleanup/convertible.ts";
import { type BodyLimits, reencoded } from "../cleanup/reencode.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";

/** The agent, for mail of any kind. */
export function withoutBinary(agent: DeliveryAgent, limits: BodyLimits): DeliveryAgent {
  return {
    ...(agent.probes && { probes: true }),
    deliver(request, signal) {
      const binary = request.envelope.body === "BINARYMIME" && !request.probe;
      return binary ? deliverLines(agent, request, { limits, signal }) : agent.deliver(request, signal);
    },
    close: () => agent.close(),
  };
}

async function deliverLines(
  agent: DeliveryAgent,
  request: DeliveryRequest,
  { limits, signal }: { readonly limits: BodyLimits; readonly signal: AbortSignal },
): Promise<readonly RcptOutcome[]> {
  const why = await whyInconvertible(request.content, { limits, accepts: "8bit" });
  if (why !== undefined) return request.recipients.map(({ id }) => refused(id, why));
  const content = reencoded(request.content, { limits, accepts: "8bit", binary: "base64" });
  const envelope: Envelope = { ...request.envelope, body: "8BITMIME" };
  const outcomes = await agent.deliver({ ...request, envelope, content }, signal);
  return outcomes.map((outcome) => ({ ...outcome, forwards: outcome.forwards?.map(binaryAgain) }));
}

function binaryAgain(message: NonNullable<RcptOutcome["forwards"]>[number]) {
  return { ...message, envelope: { ...message.envelope, body: "BINARYMIME" as const } };
}

function refused(recipientId: number, why: string): RcptOutcome {
  return {
    recipientId,
    kind: "bounced",
    dsn: "5.6.3",
    text: `binary content cannot be delivered here, and not be converted: ${why}`,
    relay: "none",
    connectMs: 0,
    transmitMs: 0,
  };
}
