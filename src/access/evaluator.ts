/** access/evaluator.ts: which lists run at which command, and what is carried from one to the next (postfix.md §2.1).
 *  smtpd_delay_reject = yes runs client, helo and sender lists at every RCPT; `no` runs each at its own command.
 *  States of a session: open → denied (a refusal at connect without delay is repeated for every later command). */
import { type Awaitable, whenKnown } from "../base/awaitable.ts";
import type { Log } from "../log/log.ts";
import { formatClient } from "../mail/client.ts";
import { printableAscii } from "../mail/printable.ts";
import type { AccessSession, Decision, Facts, RuleRef, Stage, Verdict } from "./access.ts";
import { oldDefaultText } from "./backward-compatibility.ts";
import { whereOf } from "./list-compiler.ts";
import type { PermitLog } from "./permit-log.ts";
import type { Subject } from "./reply-text.ts";
import type { Rule, Services } from "./restriction.ts";
import { SessionCache } from "./session-cache.ts";
import type { TracePool } from "./trace.ts";
import { checkListed } from "./unlisted.ts";
import { type Deferral, type ListResult, type MessageState, Walk } from "./walk.ts";

/** All that is fixed for one service in one configuration. */
export interface CompiledLists {
  readonly rules: Readonly<Record<Stage, readonly Rule[]>>;
  readonly services: Services;
  readonly relayFirst: boolean;
  readonly delayReject: boolean;
  readonly rejectUnlistedSender: boolean;
  readonly rejectUnlistedRecipient: boolean;
  /** Stands in for the relay list that compatibility level 0 leaves empty, to log whom that lets through. */
  readonly relayPermits?: readonly Rule[] | undefined;
  /** The recipient list comes first only because the compatibility level says so. */
  readonly oldOrder?: boolean;
  readonly permitLog?: PermitLog | undefined;
  readonly traces: TracePool;
}

type TraceMode = "refusals" | "always" | undefined;

const NO_STEPS: Verdict["trace"] = [];
const LET_THROUGH: Verdict = { decision: { kind: "permit", by: undefined }, effects: [], notices: [], trace: NO_STEPS };

const RELAY_FIRST = ["relay", "recipient"] as const;
const RECIPIENT_FIRST = ["recipient", "relay"] as const;

/** A session that has decided nothing yet. */
export function openAccessSession(lists: CompiledLists, watch: SessionWatch): AccessSession {
  return new Evaluator(lists, watch);
}

/** Who looks on. */
interface SessionWatch {
  readonly trace?: TraceMode;
  /** Of the SMTP session; the service's where there is none. */
  readonly log?: Log | undefined;
}

class Evaluator implements AccessSession {
  readonly #lists: CompiledLists;
  readonly #traceMode: TraceMode;
  readonly #log: Log;
  readonly #session = new SessionCache();
  #denied: Decision | undefined;
  #message: MessageState = { held: false, discarded: false };
  /** defer_if_permit as it stood behind each stage, without delay. */
  #afterClient: Deferral | undefined;
  #afterHelo: Deferral | undefined;
  #afterSender: Deferral | undefined;

  constructor(lists: CompiledLists, { trace, log }: SessionWatch) {
    this.#lists = lists;
    this.#log = log ?? lists.services.log;
    this.#traceMode = trace;
  }

  atConnect(facts: Facts): Awaitable<Verdict> {
    if (this.#lists.delayReject || this.#isIdle("client")) return LET_THROUGH;
    const walk = this.#walk(facts, undefined);
    return whenKnown(this.#runClient(walk), (result) => {
      this.#afterClient = walk.deferIfPermit;
      this.#afterHelo = walk.deferIfPermit;
      const verdict = this.#verdict(walk, result);
      if (isRefused(result)) this.#denied = verdict.decision;
      return verdict;
    });
  }

