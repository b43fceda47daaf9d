/** qmgr/settle.ts: turns the outcomes of a delivery into log lines and one commit of the store (design §5 steps 13-14).
 *  A bounce is composed when the last recipient of a claim was tried, and rides in the commit that removes what failed.
 *  An outcome is never forgotten: a failing commit is repeated until it succeeds or the process ends. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { ComposedMessage, MessageContent, RcptOutcome } from "../mail/delivery.ts";
import type { Envelope } from "../mail/envelope.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { QueueId } from "../mail/queue-id.ts";
import type { ClaimedMessage, NewMessage, QueuedRecipient, QueueStore, Settlement } from "../queue/store.ts";
import type { ActiveMessage, Failure } from "./active.ts";
import { deliveryLine, expiredLine } from "./log-lines.ts";
import { isExpired, nextTryMs, type RetryTimes } from "./retry.ts";

/** Makes non-delivery notifications; bounce/ implements it. */
export interface BounceComposer {
  /** undefined: no notification is due (NOTIFY=NEVER). */
  failure(input: {
    readonly message: { readonly envelope: Envelope; readonly content: MessageContent };
    readonly failed: readonly {
      readonly recipient: { readonly address: Address; readonly original: Address };
      readonly outcome: RcptOutcome;
    }[];
    readonly queueId: QueueId;
  }): Promise<ComposedMessage | undefined>;
}

/** What the configuration says about outcomes. */
export interface SettleSettings {
  readonly times: RetryTimes;
  readonly softBounce: boolean;
  readonly delayDigits: number;
}

export interface SettlerOptions {
  readonly store: QueueStore;
  readonly bounces: BounceComposer;
  readonly nextQueueId: () => QueueId;
  readonly laneOf: (recipient: Address, sender: Address) => Promise<string>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly logFor: (program: string) => Log;
  /** Asked at each use: a reload changes them. */
  readonly settings: () => SettleSettings;
  /** A bounce was committed and claimed. */
  readonly arrived: (message: ClaimedMessage) => void;
  /** A recipient will be due then. */
  readonly dueAt: (dueMs: number) => void;
  /** Nothing of this claim is left to do. */
  readonly finished: (active: ActiveMessage) => void;
}

type Deferral = Settlement["deferred"][number];

/** What one report settles, before bounces are made. */
interface Draft {
  readonly done: number[];
  readonly deferred: Deferral[];
}

const FIRST_REPEAT_MS = 1000;
const LAST_REPEAT_MS = 30_000;
/** Longest reason that is stored with a recipient. */
const MAX_REASON = 1000;

export class Settler {
  readonly #options: SettlerOptions;
  readonly #giveUp = new AbortController();
  #running = 0;
  /** Called when the last settlement ends; set by stop(). */
  #drained: (() => void) | undefined;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Logs and settles one delivery; `outcomes` holds one per recipient, in the same order. Never throws. */
  report(
    active: ActiveMessage,
    tries: readonly { readonly recipient: QueuedRecipient; readonly outcome: RcptOutcome }[],
    program: string,
  ): void {
    const nowMs = this.#options.clock.now();
    const draft: Draft = { done: [], deferred: [] };
    const log = this.#options.logFor(program);
    let expired = false;
    for (const { recipient, outcome } of tries) {
      expired =
        this.#take(active, recipient, this.#logged(active, recipient, outcome, { nowMs, log }), draft) || expired;
    }
    if (expired) this.#options.log.info(expiredLine(active.message.envelope));
    active.pending -= tries.length;
    this.settleRest(active, draft);
  }

  /** Settles what is decided, and the failures too when nothing of the claim is pending. */
  settleRest(active: ActiveMessage, draft: Draft = { done: [], deferred: [] }): void {
    const failed = active.pending === 0 ? active.failed : [];
    if (active.pending === 0) active.failed = [];
    active.settling++;
    this.#running++;
    void this.#settle(active, draft, failed);
  }

  /** Waits for settlements under way; after the signal aborts, stops repeating the ones that fail. */
  async stop(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#giveUp.abort(new Error("Stopping")), { once: true });
    if (signal.aborted) this.#giveUp.abort(new Error("Stopping"));
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  /** Writes the delivery line; the outcome that counts, which soft_bounce may have changed. */
  #logged(
    active: ActiveMessage,
    recipient: QueuedRecipient,
    outcome: RcptOutcome,
    at: { readonly nowMs: number; readonly log: Log },
  ): RcptOutcome {
    const soft = this.#options.settings().softBounce && outcome.kind === "bounced";
    const counted: RcptOutcome = soft ? { ...outcome, kind: "deferred", dsn: `4${outcome.dsn.slice(1)}` } : outcome;
    const line = deliveryLine({
      envelope: active.message.envelope,
      recipient,
      outcome: counted,
      status: soft ? "SOFTBOUNCE" : counted.kind,
      activeMs: active.activeMs,
      nowMs: at.nowMs,
      digits: this.#options.settings().delayDigits,
    });
    at.log.info(line);
    return counted;
  }

