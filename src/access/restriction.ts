/** access/restriction.ts: the words between the compiler, the restrictions and the evaluator. Types and constants only.
 *  A restriction is a function from a Context to an Outcome; what an outcome means for the list is the evaluator's. */

import type { Clock } from "../base/clock.ts";
import type { Parameters } from "../config/parameters.ts";
import type { Dns } from "../dns/resolver.ts";
import type { Log } from "../log/log.ts";
import type { AddressProber } from "../mail/address-prober.ts";
import type { Reply } from "../mail/reply.ts";
import type { PolicyServers } from "../policy/policy.ts";
import type { AddressResolver } from "../rewrite/resolve.ts";
import type { LookupTrace } from "../tables/lookup-trace.ts";
import type { AddressList } from "../tables/pattern-list.ts";
import type { TableOpener } from "../tables/table.ts";
import type { AccessNotice, Effect, Facts, RuleRef, Stage } from "./access.ts";
import type { LookupKeys } from "./lookup-keys.ts";
import type { Subject } from "./reply-text.ts";
import type { SessionCache } from "./session-cache.ts";

/** What one rule says. `cause` "policy" alone can be turned into a warning by warn_if_reject. */
export type Result =
  | { readonly kind: "dunno" }
  /** `origin`: the table entry or policy reply that permits, where smtpd_log_access_permit_actions may ask for it. */
  | { readonly kind: "permit"; readonly origin?: PermitOrigin }
  | {
      readonly kind: "refuse";
      readonly reply: Reply;
      readonly cause: "policy" | "data" | "config";
      /** HANGUP: its `hangup` notice tells the caller to close the connection without a reply. */
      readonly hangup?: true;
    }
  | { readonly kind: "deferIfPermit" | "deferIfReject"; readonly reply: Reply }
  /** The next rule only warns. */
  | { readonly kind: "warnNext" }
  /** It would have had to ask somebody who must not be asked. */
  | { readonly kind: "notAsked" }
  /** A restriction class or a list found in a table: evaluated as if it stood here. */
  | {
      readonly kind: "run";
      readonly rules: readonly Rule[];
      readonly subject?: Subject;
      /** What a permit inside becomes, where a table must not permit: DUNNO, or a refusal. Asked at most once. */
      readonly permitted?: () => Outcome;
    };

/** Who permits: `OK` for `Client host`=`mx.test[192.0.2.1]` from a table. */
export interface PermitOrigin {
  /** The keyword as written. */
  readonly action: string;
  readonly subject: Subject;
  readonly table: string;
}

/** A result and what came with it. */
export type Outcome = Result & {
  readonly effects?: readonly Effect[];
  readonly notices?: readonly AccessNotice[];
};

export const DUNNO: Outcome = { kind: "dunno" };
export const PERMIT: Outcome = { kind: "permit" };

/** Whether message-wide actions (HOLD, FILTER …) have a message to act on. */
export type EffectScope = "message" | "beforeMail" | "etrn";

/** What a restriction sees while a list runs. */
export interface Context {
  readonly facts: Facts;
  /** Of the SMTP session. */
  readonly log: Log;
  readonly stage: Stage;
  /** What the running list speaks about: the client, the sender … */
  readonly subject: Subject;
  /** This rule stands behind warn_if_reject. */
  readonly warnOnly: boolean;
  /** reject_unlisted_* was evaluated for good, so the implicit check is skipped. */
  readonly checked: { sender: boolean; recipient: boolean };
  readonly effectScope: EffectScope;
  /** What this SMTP session has learnt from DNS lists. */
  readonly session: SessionCache;
  /** How many lists run inside each other, this one included. */
  readonly depth?: number;
  /** Takes what the running rule looks up; undefined where nobody wants to know. */
  readonly trace: LookupTrace | undefined;
}

/** Synchronous where nothing has to be waited for. May throw TableError: 451 4.3.0. */
export type Evaluate = (context: Context) => Outcome | Promise<Outcome>;

/** One compiled restriction. */
export interface Rule {
  readonly ref: RuleRef;
  /** Canonical word, "class", or "error" for what cannot work. */
  readonly word: string;
  readonly argument: string | undefined;
  readonly evaluate: Evaluate;
  /** The rules of a class, for validation and proof. */
  readonly rules?: readonly Rule[];
}

/** What the restrictions may use. */
export interface Services {
  readonly params: Parameters;
  readonly tables: TableOpener;
  readonly resolver: AddressResolver;
  readonly log: Log;
  readonly mynetworks: Pick<AddressList, "find">;
  /** The name service; undefined where there is none (smtpd_peername_lookup does not switch it off for restrictions). */
  readonly dns?: Dns | undefined;
  /** For `sleep` and for limits of time; the system's where it is not given. */
  readonly clock?: Clock | undefined;
  /** Policy servers; undefined in tests without them: the rule then answers as if the server were unreachable. */
  readonly policy?: PolicyServers | undefined;
  /** Finds out which addresses are deliverable; undefined: nobody does, and they are refused for now. */
  readonly prober?: AddressProber | undefined;
  /** For tables that take partial keys, and for those that do not. */
  readonly lookupKeys: { readonly partial: LookupKeys; readonly whole: LookupKeys };
  /** A table's right-hand side that is a restriction list; compiled once and kept. */
  compileValue(value: string, origin: ValueOrigin): readonly Rule[];
}

/** Where a table value came from: the stage decides what a bare class member means. */
export interface ValueOrigin {
  readonly stage: Stage;
  readonly ref: RuleRef;
}

/** "table": `maptype:mapname`; "service": `inet:host:port`, `unix:path` or `{ inet:… , name = value … }`;
 *  "domain": a DNS list with its optional `=filter`; "text": anything. */
export type ArgumentKind = "none" | "table" | "service" | "domain" | "text";

/** One restriction word: how it is called, what argument it takes, how a rule is made of it. */
export interface Word {
  readonly names: readonly [string, ...string[]];
  readonly argument: ArgumentKind;
  /** `argument` is "" for words that take none. */
  build(services: Services, rule: { readonly argument: string; readonly ref: RuleRef }): Evaluate;
}
