/** access/access.ts: what the restriction language decides about, and what it answers (design §8). Values only. */
import type { Awaitable } from "../base/awaitable.ts";
import type { Log } from "../log/log.ts";
import type { Address } from "../mail/address.ts";
import type { ClientEndpoint, SaslIdentity, ServerEndpoint, TlsSession } from "../mail/client.ts";
import type { MessageAuthentication } from "../mail/message-authentication.ts";
import type { Reply } from "../mail/reply.ts";

export type Stage = "client" | "helo" | "sender" | "relay" | "recipient" | "data" | "end_of_data" | "etrn";

/** All that a restriction may look at. smtpd fills in what is known at the stage. */
export interface Facts {
  readonly client: ClientEndpoint;
  readonly server: ServerEndpoint;
  /** "SMTP" or "ESMTP". */
  readonly protocol: string;
  /** Protocol state for log lines and policy requests: CONNECT EHLO HELO MAIL RCPT DATA END-OF-MESSAGE VRFY ETRN. */
  readonly command: string;
  readonly helo: string | undefined;
  readonly sender: Address | undefined;
  readonly recipient: Address | undefined;
  readonly recipientCount: number;
  readonly sasl: SaslIdentity | undefined;
  /** AUTH= of MAIL (RFC 4954 §5), for policy requests. */
  readonly saslSender?: string | undefined;
  readonly saslEnabled: boolean;
  readonly tls: TlsSession | undefined;
  readonly sizeBytes: number | undefined;
  readonly queueId: string | undefined;
  /** The session sent commands before their turn (reject_unauth_pipelining). */
  readonly earlyTalker: boolean;
  /** The ETRN argument (RFC 1985), at stage etrn. */
  readonly etrnDomain?: string | undefined;
  /** One value for all policy requests of one message, another for the next (SMTPD_POLICY_README `instance`). */
  readonly instance?: string | undefined;
  /** SPF, DKIM and DMARC of the message; undefined where nobody verifies mail, or before MAIL. */
  readonly authentication?: MessageAuthentication | undefined;
  /** The service is under stress (`stress` = "yes"). */
  readonly stress?: boolean | undefined;
}

/** Where a rule stands: the restriction as written and where. */
export interface RuleRef {
  readonly text: string;
  /** "main.cf:31", "master.cf:12", or "default". */
  readonly at: string;
  readonly parameter: string;
}

export type Effect =
  | { readonly kind: "hold" | "discard"; readonly text: string }
  | { readonly kind: "filter" | "redirect" | "bcc" | "prepend"; readonly value: string };

export type Decision =
  | { readonly kind: "dunno" }
  | { readonly kind: "permit"; readonly by: RuleRef | undefined }
  | { readonly kind: "reject" | "defer"; readonly by: RuleRef | undefined; readonly reply: Reply };

/** What came of one restriction. "run": a class or a list from a table follows, one deeper. "warnNext": warn_if_reject.
 *  "warned": it would have refused, but for warn_if_reject. "notAsked": explain was told not to ask. */
export type StepResult =
  | "dunno"
  | "permit"
  | "reject"
  | "defer"
  | "deferIfPermit"
  | "deferIfReject"
  | "run"
  | "warnNext"
  | "warned"
  | "notAsked";

/** One thing that was looked up, printable. */
export interface Lookup {
  /** "texthash:/etc/postern/access", "dns MX", "mynetworks", "address class" …; the whole text of a remark. */
  readonly source: string;
  readonly key: string;
  readonly result: "found" | "not found" | "error" | "not asked" | "remark";
  /** What was found; else the reason, or "". */
  readonly value: string;
}

/** One step of the evaluation, in order, for explain. */
export interface TraceStep {
  readonly stage: Stage;
  readonly rule: RuleRef;
  readonly result: StepResult;
  /** 0 in the list itself, 1 in a class or table list in it … */
  readonly depth: number;
  readonly lookups: readonly Lookup[];
}

/** A line to be logged by the caller in Postfix's form: `reject`, `reject_warning`, `hold`, `warn` … with its text. */
export interface AccessNotice {
  readonly action: string;
  readonly text: string;
}

export interface Verdict {
  /** "dunno" never leaves the evaluator: list end is permit. */
  readonly decision: Decision;
  readonly effects: readonly Effect[];
  readonly notices: readonly AccessNotice[];
  /** Empty unless a trace is wanted; see newSession(). */
  readonly trace: readonly TraceStep[];
}

/** One transaction-spanning evaluation: keeps defer_if_permit state and the delayed stages (postfix.md §2.1). */
export interface AccessSession {
  atConnect(facts: Facts): Awaitable<Verdict>;
  atHelo(facts: Facts): Awaitable<Verdict>;
  /** A new transaction begins: per-message state is dropped first. */
  atMail(facts: Facts): Awaitable<Verdict>;
  atRcpt(facts: Facts): Awaitable<Verdict>;
  atVrfy(facts: Facts): Awaitable<Verdict>;
  atData(facts: Facts): Awaitable<Verdict>;
  atEndOfData(facts: Facts): Awaitable<Verdict>;
  /** ETRN: client, helo and etrn lists (postfix.md §2.1). */
  atEtrn(facts: Facts): Awaitable<Verdict>;
}

/** The compiled lists of one service in one config generation. */
export interface AccessPolicy {
  /** `trace`: whose trace the verdicts carry; nobody's if it is not given. `log`: of the SMTP session. */
  newSession(trace?: "refusals" | "always", log?: Log): AccessSession;
}