  /** Sorts one outcome into the draft; true when the recipient expired. */
  #take(active: ActiveMessage, recipient: QueuedRecipient, outcome: RcptOutcome, draft: Draft): boolean {
    const { envelope } = active.message;
    if (outcome.kind === "sent") {
      draft.done.push(recipient.id);
      return false;
    }
    if (outcome.kind === "bounced") {
      active.failed.push({ recipient, outcome });
      return false;
    }
    if (isExpired(this.#options.settings().times, envelope, this.#options.clock.now())) {
      active.failed.push({ recipient, outcome: { ...outcome, kind: "bounced" } });
      return true;
    }
    draft.deferred.push(this.#deferral(envelope, recipient.id, outcome.text));
    return false;
  }

  #deferral(envelope: Envelope, id: number, reason: string): Deferral {
    const { settings, clock, random } = this.#options;
    const dueMs = nextTryMs(settings().times, { arrivalMs: envelope.arrivalMs, nowMs: clock.now() }, random());
    return { id, dueMs, reason: reason.slice(0, MAX_REASON) };
  }

  async #settle(active: ActiveMessage, draft: Draft, failed: readonly Failure[]): Promise<void> {
    const { log } = this.#options;
    const { queueId } = active.message.envelope;
    try {
      const bounce = failed.length === 0 ? undefined : await this.#bounce(active, failed, draft);
      if (draft.done.length > 0 || draft.deferred.length > 0) {
        const settlement = { queueId, ...draft, append: bounce === undefined ? [] : [bounce] };
        const result = await this.#commit(settlement);
        if (bounce) this.#bounceLog().info(`${queueId}: sender non-delivery notification: ${bounce.envelope.queueId}`);
        if (result.removed) log.info(`${queueId}: removed`);
        for (const message of result.appended) this.#options.arrived(message);
        for (const { dueMs } of draft.deferred) this.#options.dueAt(dueMs);
      }
    } catch (cause) {
      log.error(`${queueId}: the outcome of a delivery was not recorded: ${printableUtf8(String(cause))}`);
    }
    active.settling--;
    if (active.pending === 0 && active.settling === 0) this.#options.finished(active);
    if (--this.#running === 0) this.#drained?.();
  }

  /** Adds the failed recipients to the draft; returns the bounce to commit with them. */
  async #bounce(active: ActiveMessage, failed: readonly Failure[], draft: Draft): Promise<NewMessage | undefined> {
    const { envelope, content } = active.message;
    try {
      const bounce = await this.#compose(envelope, content, failed);
      for (const { recipient } of failed) draft.done.push(recipient.id);
      return bounce;
    } catch (cause) {
      // Without its bounce a failed recipient must stay in the queue (promise 2).
      this.#bounceLog().error(
        `${envelope.queueId}: cannot make a non-delivery notification: ${printableUtf8(String(cause))}`,
      );
      for (const { recipient, outcome } of failed) {
        draft.deferred.push(this.#deferral(envelope, recipient.id, outcome.text));
      }
      return undefined;
    }
  }

  async #compose(
    envelope: Envelope,
    content: MessageContent,
    failed: readonly Failure[],
  ): Promise<NewMessage | undefined> {
    if (envelope.sender === "") {
      this.#bounceLog().info(`${envelope.queueId}: undeliverable mail with null sender dropped, nobody to notify`);
      return undefined;
    }
    const queueId = this.#options.nextQueueId();
    const composed = await this.#options.bounces.failure({ message: { envelope, content }, failed, queueId });
    if (!composed) {
      this.#bounceLog().info(`${envelope.queueId}: undeliverable mail dropped, no notification wanted`);
      return undefined;
    }
    return this.#newMessage(composed);
  }

  async #newMessage(composed: ComposedMessage): Promise<NewMessage> {
    const dueMs = this.#options.clock.now();
    const recipients = [];
    for (const address of composed.recipients) {
      const lane = await this.#options.laneOf(address, composed.envelope.sender);
      recipients.push({ address, original: address, lane, dueMs });
    }
    const { header, body } = splitContent(composed.content);
    return { envelope: composed.envelope, header, body: { kind: "inline", bytes: body }, recipients, hold: false };
  }

  async #commit(settlement: Settlement): ReturnType<QueueStore["settle"]> {
    const { store, clock, log } = this.#options;
    for (let waitMs = FIRST_REPEAT_MS; ; waitMs = Math.min(waitMs * 2, LAST_REPEAT_MS)) {
      try {
        return await store.settle(settlement);
      } catch (cause) {
        log.warning(
          `${settlement.queueId}: cannot record the outcome of a delivery, trying again: ${printableUtf8(String(cause))}`,
        );
        await clock.sleep(waitMs, this.#giveUp.signal);
      }
    }
  }

  #bounceLog(): Log {
    return this.#options.logFor("bounce");
  }
}

/** Splits a whole message behind the empty line that ends its header block; all header if there is none. */
function splitContent(content: Uint8Array): { readonly header: Uint8Array; readonly body: Uint8Array } {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const end = bytes.indexOf("\r\n\r\n");
  const at = end < 0 ? bytes.length : end + 4;
  return { header: bytes.subarray(0, at), body: bytes.subarray(at) };
}
