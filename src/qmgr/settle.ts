/** qmgr/settle.ts: turns the outcomes of a delivery into log lines and one commit of the store (design §5 steps 13-14).
 *  Bounces and warnings are made when the last recipient of a claim was tried; a bounce rides in the commit that removes
 *  what failed, a report of success in the one that removes what was delivered; forwarded mail in the one that removes the
 *  recipient that it stands for.
 *  An outcome is never forgotten: a failing commit is repeated until it succeeds or the process ends. */
import { logDelivery, logExpired, logMessageId } from "../log/delivery-lines.ts";
import type { Log } from "../log/log.ts";
import type { ForwardedMessage, RcptOutcome } from "../mail/delivery.ts";
import { isWanted } from "../mail/dsn.ts";
import type { Envelope } from "../mail/envelope.ts";
import { sentMs } from "../mail/future-release.ts";
import { printableUtf8 } from "../mail/printable.ts";
import type { ClaimedMessage, DeferredRecipient, QueuedRecipient, QueueStore, Settlement } from "../queue/store.ts";
import type { ActiveMessage, Failure } from "./active.ts";
import { dueInTime, isLate, isOverdue, timedOut } from "./deliver-by.ts";
import { forwardedCopies } from "./forwarding.ts";
import { Reporter, type ReporterOptions, type Reports } from "./reports.ts";
import { isExpired, nextTryMs, type RetryTimes } from "./retry.ts";

/** What the configuration says about outcomes. */
export interface SettleSettings {
  readonly times: RetryTimes;
  readonly softBounce: boolean;
  readonly delayDigits: number;
  /** 0: senders are not told of delays. */
  readonly delayWarningMs: number;
  readonly confirmDelayCleared: boolean;
}

export interface SettlerOptions extends ReporterOptions {
  readonly store: QueueStore;
  readonly random: () => number;
  readonly log: Log;
  /** Asked at each use: a reload changes them. */
  readonly settings: () => SettleSettings;
  /** How old a message is that was sent at `sentMs`, at least 0: time that the clock only jumped over does not count. */
  readonly ageMs: (sentMs: number) => number;
  /** A bounce was committed and claimed. */
  readonly arrived: (message: ClaimedMessage) => void;
  /** A recipient will be due then. */
  readonly dueAt: (dueMs: number) => void;
  /** Nothing of this claim is left to do. */
  readonly finished: (active: ActiveMessage) => void;
}

/** What one report settles, before bounces are made. */
interface Draft {
  readonly done: number[];
  readonly deferred: DeferredRecipient[];
  /** Of `done`, those whose sender is told. */
  readonly succeeded: Failure[];
  readonly warned: number[];
  /** Of `done`, those of mail that only asks what would become of it. */
  readonly verified: Failure[];
  /** Of `done`, what stands for them from now on. */
  readonly forwards: ForwardedMessage[];
  /** In [0, 1): one for all, so that recipients that were tried together are tried together again. */
  readonly random: number;
}

/** What waits until all recipients of a claim were tried, so that there is one report for all. */
interface DueReports {
  readonly failed: readonly Failure[];
  readonly delayed: readonly Failure[];
}

function emptyDraft(random: number): Draft {
  return { done: [], deferred: [], succeeded: [], verified: [], warned: [], forwards: [], random };
}

const FIRST_REPEAT_MS = 1000;
const LAST_REPEAT_MS = 30_000;
/** Longest reason that is stored with a recipient. */
const MAX_REASON = 1000;

