/** verify/probe.ts: one address probe (ADDRESS_VERIFICATION_README): a message without content that goes the way mail to the
 *  address would go, up to the question to the next hop. It is never queued: it cannot bounce, wait, or be seen by mailq;
 *  a probe that ends with its worker is sent again. Logged as Postfix's probes are. */
import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import { logActive, logDelivery, logMessageId } from "../log/delivery-lines.ts";
import type { Log } from "../log/log.ts";
import { type Address, formatAddress, localPartOf, NULL_ADDRESS } from "../mail/address.ts";
import { formatMailDate } from "../mail/date.ts";
import type { DeliveryAgent, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { AddressMappings } from "../rewrite/mappings.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import { TableError } from "../tables/table.ts";
import { Turns } from "./turns.ts";

export interface ProbeRoute {
  readonly params: Parameters;
  readonly mappings: AddressMappings;
  /** Routes as probes are routed. */
  readonly resolver: Pick<AddressResolver, "route" | "classOf">;
}

export interface ProbeOptions {
  readonly route: ProbeRoute;
  readonly agent: (transport: string) => DeliveryAgent | undefined;
  readonly nextQueueId: () => QueueId;
  readonly clock: Clock;
  readonly logFor: (program: string) => Log;
}

export type Answer = Pick<RcptOutcome, "kind" | "text">;

/** One recipient of a probe, and what is needed for its log line. */
interface Question {
  readonly envelope: Envelope;
  readonly address: Address;
  readonly original: Address;
  readonly content: Buffer;
  readonly activeMs: number;
}

const HERE = { recipientId: 1, relay: "none", connectMs: 0, transmitMs: 0 } as const;
const DOUBLE_BOUNCE = "undeliverable postmaster notification discarded";
/** More questions to one destination at the same time would be a burden to it. */
const MOST_PER_DESTINATION = 20;

export class Probes {
  readonly #options: ProbeOptions;
  readonly #turns = new Turns();
  readonly #abort = new AbortController();

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Sends one probe and waits for its answer. Never rejects. */
  async send(original: Address, sender: Address): Promise<Answer> {
    const { clock, nextQueueId, logFor } = this.#options;
    const envelope = envelopeOf(nextQueueId(), sender, clock.now());
    try {
      return await this.#ask(original, envelope);
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      logFor("verify").warning(`${envelope.queueId}: address probe failed: ${printableUtf8(told)}`);
      return { kind: "deferred", text: "Address verification failed for an internal reason" };
    }
  }

  /** Ends what is under way: those addresses stay as they are known. */
  close(): void {
    this.#abort.abort(new Error("Stopping"));
  }

  async #ask(original: Address, envelope: Envelope): Promise<Answer> {
    const { route, clock, logFor } = this.#options;
    const content = contentOf(envelope, original, route.params);
    const qmgr = logFor("qmgr");
    const question = { envelope, original, content, activeMs: clock.now() };
    const found = await this.#recipient(original, envelope);
    const known =
      typeof found === "string" ? undefined : this.#answered({ ...question, address: original }, found, "cleanup");
    logMessageId(logFor("cleanup"), { envelope, messageId: messageId(envelope, route.params) });
    logActive(qmgr, envelope, content.length, known ? 0 : 1);
    const answer =
      known ?? (await this.#deliver({ ...question, address: typeof found === "string" ? found : original }));
    qmgr.info(`${envelope.queueId}: removed`, { event: "removed" });
    return answer;
  }

  /** Where mail to the address goes, or what cleanup(8) knows of it: a list is there, whatever becomes of its members. */
  async #recipient(original: Address, { queueId }: Envelope): Promise<Address | RcptOutcome> {
    const { route, logFor } = this.#options;
    const log = logFor("cleanup");
    try {
      const warn = (text: string) => log.warning(printableUtf8(text));
      const mapped = await route.mappings.map(original, "envelope_recipient", warn);
      const [address = mapped, ...others] = await route.mappings.expand(mapped);
      if (others.length === 0) return address;
      return { ...HERE, kind: "sent", dsn: "2.0.0", text: "aliased to multiple recipients" };
    } catch (error) {
      if (!(error instanceof MappingError)) throw error;
      log.warning(`${queueId}: ${printableUtf8(error.message)}`);
      return { ...HERE, kind: "deferred", dsn: "4.3.0", text: "address mapping problem" };
    }
  }

  async #deliver(question: Question): Promise<Answer> {
    const { route } = this.#options;
    const { address, envelope } = question;
    let way: { readonly transport: string; readonly nexthop: string };
    try {
      if (await this.#isDoubleBounce(address)) {
        const outcome: RcptOutcome = { ...HERE, kind: "sent", dsn: "2.0.0", text: DOUBLE_BOUNCE };
        return this.#answered(question, outcome, "qmgr");
      }
      way = await route.resolver.route(address, envelope.sender);
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      this.#options.logFor("qmgr").warning(`cannot resolve a recipient: ${printableUtf8(error.message)}`);
      const outcome: RcptOutcome = { ...HERE, kind: "deferred", dsn: "4.3.0", text: "address resolver failure" };
      return this.#answered(question, outcome, "retry");
    }
    const { transport, nexthop } = way;
    const key = `${transport}:${nexthop}`;
    return this.#turns.run(key, this.#limit(transport), async () =>
      this.#answered(question, await this.#transmit(question, transport, nexthop), transport),
    );
  }

  async #isDoubleBounce(address: Address): Promise<boolean> {
    const { params, resolver } = this.#options.route;
    if (localPartOf(address).toLowerCase() !== params.get("double_bounce_sender").toLowerCase()) return false;
    return (await resolver.classOf(address)) === "local";
  }

  #limit(transport: string): number {
    const { params } = this.#options.route;
    const limit = params.forTransport(
      transport,
      "destination_concurrency_limit",
      "default_destination_concurrency_limit",
    );
    return limit === 0 ? MOST_PER_DESTINATION : Math.min(limit, MOST_PER_DESTINATION);
  }

  async #transmit(question: Question, transport: string, nexthop: string): Promise<RcptOutcome> {
    const { envelope, address, original, content, activeMs } = question;
    const agent = this.#options.agent(transport);
    if (!agent) return { ...HERE, kind: "deferred", dsn: "4.3.0", text: "mail transport unavailable" };
    // It would deliver an empty message.
    if (!agent.probes)
      return { ...HERE, kind: "deferred", dsn: "4.3.5", text: "mail transport takes no address probes" };
    const request: DeliveryRequest = {
      ...{ envelope, transport, nexthop, activeMs, probe: true },
      recipients: [{ id: HERE.recipientId, address, original }],
      content: { sizeBytes: content.length, chunks: () => [content] },
    };
    const [outcome] = await agent.deliver(request, this.#abort.signal);
    return outcome ?? { ...HERE, kind: "deferred", dsn: "4.3.0", text: "unknown mail transport error" };
  }

  #answered({ envelope, address, original, activeMs }: Question, outcome: RcptOutcome, program: string): Answer {
    const { clock, logFor, route } = this.#options;
    logDelivery(logFor(program), {
      envelope,
      recipient: { address, original },
      outcome,
      status: outcome.kind === "sent" ? "deliverable" : "undeliverable",
      activeMs,
      nowMs: clock.now(),
      digits: route.params.get("delay_logging_resolution_limit"),
    });
    return { kind: outcome.kind, text: outcome.text };
  }
}

