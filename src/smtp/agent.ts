/** smtp/agent.ts: the delivery agent for SMTP and LMTP: finds the hosts, uses a cached session or opens one, falls through
 *  to the next host, and gives each recipient its outcome (design §5 step 12). */
import type { Clock } from "../base/clock.ts";
import type { Deadlines } from "../base/deadlines.ts";
import type { ContentChecks } from "../cleanup/content-checks.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { DeliveryAgent, DeliveryRecipient, DeliveryRequest, RcptOutcome } from "../mail/delivery.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { AddressMap } from "../rewrite/address-map.ts";
import { MappingError } from "../rewrite/mapping-error.ts";
import type { TableOpener } from "../tables/table.ts";
import { cacheKey, isCachedDestination } from "./cache-key.ts";
import { checkedContent } from "./content-checks.ts";
import { genericRequest } from "./generic.ts";
import { openSession, type Refusal } from "./handshake.ts";
import { findHosts } from "./hosts.ts";
import type { MtaSts } from "./mta-sts.ts";
import { type NextHop, parseNextHops } from "./nexthop.ts";
import { ownVerdict, type Verdict } from "./outcome.ts";
import { isUsedUp, takeBatch } from "./peer-limits.ts";
import type { SharedReplyRules } from "./reply.ts";
import { replyRules } from "./reply-rules.ts";
import { formatRelay, type Session, type Target } from "./session.ts";
import { SessionCache } from "./session-cache.ts";
import type { Settings } from "./settings.ts";
import { filteredOutcome } from "./status-filter.ts";
import { tlsDemandOf } from "./tls-demand.ts";
import type { TlsEngine } from "./tls-engine.ts";
import type { TlsTally } from "./tls-tally.ts";
import { type TransactionResult, transmit } from "./transaction.ts";

export interface AgentParts {
  readonly settings: Settings;
  readonly dns: Dns;
  readonly tables: TableOpener;
  readonly engine: TlsEngine;
  readonly sts: MtaSts | undefined;
  readonly tally: Pick<TlsTally, "record"> | undefined;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly log: Log;
  readonly myAddresses: ReadonlySet<string>;
  readonly random: () => number;
  /** smtp_generic_maps; undefined: none. */
  readonly generic?: AddressMap | undefined;
  /** smtp_header_checks and its like; undefined: none. */
  readonly checks?: ContentChecks | undefined;
}

type Recipients = readonly DeliveryRecipient[];

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
  /** With the present next hop: sessions that got as far as a transaction. */
  sessions: number;
  /** A host has said something that the log should have, should another one be tried. */
  answered: boolean;
  /** No further host may be tried. */
  finished: boolean;
  /** Recipients whose last host could not have the message as it is. */
  unfit: Set<number> | undefined;
  /** Some host may take it another time. */
  hopeful: boolean;
  /** Addresses that have had their chance over a cached session. */
  readonly tried: Set<string>;
}