export class Settler {
  readonly #options: SettlerOptions;
  readonly #reporter: Reporter;
  readonly #giveUp = new AbortController();
  #running = 0;
  /** Called when the last settlement ends; set by stop(). */
  #drained: (() => void) | undefined;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#reporter = new Reporter(options);
  }

  /** Logs and settles one delivery; `outcomes` holds one per recipient, in the same order. Never throws. */
  report(
    active: ActiveMessage,
    tries: readonly { readonly recipient: QueuedRecipient; readonly outcome: RcptOutcome }[],
    program: string,
  ): void {
    const nowMs = this.#options.clock.now();
    const draft = emptyDraft(this.#options.random());
    const logOf = this.#logOf(program);
    let expired = false;
    for (const { recipient, outcome } of tries) {
      const counted = this.#logged(active, recipient, outcome, { nowMs, log: logOf(outcome) });
      for (const one of outcome.also ?? []) this.#logged(active, recipient, one, { nowMs, log: logOf(one) });
      expired = this.#take(active, named(recipient, outcome), counted, draft) || expired;
    }
    if (expired) logExpired(this.#options.log, active.message.envelope);
    active.pending -= tries.length;
    this.settleRest(active, draft);
  }

  /** Settles what is decided, and the failures too when nothing of the claim is pending. */
  settleRest(active: ActiveMessage, draft = emptyDraft(this.#options.random())): void {
    const due = active.pending === 0 ? takeDue(active) : { failed: [], delayed: [] };
    active.settling++;
    this.#running++;
    void this.#settle(active, draft, due);
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

  /** The log of the program that made an outcome. */
  #logOf(program: string): (outcome: RcptOutcome) => Log {
    const own = this.#options.logFor(program);
    return ({ transport }) => (transport === undefined ? own : this.#options.logFor(transport));
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
    logDelivery(at.log, {
      envelope: active.message.envelope,
      recipient: named(recipient, outcome),
      outcome: counted,
      status: soft ? "SOFTBOUNCE" : statusOf(active.message.envelope, counted),
      activeMs: active.activeMs,
      nowMs: at.nowMs,
      digits: this.#options.settings().delayDigits,
    });
    return counted;
  }

  /** Sorts one outcome into the draft; true when the recipient expired. */
  #take(active: ActiveMessage, recipient: QueuedRecipient, outcome: RcptOutcome, draft: Draft): boolean {
    const { envelope } = active.message;
    if (envelope.verify) {
      draft.done.push(recipient.id);
      draft.verified.push({ recipient, outcome });
      return false;
    }
    if (outcome.kind === "sent") {
      draft.done.push(recipient.id);
      draft.forwards.push(...(outcome.forwards ?? []));
      if (this.#successIsTold(recipient, outcome)) draft.succeeded.push({ recipient, outcome });
      return false;
    }
    if (outcome.kind === "bounced") {
      active.failed.push({ recipient, outcome });
      for (const one of outcome.also ?? []) {
        if (one.kind === "bounced") active.failed.push({ recipient: named(recipient, one), outcome: one });
      }
      return false;
    }
    if (isOverdue(envelope, this.#options.clock.now()) && !this.#options.settings().softBounce) {
      active.failed.push({ recipient, outcome: timedOut(outcome, "bounced") });
      return true;
    }
    if (isExpired(this.#options.settings().times, envelope, this.#options.ageMs(sentMs(envelope)))) {
      active.failed.push({ recipient, outcome: { ...outcome, kind: "bounced" } });
      return true;
    }
    draft.deferred.push(this.#deferral(envelope, outcome, draft.random));
    if (this.#delayIsTold(envelope, recipient)) active.delayed.push({ recipient, outcome });
    return false;
  }

  /** A hop that knows DSN reports by itself, but nothing of delays that were here. */
  #successIsTold(recipient: QueuedRecipient, outcome: RcptOutcome): boolean {
    if (outcome.reportRelay && !recipient.dsn?.notify?.includes("NEVER")) return true;
    if (outcome.dsnAction !== "passedOn" && isWanted(recipient.dsn, "SUCCESS")) return true;
    return recipient.warned && this.#options.settings().confirmDelayCleared && isWanted(recipient.dsn, "DELAY");
  }

  #delayIsTold(envelope: Envelope, { warned }: QueuedRecipient): boolean {
    const { delayWarningMs } = this.#options.settings();
    // Who said by when wants to hear of that time, and not of another.
    if (envelope.deliverBy?.mode === "N") return !warned && isLate(envelope, this.#options.clock.now());
    return !warned && delayWarningMs > 0 && this.#options.ageMs(sentMs(envelope)) >= delayWarningMs;
  }

  #deferral(envelope: Envelope, outcome: RcptOutcome, random: number): DeferredRecipient {
    const { settings, clock, ageMs } = this.#options;
    const nowMs = clock.now();
    const at = { ageMs: ageMs(sentMs(envelope)), nowMs, priority: envelope.priority };
    const dueMs = dueInTime(envelope, nextTryMs(settings().times, at, random), nowMs);
    const { recipientId: id, text: reason, dsn, remoteMta, diagnostic } = outcome;
    const lastTry = { dsn, remoteMta, diagnostic: diagnostic?.slice(0, MAX_REASON) };
    return { id, dueMs, reason: reason.slice(0, MAX_REASON), lastTry };
  }

  async #settle(active: ActiveMessage, draft: Draft, due: DueReports): Promise<void> {
    const { log } = this.#options;
    const { queueId } = active.message.envelope;
    try {
      const reports = await this.#reports(active, draft, due);
      const { done, deferred, warned } = draft;
      if (done.length > 0 || deferred.length > 0 || warned.length > 0) {
        const append = reports.flatMap((report) => report.append);
        const forwards = await forwardedCopies(draft.forwards, this.#options);
        const result = await this.#commit({ queueId, done, deferred, warned, append, forwards });
        for (const report of reports) report.log();
        for (const message of draft.forwards) logMessageId(this.#options.logFor("cleanup"), message);
        if (result.removed) log.info(`${queueId}: removed`, { event: "removed" });
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

  /** All reports that this settlement causes; what cannot be reported changes the draft. */
  async #reports(active: ActiveMessage, draft: Draft, due: DueReports): Promise<readonly Reports[]> {
    const { message } = active;
    const made: (Reports | undefined)[] = [];
    if (due.failed.length > 0) made.push(await this.#failures(message, due.failed, draft));
    // Delivered is delivered: without its report a recipient still must not get the message again.
    if (draft.succeeded.length > 0) {
      made.push(await this.#made(message, "success", () => this.#reporter.make("success", message, draft.succeeded)));
    }
    if (draft.verified.length > 0) {
      made.push(await this.#made(message, "status", () => this.#reporter.make("verify", message, draft.verified)));
    }
    if (due.delayed.length > 0) {
      const warning = await this.#made(message, "delay", () => this.#reporter.makeWarning(active, due.delayed));
      if (warning) draft.warned.push(...warning.warned);
      made.push(warning);
    }
    return made.filter((reports) => reports !== undefined);
  }

  /** Adds the failed recipients to the draft. */
  async #failures(message: ClaimedMessage, failed: readonly Failure[], draft: Draft): Promise<Reports | undefined> {
    const reports = await this.#made(message, "non-delivery", () => this.#reporter.make("failed", message, failed));
    for (const { recipient, outcome } of failed) {
      if (draft.done.at(-1) === recipient.id || draft.deferred.at(-1)?.id === recipient.id) continue; // failed twice
      if (reports) {
        draft.done.push(recipient.id);
        draft.forwards.push(...(outcome.forwards ?? []));
      }
      // Without its bounce a failed recipient must stay in the queue (promise 2).
      else draft.deferred.push(this.#deferral(message.envelope, outcome, draft.random));
    }
    return reports;
  }

  /** undefined, and a log line, if the reports cannot be made. */
  async #made<T>({ envelope }: ClaimedMessage, what: string, make: () => Promise<T>): Promise<T | undefined> {
    try {
      return await make();
    } catch (cause) {
      const log = this.#options.logFor("bounce");
      log.error(`${envelope.queueId}: cannot make a ${what} notification: ${printableUtf8(String(cause))}`);
      return undefined;
    }
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
}

/** As the delivery line says it. */
function statusOf({ verify }: Envelope, { kind }: RcptOutcome): string {
  if (!verify) return kind;
  return kind === "sent" ? "deliverable" : "undeliverable";
}

/** The recipient under the address that an alias led to. */
function named(recipient: QueuedRecipient, { address }: RcptOutcome): QueuedRecipient {
  return address === undefined ? recipient : { ...recipient, address };
}

/** What the end of a claim reports. While other claims of the message are under way, delays are left to the last of them:
 *  one warning tells of all. */
function takeDue(active: ActiveMessage): DueReports {
  const { failed, claims } = active;
  const delayed = active.delayed.filter(({ recipient }) => !claims.told.has(recipient.id));
  active.failed = [];
  active.delayed = [];
  claims.open--;
  return { failed, delayed: claims.open === 0 ? delayed : [] };
}