function envelopeOf(queueId: QueueId, sender: Address, arrivalMs: number): Envelope {
  const origin = {
    clientName: "unknown",
    clientAddress: "unknown",
    helo: undefined,
    protocol: "ESMTP",
    service: "verify",
  };
  return { queueId, sender, arrivalMs, smtputf8: false, body: "7BIT", origin };
}

/** What is never sent, but has a size. */
function contentOf(envelope: Envelope, to: Address, params: Parameters): Buffer {
  const date = formatMailDate(envelope.arrivalMs);
  const from = envelope.sender === NULL_ADDRESS ? "MAILER-DAEMON" : formatAddress(envelope.sender);
  return Buffer.from(
    `Received: by ${params.get("myhostname")} (${params.get("mail_name")})\r\n\tid ${envelope.queueId}; ${date}\r\n` +
      `Message-Id: ${messageId(envelope, params)}\r\nDate: ${date}\r\nFrom: ${from}\r\nTo: ${formatAddress(to)}\r\n\r\n`,
  );
}

function messageId({ queueId, arrivalMs }: Envelope, params: Parameters): string {
  const stamp = new Date(arrivalMs).toISOString().replace(/\D/g, "").slice(0, 14);
  return `<${stamp}.${queueId}@${params.get("myhostname")}>`;
}
