/** qmgr/scheduler.ts: decides what is delivered when (SCHEDULER_README; design §4 Lanes, §5 steps 10-13). Knows no SMTP:
 *  delivery agents are injected. New mail goes straight from its commit into a lane; what finds no room is given back to
 *  the store and read again when there is room (due-reader.ts). */
import type { Awaitable } from "../base/awaitable.ts";
import { ParameterError, type Parameters } from "../config/parameters.ts";
import { logActive } from "../log/delivery-lines.ts";
import type { Address } from "../mail/address.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { ClaimedMessage, QueuedRecipient } from "../queue/store.ts";
import { type ActiveLimits, type ActiveMessage, ActiveSet, type DeadReason, type Job } from "./active.ts";
import { ClockWatch } from "./clock-watch.ts";
import { attempt, deferAll, siteFailure, type Try } from "./deliver.ts";
import { DueReader } from "./due-reader.ts";
import type { Lane, Transport } from "./lane.ts";
import { LaneFinder } from "./lane-finder.ts";
import { LaneMap, REQUEUE_LANE, RETRY_LANE } from "./lane-map.ts";
import { retryTimesOf } from "./retry.ts";
import type { QueueManager, QueueManagerOptions, QueueStatus } from "./scheduling.ts";
import { Settler, type SettleSettings } from "./settle.ts";
import { Withheld } from "./withheld.ts";

/** A lane reads from the store when it holds fewer recipients than this … */
const LANE_LOW = 250;
/** … and then up to this many. */
const LANE_FILL = 1000;
/** Share of the active set that one lane may fill with new mail: a slow destination leaves room for others. */
const LANE_SHARE = 4;
/** stop(): time for deliveries to end by themselves, then time for them to end after the abort. */
const STOP_GRACE_MS = 5000;
const STOP_ABORT_MS = 2000;

const RESOLVER_FAILED: DeadReason = { dsn: "4.3.0", text: "address resolver failure" };

export class Scheduler implements QueueManager {
  readonly #options: QueueManagerOptions;
  readonly #finder: LaneFinder;
  readonly #lanes: LaneMap;
  readonly #withheld: Withheld;
  readonly #active: ActiveSet;
  #laneCap: number;
  #settings: SettleSettings;
  readonly #settler: Settler;
  readonly #reader: DueReader;
  readonly #watch: ClockWatch;
  readonly #abort = new AbortController();
  #deliveries = 0;
  /** Called when the last delivery ends; set by stop(). */
  #drained: (() => void) | undefined;
  /** Some message found no room; the queue is to be read when there is. */
  #overflow = false;
  #stopping = false;

