/** access/walk.ts: runs compiled lists for one command and collects decision, effects, notices and trace (postfix.md §2.1).
 *  Lists that nest are one loop over a stack of frames. Nothing is awaited unless a restriction returns a promise.
 *  Not the order of the lists: that is evaluator.ts. */
import type { Log } from "../log/log.ts";
import { printableAscii } from "../mail/printable.ts";
import { type Reply, reply, replyText } from "../mail/reply.ts";
import { TableError } from "../tables/table.ts";
import type { AccessNotice, Decision, Effect, Facts, RuleRef, Stage, StepResult } from "./access.ts";
import { NotAsked } from "./not-asked.ts";
import { type PermitLog, permitText } from "./permit-log.ts";
import { CONFIGURATION_ERROR, lookupFailure, type Subject } from "./reply-text.ts";
import type { Context, EffectScope, Outcome, Rule } from "./restriction.ts";
import type { SessionCache } from "./session-cache.ts";
import type { Trace } from "./trace.ts";

/** Classes and table lists nest at most this deep. */
const MAX_DEPTH = 100;
/** Rules evaluated for one command: classes that name each other twice would double at each level. */
const MAX_STEPS = 10_000;

/** A saved defer_if_permit or defer_if_reject. */
export interface Deferral {
  readonly reply: Reply;
  readonly by: RuleRef;
}

/** What lasts for a whole message. */
export interface MessageState {
  held: boolean;
  discarded: boolean;
}

export type ListResult = "next" | Extract<Decision, { kind: "permit" | "reject" | "defer" }>;

export interface ListRun {
  readonly stage: Stage;
  readonly rules: readonly Rule[];
  readonly subject: Subject;
}

export interface WalkOptions {
  readonly log: Log;
  readonly facts: Facts;
  readonly session: SessionCache;
  readonly message: MessageState;
  /** Client and helo lists run before MAIL (smtpd_delay_reject = no). */
  readonly beforeMail: boolean;
  /** undefined: permits are not logged. */
  readonly permitLog?: PermitLog | undefined;
  /** undefined: nobody wants to know. */
  readonly trace: Trace | undefined;
}

interface Frame {
  readonly rules: readonly Rule[];
  readonly subject: Subject;
  /** What a permit inside this list becomes, if it must not permit. */
  readonly permitted: (() => Outcome) | undefined;
  next: number;
}

export class Walk implements Context {
  readonly facts: Facts;
  readonly log: Log;
  readonly session: SessionCache;
  readonly checked = { sender: false, recipient: false };
  readonly effects: Effect[] = [];
  readonly notices: AccessNotice[] = [];
  readonly trace: Trace | undefined;
  readonly #message: MessageState;
  readonly #permitLog: PermitLog | undefined;
  readonly #beforeMail: boolean;
  stage: Stage = "client";
  /** Survives from list to list of one command; the evaluator carries it from command to command. */
  deferIfPermit: Deferral | undefined;
  #deferIfReject: Deferral | undefined;
  #frames: Frame[] = [];
  /** Depth of the frame in which warn_if_reject stood; 0: none. */
  #warnDepth = 0;
  #steps = 0;

  constructor(options: WalkOptions) {
    this.facts = options.facts;
    this.log = options.log;
    this.session = options.session;
    this.#message = options.message;
    this.#permitLog = options.permitLog;
    this.trace = options.trace;
    this.#beforeMail = options.beforeMail;
  }

  get subject(): Subject {
    return this.#frames.at(-1)?.subject ?? { name: "", replyClass: "Client host" };
  }

  get warnOnly(): boolean {
    return this.#warnDepth > 0;
  }

  get effectScope(): EffectScope {
    if (this.stage === "etrn") return "etrn";
    if (this.facts.sender === undefined) return "beforeMail";
    return this.#beforeMail && (this.stage === "client" || this.stage === "helo") ? "beforeMail" : "message";
  }

  get depth(): number {
    return this.#frames.length;
  }

  /** Forgets what must not pass from one stage to the next. */
  beginStage(): void {
    this.#deferIfReject = undefined;
    this.#warnDepth = 0;
  }

  /** Runs one list to its end; "next" means nobody decided. */
  run(list: ListRun): ListResult | Promise<ListResult> {
    this.stage = list.stage;
    this.#warnDepth = 0;
    this.#frames = [{ rules: list.rules, subject: list.subject, permitted: undefined, next: 0 }];
    return this.#loop();
  }

  /** The saved 4xx of defer_if_permit as the decision, where the lists would let the command through. */
  takeDeferIfPermit(): ListResult {
    const deferral = this.deferIfPermit;
    this.#warnDepth = 0; // a permit may have ended the list right behind warn_if_reject
    return deferral === undefined
      ? "next"
      : (this.#refuse(deferral.by, { kind: "refuse", cause: "policy", ...deferral }) ?? "next");
  }

  #loop(): ListResult | Promise<ListResult> {
    while (!this.#message.discarded) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return "next";
      const rule = frame.rules[frame.next++];
      if (rule === undefined) {
        this.#frames.pop();
        if (this.#warnDepth >= this.#frames.length) this.#warnDepth = 0;
        if (this.#bothDeferrals) return "next";
        continue;
      }
      const outcome = this.#evaluate(rule);
      if (outcome instanceof Promise) return this.#wait(rule, outcome);
      const end = this.#apply(rule, outcome);
      if (end !== undefined) return end;
    }
    return "next";
  }

  async #wait(rule: Rule, pending: Promise<Outcome>): Promise<ListResult> {
    let outcome: Outcome;
    try {
      outcome = await pending;
    } catch (error) {
      outcome = this.#failure(rule, error);
    }
    return this.#apply(rule, outcome) ?? this.#loop();
  }

  #evaluate(rule: Rule): Outcome | Promise<Outcome> {
    if (this.#frames.length > MAX_DEPTH || ++this.#steps > MAX_STEPS) {
      this.log.warning(`restriction "${rule.ref.text}" (${rule.ref.at}): unreasonable restriction recursion`);
      return { kind: "refuse", cause: "config", reply: CONFIGURATION_ERROR };
    }
    try {
      return rule.evaluate(this);
    } catch (error) {
      return this.#failure(rule, error);
    }
  }