export class SmtpAgent implements DeliveryAgent {
  readonly probes = true;
  readonly #parts: AgentParts;
  readonly #cache: SessionCache;
  readonly #replies: SharedReplyRules;
  #closed = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#cache = new SessionCache(parts.settings.cache.idleMs);
    this.#replies = replyRules(parts);
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
      answered: false,
      finished: false,
      unfit: undefined,
      hopeful: false,
      tried: new Set(),
    };
    await this.#useCached(delivery);
    if (delivery.pending.length > 0 && !delivery.finished) await this.#useHops(delivery);
    const outcomes = request.recipients.map(({ id }) => this.#lastWord(id, delivery));
    const refs = this.#parts.settings.statusFilter;
    if (refs.length === 0) return outcomes;
    return Promise.all(outcomes.map((outcome) => filteredOutcome(outcome, { ...this.#parts, refs })));
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
    let left = delivery.pending;
    for (let session = this.#cache.take(key); session; session = this.#cache.take(key)) {
      delivery.startedMs = this.#parts.clock.monotonic();
      const before = left.length;
      left = await this.#transmit(session, delivery, left);
      delivery.answered ||= left.length < before;
      if (left.length === 0) delivery.tried.add(session.relay);
      if (left.length === 0 || delivery.finished) return;
    }
    delivery.startedMs = this.#parts.clock.monotonic();
  }

  /** The items of the next hop in turn, then smtp_fallback_relay. */
  async #useHops(delivery: Delivery): Promise<void> {
    const { settings } = this.#parts;
    const { nexthop } = delivery.request;
    const own = nexthop.split(/[,\s]+/).filter(Boolean);
    const labels = [...own, ...settings.fallbackRelay];
    for (const [i, hop] of parseNextHops(labels.join(" "), settings.protocol).entries()) {
      const label = labels[i] ?? nexthop;
      const fallback = i >= own.length;
      await this.#useHop(hop, { label, mistake: this.#mistakeOf(label, fallback), first: i === 0 }, delivery);
      if (delivery.pending.length === 0 || delivery.finished) return;
    }
  }

  /** The parameter that is to blame if there is no such host: the sender must not suffer from our mistake. */
  #mistakeOf(label: string, fallback: boolean): string | undefined {
    const { protocol, relayhost } = this.#parts.settings;
    if (fallback) return `${protocol}_fallback_relay`;
    return label === relayhost ? "relayhost" : undefined;
  }

  async #useHop(
    hop: NextHop,
    {
      label,
      mistake,
      first,
    }: { readonly label: string; readonly mistake: string | undefined; readonly first: boolean },
    delivery: Delivery,
  ): Promise<void> {
    const { settings, log } = this.#parts;
    const hosts = await findHosts(hop, label, this.#parts);
    delivery.finished ||= hosts.last === true && "failure" in hosts;
    if ("failure" in hosts) {
      const soften = hosts.failure.kind === "bounced" && mistake !== undefined;
      if (soften) log.warning(`${mistake} configuration problem`);
      this.#absent(delivery, soften ? { ...hosts.failure, kind: "deferred", dsn: "4.3.5" } : hosts.failure);
      return;
    }
    delivery.sessions = 0;
    for (const target of hosts.targets) {
      if (delivery.finished || delivery.pending.length === 0 || delivery.sessions >= settings.sessionLimit) break;
      if (delivery.tried.has(formatRelay(target))) continue;
      this.#logDeferred(delivery);
      await this.#useTarget(first ? target : { ...target, best: false }, delivery);
    }
    delivery.finished ||= hosts.last === true;
  }

  /** No host was found. That is not the last word on recipients that a host before might still take. */
  #absent(delivery: Delivery, verdict: Verdict): void {
    const undecided = verdict.kind === "bounced" && delivery.pending.some(({ id }) => delivery.outcomes.has(id));
    if (undecided) return;
    this.#logDeferred(delivery);
    this.#fail(delivery, { verdict, reached: false }, undefined);
  }

  /** One session, and as many more as the server's limits ask for. */
  async #useTarget(target: Target, delivery: Delivery): Promise<void> {
    let left = delivery.pending;
    do left = await this.#useSession(target, delivery, left);
    while (left.length > 0 && !delivery.finished);
  }

  /** Gives those whose turn did not come. */
  async #useSession(target: Target, delivery: Delivery, recipients: Recipients): Promise<Recipients> {
    const { request, signal } = delivery;
    if (signal.aborted) {
      delivery.finished = true;
      return [];
    }
    delivery.startedMs = this.#parts.clock.monotonic();
    const { sender, arrivalMs, queueId } = request.envelope;
    const queuedMs = request.activeMs - arrivalMs;
    const demand = tlsDemandOf(request.envelope, this.#parts.settings.protocol);
    const options = { ...this.#parts, replies: this.#replies, sender, demand, queueId, queuedMs, signal };
    const opened = await openSession(target, options);
    if ("refusal" in opened) {
      delivery.answered = opened.refusal.reached;
      if (!opened.refusal.reached) this.#parts.log.info(opened.refusal.verdict.text);
      this.#fail(delivery, opened.refusal, target);
      this.#settlePending(delivery);
      return [];
    }
    delivery.sessions++;
    delivery.answered = true;
    return this.#transmit(opened.session, delivery, recipients);
  }

  /** One transaction, or as many as the server wants of them. Gives those for whom nothing happened: use another session. */
  async #transmit(session: Session, delivery: Delivery, recipients: Recipients): Promise<Recipients> {
    let left = recipients;
    let reusable = true;
    while (left.length > 0 && reusable) {
      const batch = takeBatch(session, left);
      if (batch.length === 0) break;
      const result = await this.#transact(session, delivery, batch);
      if (result.stale) return left;
      left = left.length === batch.length ? [] : left.filter((recipient) => !batch.includes(recipient));
      delivery.finished ||= result.uncertain;
      reusable = result.reusable;
    }
    if (reusable && this.#mayReuse(session, delivery)) this.#cache.put(this.#key(delivery), session);
    else if (reusable) session.quit();
    else session.connection.destroy();
    return left;
  }

  /** One transaction, and what it made of its recipients. */
  async #transact(session: Session, delivery: Delivery, recipients: Recipients): Promise<TransactionResult> {
    const { outgoing, signal } = delivery;
    const { clock, settings, checks, generic, log } = this.#parts;
    const { content, envelope } = delivery.request;
    const checked = checks && checkedContent(content, envelope.queueId, { checks, generic, log });
    const connectedMs = clock.monotonic();
    session.uses++;
    session.queueId = outgoing.envelope.queueId;
    const abort = () => session.connection.destroy();
    signal.addEventListener("abort", abort, { once: true });
    const result = await transmit(session, outgoing, {
      recipients,
      settings,
      checked,
      now: () => clock.monotonic(),
      wallMs: clock.now(),
    });
    signal.removeEventListener("abort", abort);
    if (result.stale) return result;
    const times = { connectMs: connectedMs - delivery.startedMs, transmitMs: clock.monotonic() - connectedMs };
    for (const [id, verdict] of result.verdicts) {
      record(delivery, id, verdict, { ...place(session), ...times });
    }
    this.#settlePending(delivery);
    return result;
  }

  /** The target took no mail: all pending recipients share its refusal until another host says otherwise. */
  #fail(delivery: Delivery, { verdict, reached }: Refusal, target: Target | undefined): void {
    const where = target && reached ? { relay: formatRelay(target), remoteMta: target.host } : { relay: "none" };
    const connectMs = this.#parts.clock.monotonic() - delivery.startedMs;
    for (const { id } of delivery.pending) {
      record(delivery, id, verdict, { ...where, connectMs, transmitMs: 0 });
    }
  }

  /** Deferred recipients stay pending for the next host, as do those whose turn did not come; what is sent or bounced is settled. */
  #settlePending(delivery: Delivery): void {
    delivery.pending = delivery.pending.filter(
      ({ id }) => (delivery.outcomes.get(id)?.kind ?? "deferred") === "deferred",
    );
  }

  /** What a host said to recipients that now go to the next one would otherwise be lost. */
  #logDeferred(delivery: Delivery): void {
    if (!delivery.answered) return;
    delivery.answered = false;
    const texts = new Set(delivery.pending.map(({ id }) => delivery.outcomes.get(id)?.text));
    for (const text of texts) {
      if (text !== undefined) this.#parts.log.info(`${delivery.request.envelope.queueId}: ${text}`);
    }
  }

  #mayReuse(session: Session, delivery: Delivery): boolean {
    const { cache, protocol } = this.#parts.settings;
    const { nexthop } = delivery.request;
    if (this.#closed || delivery.signal.aborted || session.reuse === false || !session.target.best) return false;
    if (!cache.onDemand && !isCachedDestination(nexthop, cache.destinations, protocol)) return false;
    if (session.uses >= cache.uses || isUsedUp(session)) return false;
    return this.#parts.clock.monotonic() - session.openedMs < cache.lifeMs;
  }

  #key({ request }: Delivery): string {
    const { sasl, bindAddress, bindAddress6 } = this.#parts.settings;
    return cacheKey({
      nexthop: request.nexthop,
      tlsPolicy: tlsDemandOf(request.envelope, this.#parts.settings.protocol) ?? "",
      saslIdentity: sasl.bySender ? request.envelope.sender : "",
      sourceAddress: `${bindAddress} ${bindAddress6}`.trim(),
    });
  }

  /** No host could ever have it: returned. Another may have it later: deferred. */
  #lastWord(id: number, delivery: Delivery): RcptOutcome {
    const outcome = delivery.outcomes.get(id) ?? this.#unreached(id, delivery);
    if (!delivery.unfit?.has(id)) return outcome;
    return delivery.hopeful ? { ...outcome, dsn: `4${outcome.dsn.slice(1)}` } : { ...outcome, kind: "bounced" };
  }

  #unreached(id: number, delivery: Delivery): RcptOutcome {
    const text = delivery.signal.aborted
      ? "delivery interrupted by shutdown"
      : delivery.sessions > 0
        ? "the session ended before this recipient's turn"
        : "no next hop to deliver to";
    return outcomeOf(id, ownVerdict("4.3.2", text), { relay: "none", connectMs: 0, transmitMs: 0 });
  }
}

type Circumstances = Pick<RcptOutcome, "relay" | "remoteMta" | "connectionUse" | "connectMs" | "transmitMs">;

function record(delivery: Delivery, id: number, verdict: Verdict, rest: Circumstances): void {
  delivery.outcomes.set(id, outcomeOf(id, verdict, rest));
  if (verdict.unfit) {
    delivery.unfit ??= new Set();
    delivery.unfit.add(id);
    return;
  }
  delivery.unfit?.delete(id);
  delivery.hopeful ||= verdict.kind === "deferred";
}

function place(session: Session): Pick<RcptOutcome, "relay" | "remoteMta" | "connectionUse"> {
  return { relay: session.relay, remoteMta: session.target.host, connectionUse: session.uses };
}

function outcomeOf(recipientId: number, { unfit: _unfit, ...verdict }: Verdict, rest: Circumstances): RcptOutcome {
  return { recipientId, ...verdict, ...rest };
}
