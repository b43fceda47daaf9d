/** smtpd/explanation.ts: one evaluation told in full, as a value that can be kept, sent and printed: who asked for what, each
 *  restriction with what it looked up, and what the client was told. Only where somebody wants to know. */
import type { AccessNotice, Effect, RuleRef, TraceStep } from "../access/access.ts";

/** All text is printable. */
export interface Explanation {
  /** As the explain line of the log names it: "512.1". Refusals only. */
  readonly id: string | undefined;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Service name of master.cf. */
  readonly service: string;
  /** Protocol state: CONNECT EHLO MAIL RCPT DATA END-OF-MESSAGE VRFY ETRN. */
  readonly command: string;
  readonly client: {
    readonly name: string;
    readonly address: string;
    /** The PTR name, not verified. */
    readonly reverseName: string;
  };
  readonly helo: string | undefined;
  readonly login: { readonly username: string; readonly method: string } | undefined;
  readonly tls: { readonly protocol: string; readonly certificate: string | undefined } | undefined;
  readonly sender: string | undefined;
  readonly recipient: string | undefined;
  /** Recipients accepted so far. */
  readonly recipients: number;
  readonly sizeBytes: number | undefined;
  readonly decision: "dunno" | "permit" | "reject" | "defer";
  /** The rule that decided. */
  readonly by: RuleRef | undefined;
  readonly steps: readonly TraceStep[];
  readonly effects: readonly Effect[];
  /** What was logged beside the refusal: reject_warning, hold … */
  readonly notices: readonly AccessNotice[];
  /** The lines sent to the client, filled in when they are; empty: the connection was closed without a word. */
  reply: readonly string[];
}

/** Who wants to know. Without `trace` nothing is recorded. */
export interface Explainer {
  /** Of refusals only, or of all evaluations. */
  readonly trace: "refusals" | "always" | undefined;
  take(explanation: Explanation): void;
}