  atHelo(facts: Facts): Awaitable<Verdict> {
    if (this.#denied) return this.#stillDenied(this.#denied);
    if (this.#lists.delayReject || this.#isIdle("helo")) return LET_THROUGH;
    const walk = this.#walk(facts, this.#afterClient);
    return whenKnown(this.#runHelo(walk), (result) => {
      this.#afterHelo = walk.deferIfPermit;
      return this.#verdict(walk, result);
    });
  }

  atMail(facts: Facts): Awaitable<Verdict> {
    this.#message = { held: false, discarded: false };
    this.#afterSender = this.#afterHelo;
    if (this.#denied) return this.#stillDenied(this.#denied);
    if (this.#lists.delayReject) return LET_THROUGH;
    const walk = this.#walk(facts, this.#afterHelo);
    return whenKnown(this.#runSender(walk), (result) => {
      this.#afterSender = walk.deferIfPermit;
      return this.#verdict(walk, result);
    });
  }

  atRcpt(facts: Facts): Awaitable<Verdict> {
    return this.#recipient(facts);
  }

  /** VRFY asks what RCPT would say. */
  atVrfy(facts: Facts): Awaitable<Verdict> {
    return this.#recipient(facts);
  }

  atData(facts: Facts): Awaitable<Verdict> {
    return this.#afterRecipients("data", facts, { name: "DATA", replyClass: "Data command" });
  }

  atEndOfData(facts: Facts): Awaitable<Verdict> {
    return this.#afterRecipients("end_of_data", facts, { name: "END-OF-MESSAGE", replyClass: "End-of-data" });
  }

  /** Client and helo lists as for RCPT, then the etrn list. */
  async atEtrn(facts: Facts): Promise<Verdict> {
    if (this.#denied) return this.#stillDenied(this.#denied);
    const walk = this.#walk(facts, this.#lists.delayReject ? undefined : this.#afterHelo);
    if (this.#lists.delayReject) {
      for (const run of [this.#runClient, this.#runHelo]) {
        const end = await run.call(this, walk);
        if (isRefused(end)) return this.#verdict(walk, end);
      }
    }
    walk.beginStage();
    const end = await this.#runList(walk, "etrn", { name: facts.etrnDomain ?? "", replyClass: "Etrn command" });
    if (isRefused(end)) return this.#verdict(walk, end);
    const deferred = walk.takeDeferIfPermit();
    return this.#verdict(walk, isRefused(deferred) ? deferred : end);
  }

  #recipient(facts: Facts): Awaitable<Verdict> {
    if (this.#denied) return this.#stillDenied(this.#denied);
    // RFC 5321 §4.5.1: <postmaster> without a domain is always reachable.
    if (facts.recipient?.toLowerCase() === "postmaster") return LET_THROUGH;
    const { delayReject } = this.#lists;
    const walk = this.#walk(facts, delayReject ? undefined : this.#afterSender);
    return whenKnown(delayReject ? this.#runDelayed(walk) : "next", (delayed) => {
      if (isRefused(delayed)) return this.#verdict(walk, delayed);
      walk.beginStage();
      return whenKnown(this.#runRecipient(walk), (end) => this.#verdict(walk, end));
    });
  }

  /** The lists of the commands before RCPT. A permit ends only its own list. */
  #runDelayed(walk: Walk): Awaitable<ListResult> {
    return whenKnown(this.#runClient(walk), (client) => {
      if (isRefused(client)) return client;
      return whenKnown(this.#runHelo(walk), (helo) => {
        if (isRefused(helo)) return helo;
        return whenKnown(this.#runSender(walk), (sender) => (isRefused(sender) ? sender : "next"));
      });
    });
  }

  /** The relay and the recipient list, and what stands behind them. */
  #runRecipient(walk: Walk): Awaitable<ListResult> {
    const { relayFirst, relayPermits } = this.#lists;
    const subject: Subject = { name: walk.facts.recipient ?? "", replyClass: "Recipient address" };
    const [first, second] = relayFirst && !relayPermits ? RELAY_FIRST : RECIPIENT_FIRST;
    return whenKnown(this.#runEither(walk, first, subject), (one) => {
      if (isRefused(one)) return one;
      return whenKnown(this.#runEither(walk, second, subject), (other) => {
        if (isRefused(other)) return other;
        const deferred = walk.takeDeferIfPermit();
        if (isRefused(deferred)) return deferred;
        const result = other === "next" ? one : other;
        return whenKnown(this.#runUnlisted(walk, "recipient"), (last) => (isRefused(last) ? last : result));
      });
    });
  }

