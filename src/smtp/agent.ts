/** smtp/agent.ts: the delivery agent for SMTP and LMTP: finds the hosts, uses a cached session or opens one, falls through
 *  to the next host, and gives each recipient its outcome (design §5 step 12). */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { AddressMap } from "../rewrite/address-map.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { TableOpener } from "../tables/table.ts";
import { cacheKey } from "./cache-key.ts";
import { genericRequest } from "./generic.ts";
import { openSession, type Refusal } from "./handshake.ts";
import { findHosts } from "./hosts.ts";
import { type NextHop, parseNextHops } from "./nexthop.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import { formatRelay, type Session, type Target } from "./session.ts";
import { SessionCache } from "./session-cache.ts";
import type { Settings } from "./settings.ts";
import type { TlsEngine } from "./tls-engine.ts";
import { transmit } from "./transaction.ts";

export interface AgentParts {
  readonly settings: Settings;
  readonly dns: Dns;
  readonly tables: TableOpener;
  readonly engine: TlsEngine;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
  readonly myAddresses: ReadonlySet<string>;
  readonly random: () => number;
  /** smtp_generic_maps; undefined: none. */
  readonly generic?: AddressMap | undefined;
}

/** A delivery under way: what is known of each recipient, and since when what was done. */
interface Delivery {
  readonly request: DeliveryRequest;
  /** The request with addresses as the next hop shall see them. */
  readonly outgoing: DeliveryRequest;
  readonly signal: AbortSignal;
  /** The last outcome of each recipient; deferred ones may be replaced by a further host's. */
  readonly outcomes: Map<number, RcptOutcome>;
  pending: readonly DeliveryRecipient[];
  startedMs: number;
  sessions: number;
  /** No further host may be tried. */
  finished: boolean;
}