  constructor(options: QueueManagerOptions) {
    const { params, store, clock, log } = options;
    this.#options = options;
    this.#finder = new LaneFinder(options);
    this.#withheld = new Withheld(params.get("defer_transports"));
    this.#laneCap = laneCapOf(activeLimitsOf(params));
    this.#active = new ActiveSet(activeLimitsOf(params));
    this.#settings = settingsOf(params);
    this.#lanes = this.#createLanes();
    this.#reader = new DueReader({
      store,
      clock,
      log,
      intervalMs: () => params.get("queue_run_delay"),
      lanesInMemory: () => this.#lanes.size,
      spaceFor: (lane, promised) => this.#spaceFor(lane, promised),
      mayHaveMore: (lane) => this.#mayHaveMore(lane),
      accept: (message) => this.#accept(message),
      beforeLook: () => this.#watch.look(),
      tick: () => this.#reopen(),
    });
    this.#watch = this.#createWatch();
    this.#settler = this.#createSettler();
  }

  laneOf(recipient: Address, sender: Address, filter?: string): Awaitable<string> {
    return this.#finder.laneOf(recipient, sender, filter);
  }

  arrived(message: ClaimedMessage): void {
    if (this.#stopping || this.#active.full) {
      this.#giveBack(message, message.recipients);
      return;
    }
    this.#admit(message, (recipient) => recipient.lane, "new");
  }

  poke(): void {
    for (const lane of this.#lanes.reopenDead()) this.#pump(lane);
    this.#reader.wake();
  }

  dueAt(dueMs: number): void {
    this.#reader.wakeAt(dueMs);
  }

  flushed(): void {
    this.#withheld.flushed(this.#options.clock.now());
    this.poke();
  }

  pause(keys: readonly string[]): void {
    this.#withheld.paused = keys;
    this.#withhold();
  }

  reconfigure(): void {
    try {
      const { params } = this.#options;
      this.#withheld.deferTransports = params.get("defer_transports");
      this.#settings = settingsOf(params);
      const limits = activeLimitsOf(params);
      this.#active.limits = limits;
      this.#laneCap = laneCapOf(limits);
      this.#lanes.reconfigure();
    } catch (cause) {
      if (!(cause instanceof ParameterError)) throw cause;
      this.#options.log.error(`${cause.message}: the scheduler's limits and times stay as they were`);
    }
    this.#withhold();
    for (const lane of this.#lanes.values()) this.#pump(lane);
    for (const transport of this.#lanes.transports()) this.#pumpWaiting(transport);
    this.poke();
  }

  start(): void {
    this.#watch.start();
    this.#reader.wake();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#reader.stop();
    const returned: Promise<void>[] = [];
    for (const lane of this.#lanes.values()) {
      for (const job of lane.drain()) returned.push(this.#withdraw(job));
    }
    const ended = this.#ended(returned);
    if (await this.#within(ended, STOP_GRACE_MS)) return;
    this.#abort.abort(new Error("Stopping"));
    if (await this.#within(ended, STOP_ABORT_MS)) return;
    this.#options.log.warning(`${this.#deliveries} deliveries did not end in time`);
  }

  status(): QueueStatus {
    const lanes = Array.from(this.#lanes.values(), (lane) => ({
      lane: lane.key,
      queuedRecipients: lane.queuedRecipients,
      inFlight: lane.inFlight,
      concurrency: lane.window,
      pausedUntilMs: lane.pausedUntilMs === 0 ? undefined : lane.pausedUntilMs,
      reason: (lane.dead ?? this.#withheld.reasonFor(lane))?.text,
    }));
    return { activeMessages: this.#active.messages, activeRecipients: this.#active.recipients, lanes };
  }

  #createLanes(): LaneMap {
    const { params, clock, log, workers = 1, leases, maxproc } = this.#options;
    return new LaneMap({
      unreadable: (transport, { message }) =>
        log.error(printableUtf8(`${message}: transport ${transport} has the built-in limits`)),
      ...{ params, clock },
      workers,
      leases,
      maxproc: (transport) => maxproc?.(transport),
      wakeLane: (lane) => this.#pump(lane),
      wakeTransport: (transport) => this.#pumpWaiting(transport),
    });
  }

  #createWatch(): ClockWatch {
    const { clock, store, log } = this.#options;
    return new ClockWatch({
      ...{ clock, store, log },
      times: () => this.#settings.times,
      shift: (byMs) => {
        this.#lanes.shift(byMs);
        this.#reader.forgetTimer();
        this.#reader.wakeAt(this.#lanes.nextReopenMs());
        this.#reader.wake();
      },
      moved: () => this.#reader.wake(),
    });
  }

  #createSettler(): Settler {
    return new Settler({
      ...this.#options,
      settings: () => this.#settings,
      ageMs: (arrivalMs) => this.#watch.ageMs(arrivalMs),
      laneOf: (recipient, sender, filter) => this.#finder.laneOfQueued(recipient, sender, filter),
      arrived: (message) => this.arrived(message),
      dueAt: (dueMs) => this.#reader.wakeAt(dueMs),
      finished: (active) => this.#finished(active),
    });
  }

  /** From the store: the lane it was stored under may be that of an older configuration, so it is found out again. */
  async #accept(message: ClaimedMessage): Promise<void> {
    const keys = new Map<number, string>();
    const { sender, filter } = message.envelope;
    for (const { id, address, lane } of message.recipients) {
      keys.set(id, lane === REQUEUE_LANE ? lane : await this.#finder.laneOfQueued(address, sender, filter));
    }
    if (this.#stopping) this.#giveBack(message, message.recipients);
    else this.#admit(message, ({ id }) => keys.get(id) ?? RETRY_LANE, "stored");
  }

  /** Puts a message into the active set and its recipients into their lanes. */
  #admit(message: ClaimedMessage, keyOf: (r: QueuedRecipient) => string, from: "new" | "stored"): void {
    const groups = this.#byLane(message, keyOf);
    const express = new Set<Lane>();
    if (from === "new") this.#turnAway(message, groups, express);
    let admitted = 0;
    for (const recipients of groups.values()) admitted += recipients.length;
    if (admitted === 0) return;
    const active = this.#active.add(message, admitted, this.#options.clock.now());
    logActive(this.#options.log, message.envelope, message.sizeBytes, message.remaining);
    for (const [lane, recipients] of groups) {
      const refusal = this.#refusalOf(lane, from === "stored" ? recipients : undefined);
      if (refusal) this.#report({ active, recipients }, refusal);
      else if (express.has(lane)) lane.pushExpress({ active, recipients });
      else this.#enqueue(lane, active, recipients);
    }
    for (const lane of groups.keys()) this.#pump(lane);
  }

  #byLane(message: ClaimedMessage, keyOf: (r: QueuedRecipient) => string): Map<Lane, QueuedRecipient[]> {
    const groups = new Map<Lane, QueuedRecipient[]>();
    for (const recipient of message.recipients) {
      const lane = this.#lanes.open(keyOf(recipient));
      const group = groups.get(lane);
      if (group) group.push(recipient);
      else groups.set(lane, [recipient]);
    }
    return groups;
  }

  /** Gives back what finds no room, and tells which lanes it may pass through without waiting in order. */
  #turnAway(message: ClaimedMessage, groups: Map<Lane, QueuedRecipient[]>, express: Set<Lane>): void {
    const refused: QueuedRecipient[] = [];
    for (const [lane, recipients] of groups) {
      if (lane.hasExpressFor(message.envelope, recipients.length)) express.add(lane);
      else if (this.#noRoom(lane, message.envelope.priority)) {
        lane.more = true;
        groups.delete(lane);
        for (const recipient of recipients) refused.push(recipient);
      }
    }
    if (refused.length > 0) this.#giveBack(message, refused);
  }

  /** Older mail of the lane waits in the store, or the lane has its share: new mail must queue up behind, unless it is more
   *  urgent than what waits there. */
  #noRoom(lane: Lane, priority = 0): boolean {
    if (lane.dead || this.#withheld.reasonFor(lane)) return false; // deferred at once, needs no room
    if (priority > 0) return lane.regularRecipients >= this.#laneCap * (LANE_SHARE - 1);
    return lane.more || lane.queuedRecipients >= this.#laneCap;
  }

  /** Why mail for the lane is deferred without a try. `stored`: the recipients, if they come from the queue. */
  #refusalOf(lane: Lane, stored: readonly QueuedRecipient[] | undefined): DeadReason | undefined {
    if (lane.key === RETRY_LANE) return RESOLVER_FAILED;
    const dueMs = this.#withheld.none ? undefined : stored?.reduce((latest, r) => Math.max(latest, r.dueMs), 0);
    return this.#withheld.reasonFor(lane, dueMs) ?? (lane.dead && suspended(lane.dead));
  }

  /** Mail in memory for destinations that are withheld from now on. */
  #withhold(): void {
    for (const lane of this.#lanes.values()) {
      const reason = this.#withheld.reasonFor(lane);
      if (!reason) continue;
      for (const job of lane.drain()) this.#report(job, reason);
      this.#pump(lane);
    }
  }

  #enqueue(lane: Lane, active: ActiveMessage, recipients: readonly QueuedRecipient[]): void {
    const limit = Math.min(recipients.length, lane.transport.limits.recipients);
    for (let i = 0; i < recipients.length; i += limit) {
      lane.push({ active, recipients: recipients.slice(i, i + limit) });
    }
  }

  /** Starts as many deliveries as the lane and its transport allow. */
  #pump(lane: Lane): void {
    while (lane.ready && !this.#stopping && this.#takeSlots(lane)) {
      const job = lane.start();
      if (!job) throw new Error(`Lane ${lane.key} is ready without a job`);
      this.#deliveries++;
      void this.#deliver(lane, job);
    }
    lane.slots.trim(this.#stopping ? 0 : lane.startable);
    if (lane.regularRecipients < LANE_LOW && lane.more && lane.pausedUntilMs === 0) {
      lane.more = false;
      this.#reader.wake();
    }
    this.#lanes.forgetIfIdle(lane);
  }

  /** The lane's first, then the transport's, which so is never held by a lane that cannot use it. */
  #takeSlots(lane: Lane): boolean {
    const { slots, transport } = lane;
    const want = lane.startable;
    if (!slots.take(want)) return false;
    if (transport.slots.take(want)) return true;
    slots.untake();
    transport.waiting.add(lane);
    return false;
  }

  async #deliver(lane: Lane, job: Job): Promise<void> {
    const { agent, log, store } = this.#options;
    const { name } = lane.transport;
    const { queueId } = job.active.message.envelope;
    store.markInFlight?.(queueId);
    const tries = await attempt(job, {
      agent: agent(name),
      transport: name,
      nexthop: lane.nexthop,
      signal: this.#abort.signal,
      nowMs: this.#options.clock.now(),
      log,
    });
    store.clearInFlight?.(queueId);
    lane.transport.slots.give();
    lane.slots.give();
    this.#feedback(lane, tries);
    this.#active.tried(tries.length);
    this.#settler.report(job.active, tries, name);
    // Lanes that wait for the transport come first, or one with a backlog would keep its slots for ever.
    this.#serveWaiting(lane.transport);
    this.#pump(lane);
    this.#pumpWaiting(lane.transport);
    if (--this.#deliveries === 0) this.#drained?.();
  }

  /** Slots that are free go to the lanes of this transport that wait longest. */
  #serveWaiting({ waiting, slots }: Transport): void {
    for (const next of waiting) {
      if (!slots.hasSlot) return;
      waiting.delete(next);
      this.#pump(next);
    }
  }

  /** The same; then more slots are asked for, or those that nobody can use go back. */
  #pumpWaiting(transport: Transport): void {
    const { waiting, slots } = transport;
    this.#serveWaiting(transport);
    if (waiting.size > 0) slots.want(waiting.size);
    slots.trim(0);
  }

  #feedback(lane: Lane, tries: readonly Try[]): void {
    const { log, clock } = this.#options;
    const failure = siteFailure(tries);
    const nowMs = clock.now();
    const died = failure ? lane.failed(failure, nowMs) : false;
    if (!failure && lane.succeeded(nowMs)) this.#reader.wake();
    if (lane.pausedUntilMs > 0) {
      this.#lanes.paused(lane);
      this.#reader.wakeAt(lane.pausedUntilMs);
    }
    if (!died || !failure) return;
    const waiting = lane.drain();
    log.info(`${printableUtf8(lane.key)}: destination suspended: ${failure.text}`);
    for (const job of waiting) this.#report(job, suspended(failure));
  }

  /** Defers a whole job by our own decision, logged as the error transport does. */
  #report(job: Job, reason: DeadReason): void {
    this.#active.tried(job.recipients.length);
    this.#settler.report(job.active, deferAll(job, reason), "error");
  }

  #reopen(): void {
    this.#watch.look();
    const nowMs = this.#options.clock.now();
    for (const lane of this.#lanes.reopenDue(nowMs)) this.#pump(lane);
    this.#reader.wakeAt(this.#lanes.nextReopenMs());
  }

  /** A claim filled the space it was given: go on when the lane has drained, or now if nothing of it is under way. */
  #mayHaveMore(key: string): void {
    const lane = this.#lanes.find(key);
    if (lane && lane.queuedRecipients + lane.inFlight > 0) lane.more = true;
    else this.#reader.wake();
  }

  /** How many recipients the due reader may claim for the lane. */
  #spaceFor(key: string, promised: number): number {
    const lane = this.#lanes.find(key);
    if (this.#active.full) this.#overflow = true;
    const room = lane ? (lane.pausedUntilMs > 0 ? 0 : LANE_FILL - lane.regularRecipients) : LANE_FILL;
    const space = Math.max(0, Math.min(room, this.#active.space - promised));
    if (lane && lane.queuedRecipients > 0) lane.more = space === 0;
    return space;
  }

  #finished(active: ActiveMessage): void {
    this.#active.remove(active);
    if (!this.#overflow || this.#active.full || this.#stopping) return;
    this.#overflow = false;
    this.#reader.wake();
  }

  /** Returns recipients to the store untried. A failure is logged: the claim then lasts until the shard is reopened. */
  #giveBack(message: ClaimedMessage, recipients: readonly QueuedRecipient[]): void {
    this.#overflow = true;
    void this.#unclaim(message, recipients);
  }

  async #unclaim(message: ClaimedMessage, recipients: readonly QueuedRecipient[]): Promise<void> {
    const { queueId } = message.envelope;
    try {
      await this.#options.store.unclaim(
        queueId,
        recipients.map(({ id }) => id),
      );
      if (this.#active.messages === 0) this.#reader.wake();
    } catch (cause) {
      this.#options.log.warning(`${queueId}: cannot give the message back: ${printableUtf8(String(cause))}`);
    }
  }

  /** stop(): takes a job that was not started out of the active set. */
  async #withdraw(job: Job): Promise<void> {
    const { active, recipients } = job;
    this.#active.tried(recipients.length);
    await this.#unclaim(active.message, recipients);
    active.pending -= recipients.length;
    if (active.pending === 0) this.#settler.settleRest(active);
  }

  async #ended(returned: readonly Promise<void>[]): Promise<void> {
    await Promise.all(returned);
    if (this.#deliveries > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    await this.#settler.stop(this.#abort.signal);
  }

  /** True when `ended` came first. */
  async #within(ended: Promise<void>, delayMs: number): Promise<boolean> {
    const waiting = new AbortController();
    const late = this.#options.clock.sleep(delayMs, waiting.signal).then(
      () => false,
      () => true,
    );
    const first = await Promise.race([ended.then(() => true), late]);
    waiting.abort();
    return first;
  }
}

/** What mail for a dead destination is told (qmgr_queue.c). */
function suspended(reason: DeadReason): DeadReason {
  const text = reason.text.replace(/^delivery temporarily suspended: /, "");
  return { dsn: reason.dsn, text: `delivery temporarily suspended: ${text}` };
}

function activeLimitsOf(params: Parameters): ActiveLimits {
  return { messages: params.get("qmgr_message_active_limit"), recipients: params.get("qmgr_message_recipient_limit") };
}

function laneCapOf({ messages, recipients }: ActiveLimits): number {
  return Math.max(1, Math.floor(Math.min(messages, recipients) / LANE_SHARE));
}

function settingsOf(params: Parameters): SettleSettings {
  return {
    times: retryTimesOf(params),
    softBounce: params.get("soft_bounce"),
    delayDigits: params.get("delay_logging_resolution_limit"),
    delayWarningMs: params.get("delay_warning_time"),
    confirmDelayCleared: params.get("confirm_delay_cleared"),
  };
}