  /** A table that cannot answer, or a bug: both refuse for now, and warn_if_reject does not soften them. */
  #failure(rule: Rule, error: unknown): Outcome {
    if (error instanceof NotAsked) return { kind: "notAsked" };
    const where = `restriction "${rule.ref.text}" (${rule.ref.at})`;
    if (error instanceof TableError) {
      this.log.warning(`${where}: ${printableAscii(error.message)}`, {
        event: "table_failed",
        restriction: rule.ref.text,
        rule: rule.ref.at,
        reason: printableAscii(error.message),
      });
      this.trace?.remark(`error: ${error.message}`);
      return { kind: "refuse", cause: "data", reply: lookupFailure(this.subject) };
    }
    const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.log.error(`${where} failed: ${printableAscii(told.replace(/\n\s*/g, " | "))}`);
    return { kind: "refuse", cause: "data", reply: reply(451, "4.3.0", "Error: internal error") };
  }

  /** What the outcome of one rule means for the list; undefined: go on. */
  #apply(rule: Rule, outcome: Outcome): ListResult | undefined {
    this.#collect(outcome);
    let end: ListResult | undefined;
    switch (outcome.kind) {
      case "warnNext":
        this.#note(rule, "warnNext");
        if (this.#warnDepth === 0) this.#warnDepth = this.#frames.length;
        return undefined;
      case "run":
        this.#note(rule, "run");
        this.#push(outcome);
        return undefined;
      case "permit":
        end = this.#permit(rule, outcome);
        break;
      case "dunno":
      case "notAsked":
        this.#note(rule, outcome.kind);
        break;
      case "deferIfReject":
        this.#note(rule, outcome.kind);
        this.#deferIfReject ??= { reply: outcome.reply, by: rule.ref };
        break;
      case "deferIfPermit":
        if (this.warnOnly) end = this.#refuse(rule.ref, { kind: "refuse", cause: "policy", reply: outcome.reply });
        else this.deferIfPermit ??= { reply: outcome.reply, by: rule.ref };
        this.#note(rule, this.warnOnly ? "warned" : outcome.kind);
        break;
      case "refuse":
        end = this.#refuse(rule.ref, outcome);
        this.#note(rule, end === undefined || end === "next" ? "warned" : end.kind);
        break;
    }
    if (this.#warnDepth >= this.#frames.length) this.#warnDepth = 0;
    return end ?? (this.#bothDeferrals ? "next" : undefined);
  }

  #push({ rules, subject, permitted }: Extract<Outcome, { kind: "run" }>): void {
    this.#frames.push({ rules, subject: subject ?? this.subject, permitted, next: 0 });
  }

  /** Ends the list, unless a list around the rule must not permit: that list is left, and what it says instead counts. */
  #permit(rule: Rule, outcome: Extract<Outcome, { kind: "permit" }>): ListResult | undefined {
    const at = this.#message.discarded ? -1 : this.#frames.findIndex((frame) => frame.permitted !== undefined);
    const instead = this.#frames[at]?.permitted;
    if (instead !== undefined) {
      this.#frames.length = at;
      return this.#apply(rule, instead());
    }
    this.#note(rule, "permit");
    const text = this.#permitLog && permitText(rule, outcome.origin, this);
    // A saved defer_if_permit overrules the permit.
    if (text !== undefined && this.deferIfPermit === undefined && this.#permitLog?.(text.action)) {
      this.notices.push({ action: "permit", text: printableAscii(text.text) });
    }
    return { kind: "permit", by: rule.ref };
  }

  get #bothDeferrals(): boolean {
    return this.deferIfPermit !== undefined && this.#deferIfReject !== undefined;
  }

  /** The refusal as decision, which the caller logs; or undefined if warn_if_reject makes a notice of it. */
  #refuse(by: RuleRef, refusal: Extract<Outcome, { kind: "refuse" }>): ListResult | undefined {
    const warn = this.warnOnly && refusal.cause === "policy";
    const saved = !warn && refusal.reply.code >= 500 ? this.#deferIfReject : undefined;
    const given = saved?.reply ?? refusal.reply;
    if (warn) {
      this.notices.push({ action: "reject_warning", text: replyText(given) });
      return undefined;
    }
    return { kind: given.code < 500 ? "defer" : "reject", by: saved?.by ?? by, reply: given };
  }

  #collect(outcome: Outcome): void {
    for (const effect of outcome.effects ?? []) {
      this.effects.push(effect);
      if (effect.kind === "discard") this.#message.discarded = true;
    }
    for (const notice of outcome.notices ?? []) {
      if (notice.action === "hold" && this.#message.held) continue; // once per message
      if (notice.action === "hold") this.#message.held = true;
      this.notices.push(notice);
    }
  }

  #note(rule: Rule, result: StepResult): void {
    this.trace?.step(this, rule.ref, result);
  }
}