export class SmtpAgent implements DeliveryAgent {
  readonly probes = true;
  readonly #parts: AgentParts;
  readonly #cache: SessionCache;
  #closed = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#cache = new SessionCache(parts.settings.cache.idleMs);
  }

  async deliver(request: DeliveryRequest, signal: AbortSignal): Promise<readonly RcptOutcome[]> {
    const { generic } = this.#parts;
    if (generic === undefined) return this.#deliver(request, request, signal);
    try {
      return await this.#deliver(request, await genericRequest(request, generic), signal);
    } catch (error) {
      if (!(error instanceof MappingError)) throw error;
      if (error.cause instanceof Error) this.#parts.log.warning(printableUtf8(error.cause.message));
      const verdict = ownVerdict("4.3.0", `${generic.name} map lookup problem`);
      return request.recipients.map(({ id }) => outcomeOf(id, verdict, { relay: "none", connectMs: 0, transmitMs: 0 }));
    }
  }

  async #deliver(
    request: DeliveryRequest,
    outgoing: DeliveryRequest,
    signal: AbortSignal,
  ): Promise<readonly RcptOutcome[]> {
    const delivery: Delivery = {
      request,
      outgoing,
      signal,
      outcomes: new Map(),
      pending: outgoing.recipients,
      startedMs: this.#parts.clock.monotonic(),
      sessions: 0,
      finished: false,
    };
    await this.#useCached(delivery);
    if (delivery.pending.length > 0 && !delivery.finished) await this.#useHops(delivery);
    return request.recipients.map(({ id }) => delivery.outcomes.get(id) ?? this.#unreached(id, delivery));
  }

  /** Deliveries under way go on (a reload must not break them) and then close their sessions. */
  close(): Promise<void> {
    this.#closed = true;
    this.#cache.close();
    return Promise.resolve();
  }

  /** Sessions of this next hop that wait for mail; dead ones are skipped. */
  async #useCached(delivery: Delivery): Promise<void> {
    const key = this.#key(delivery);
    for (let session = this.#cache.take(key); session; session = this.#cache.take(key)) {
      delivery.startedMs = this.#parts.clock.monotonic();
      if ((await this.#transmit(session, delivery)) === "done") {
        delivery.sessions++;
        return;
      }
    }
    delivery.startedMs = this.#parts.clock.monotonic();
  }

  async #useHops(delivery: Delivery): Promise<void> {
    const { settings } = this.#parts;
    const { nexthop } = delivery.request;
    const labels = nexthop.split(/[,\s]+/).filter(Boolean);
    for (const [i, hop] of parseNextHops(nexthop, settings.protocol).entries()) {
      await this.#useHop(hop, labels[i] ?? nexthop, delivery);
      if (delivery.pending.length === 0 || delivery.finished) return;
    }
  }

  async #useHop(hop: NextHop, label: string, delivery: Delivery): Promise<void> {
    const { settings } = this.#parts;
    const hosts = await findHosts(hop, label, this.#parts);
    if ("failure" in hosts) {
      this.#fail(delivery, { verdict: hosts.failure, reached: false }, undefined);
      return;
    }
    for (const target of hosts.targets.slice(0, settings.addressLimit)) {
      if (delivery.finished || delivery.pending.length === 0 || delivery.sessions >= settings.sessionLimit) return;
      this.#logDeferred(delivery);
      await this.#useTarget(target, delivery);
    }
  }

  async #useTarget(target: Target, delivery: Delivery): Promise<void> {
    const { request, signal } = delivery;
    if (signal.aborted) {
      delivery.finished = true;
      return;
    }
    delivery.startedMs = this.#parts.clock.monotonic();
    const { sender, arrivalMs } = request.envelope;
    const queuedMs = request.activeMs - arrivalMs;
    const opened = await openSession(target, { ...this.#parts, sender, queuedMs, signal });
    if ("refusal" in opened) {
      if (opened.refusal.reached) delivery.sessions++;
      else this.#parts.log.info(opened.refusal.verdict.text);
      this.#fail(delivery, opened.refusal, target);
      this.#settlePending(delivery);
      return;
    }
    delivery.sessions++;
    await this.#transmit(opened.session, delivery);
  }

  /** One transaction for the pending recipients. "stale": nothing happened, use another session. */
  async #transmit(session: Session, delivery: Delivery): Promise<"done" | "stale"> {
    const { outgoing, signal } = delivery;
    const { clock, settings } = this.#parts;
    const connectedMs = clock.monotonic();
    session.uses++;
    const abort = () => session.connection.destroy();
    signal.addEventListener("abort", abort, { once: true });
    const result = await transmit(session, outgoing, { recipients: delivery.pending, settings });
    signal.removeEventListener("abort", abort);
    if (result.stale) return "stale";
    const times = { connectMs: connectedMs - delivery.startedMs, transmitMs: clock.monotonic() - connectedMs };
    for (const [id, verdict] of result.verdicts) {
      delivery.outcomes.set(id, outcomeOf(id, verdict, { ...place(session), ...times }));
    }
    this.#settlePending(delivery);
    delivery.finished ||= result.uncertain;
    if (result.reusable && this.#mayReuse(session, delivery)) this.#cache.put(this.#key(delivery), session);
    else if (result.reusable) session.quit();
    else session.connection.destroy();
    return "done";
  }

  /** The target took no mail: all pending recipients share its refusal until another host says otherwise. */
  #fail(delivery: Delivery, { verdict, reached }: Refusal, target: Target | undefined): void {
    const where = target && reached ? { relay: formatRelay(target), remoteMta: target.host } : { relay: "none" };
    const connectMs = this.#parts.clock.monotonic() - delivery.startedMs;
    for (const { id } of delivery.pending) {
      delivery.outcomes.set(id, outcomeOf(id, verdict, { ...where, connectMs, transmitMs: 0 }));
    }
  }

  /** Deferred recipients stay pending for the next host; what is sent or bounced is settled. */
  #settlePending(delivery: Delivery): void {
    delivery.pending = delivery.pending.filter(({ id }) => delivery.outcomes.get(id)?.kind === "deferred");
  }

  /** What a host said to recipients that now go to the next one would otherwise be lost. */
  #logDeferred(delivery: Delivery): void {
    if (delivery.sessions === 0) return;
    const texts = new Set(delivery.pending.map(({ id }) => delivery.outcomes.get(id)?.text));
    for (const text of texts) {
      if (text !== undefined) this.#parts.log.info(`${delivery.request.envelope.queueId}: ${text}`);
    }
  }

  #mayReuse(session: Session, delivery: Delivery): boolean {
    const { cache } = this.#parts.settings;
    if (this.#closed || delivery.signal.aborted || session.reuse === false) return false;
    if (!cache.onDemand && !cache.destinations.has(delivery.request.nexthop)) return false;
    if (session.uses >= cache.uses) return false;
    return this.#parts.clock.monotonic() - session.openedMs < cache.lifeMs;
  }

  #key({ request }: Delivery): string {
    const { sasl, bindAddress, bindAddress6 } = this.#parts.settings;
    return cacheKey({
      nexthop: request.nexthop,
      tlsPolicy: "",
      saslIdentity: sasl.bySender ? request.envelope.sender : "",
      sourceAddress: `${bindAddress} ${bindAddress6}`.trim(),
    });
  }

  #unreached(id: number, delivery: Delivery): RcptOutcome {
    const text = delivery.signal.aborted ? "delivery interrupted by shutdown" : "no next hop to deliver to";
    return outcomeOf(id, ownVerdict("4.3.2", text), { relay: "none", connectMs: 0, transmitMs: 0 });
  }
}

function place(session: Session): Pick<RcptOutcome, "relay" | "remoteMta" | "connectionUse"> {
  return { relay: session.relay, remoteMta: session.target.host, connectionUse: session.uses };
}

function outcomeOf(
  recipientId: number,
  verdict: Verdict,
  rest: Pick<RcptOutcome, "relay" | "remoteMta" | "connectionUse" | "connectMs" | "transmitMs">,
): RcptOutcome {
  return { recipientId, ...verdict, ...rest };
}