  #runEither(walk: Walk, stage: "relay" | "recipient", subject: Subject): Awaitable<ListResult> {
    if (stage === "relay") return this.#runRelay(walk, subject);
    return whenKnown(this.#runList(walk, stage, subject), (end) => {
      if (isRefused(end)) this.#noteOldOrder(walk);
      return end;
    });
  }

  #runClient(walk: Walk): Awaitable<ListResult> {
    walk.beginStage();
    return this.#runList(walk, "client", { name: formatClient(walk.facts.client), replyClass: "Client host" });
  }

  #runHelo(walk: Walk): Awaitable<ListResult> {
    const { helo } = walk.facts;
    walk.beginStage();
    if (helo === undefined) return "next";
    return this.#runList(walk, "helo", { name: helo, replyClass: "Helo command" });
  }

  #runSender(walk: Walk): Awaitable<ListResult> {
    const { sender } = walk.facts;
    walk.beginStage();
    if (sender === undefined) return "next";
    const step = this.#runList(walk, "sender", { name: sender, replyClass: "Sender address" });
    if (step instanceof Promise) return step.then((end) => (isRefused(end) ? end : this.#runUnlisted(walk, "sender")));
    return isRefused(step) ? step : this.#runUnlisted(walk, "sender");
  }

  #runList(walk: Walk, stage: Stage, subject: Subject): Awaitable<ListResult> {
    const rules = this.#lists.rules[stage];
    return rules.length === 0 ? "next" : walk.run({ stage, rules, subject });
  }

  /** The relay list, or the rules that tell whether its old default, empty, lets a stranger through. */
  #runRelay(walk: Walk, subject: Subject): Awaitable<ListResult> {
    const { relayPermits } = this.#lists;
    if (!relayPermits) return this.#runList(walk, "relay", subject);
    const step = walk.run({ stage: "relay", rules: relayPermits, subject });
    return step instanceof Promise ? step.then((end) => this.#empty(walk, end)) : this.#empty(walk, step);
  }

  /** The old default permits in silence, and refuses only what a failing table leaves open. */
  #empty(walk: Walk, end: ListResult): ListResult {
    if (isRefused(end)) return end;
    if (end === "next") {
      const { client, recipient } = walk.facts;
      const effect = `avoid "Relay access denied" error for recipient "${recipient}" from client "${formatClient(client)}"`;
      this.#logOldDefault('"smtpd_relay_restrictions = (empty)"', effect);
    }
    return "next";
  }

  #noteOldOrder(walk: Walk): void {
    if (!this.#lists.oldOrder) return;
    const { client, recipient } = walk.facts;
    const effect = `reject recipient "${recipient}" from client "${formatClient(client)}"`;
    this.#logOldDefault("smtpd_relay_before_recipient_restrictions=no", effect);
  }

  #logOldDefault(setting: string, effect: string): void {
    this.#log.info(printableAscii(oldDefaultText(setting, effect)));
  }

  /** The check that stands behind the list unless the list made it itself or the message is discarded. */
  #runUnlisted(walk: Walk, who: "sender" | "recipient"): Awaitable<ListResult> {
    const { rejectUnlistedSender, rejectUnlistedRecipient, services } = this.#lists;
    if (!(who === "sender" ? rejectUnlistedSender : rejectUnlistedRecipient)) return "next";
    if (walk.checked[who]) return "next";
    const parameter = `smtpd_reject_unlisted_${who}`;
    const ref: RuleRef = { text: parameter, at: whereOf(services.params.source(parameter)), parameter };
    const rule: Rule = {
      ref,
      word: `reject_unlisted_${who}`,
      argument: undefined,
      evaluate: (context) => checkListed(who, context, services),
    };
    const subject: Subject = {
      name: walk.facts[who] ?? "",
      replyClass: who === "sender" ? "Sender address" : "Recipient address",
    };
    return walk.run({ stage: who, rules: [rule], subject });
  }

  #afterRecipients(stage: "data" | "end_of_data", facts: Facts, subject: Subject): Awaitable<Verdict> {
    if (this.#denied) return this.#stillDenied(this.#denied);
    if (this.#isIdle(stage)) return LET_THROUGH;
    // With several recipients none of them stands for the message.
    const seen = facts.recipientCount > 1 ? { ...facts, recipient: undefined } : facts;
    const walk = this.#walk(seen, undefined);
    return whenKnown(this.#runList(walk, stage, subject), (end) => {
      if (isRefused(end)) return this.#verdict(walk, end);
      const deferred = walk.takeDeferIfPermit();
      return this.#verdict(walk, isRefused(deferred) ? deferred : end);
    });
  }

  #walk(facts: Facts, deferral: Deferral | undefined): Walk {
    const { delayReject, permitLog, traces } = this.#lists;
    const walk = new Walk({
      log: this.#log,
      facts,
      session: this.#session,
      message: this.#message,
      beforeMail: !delayReject,
      permitLog,
      trace: this.#traceMode === undefined ? undefined : traces.take(),
    });
    walk.deferIfPermit = deferral;
    return walk;
  }

  /** The end of a walk: its trace goes back to the pool. */
  #verdict(walk: Walk, result: ListResult): Verdict {
    const decision: Decision = result === "next" ? { kind: "permit", by: undefined } : result;
    const { effects, notices, trace } = walk;
    if (trace === undefined) return { decision, effects, notices, trace: NO_STEPS };
    const steps = this.#traceMode === "always" || isRefused(result) ? trace.steps() : NO_STEPS;
    this.#lists.traces.give(trace);
    return { decision, effects, notices, trace: steps };
  }

  #isIdle(stage: Stage): boolean {
    return this.#lists.rules[stage].length === 0;
  }

  /** Logged once, at connect; said again for every command. */
  #stillDenied(decision: Decision): Verdict {
    return { decision, effects: [], notices: [], trace: NO_STEPS };
  }
}

function isRefused(result: ListResult): result is Extract<ListResult, { kind: "reject" | "defer" }> {
  return result !== "next" && result.kind !== "permit";
}
